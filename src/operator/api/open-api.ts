import type { AnyBlock, Value } from "../../options/index.ts";
import { renderBlock, renderKind } from "../../options/json-schema.ts";
import { apiBase } from "./api.ts";
import type { Endpoint } from "./endpoint.ts";
import { problemShape } from "./problem.ts";
import type { Json } from "./shape.ts";

/** Errors that every endpoint can respond with. */
const commonProblems = {
  400: "The request is malformed: see `errors`.",
  401: "A token is needed, or the token is wrong.",
  403: "The token lacks the scope, or the request comes from another site.",
  405: "The resource does not have the method.",
  421: "The `Host` is not one of this listener.",
  429: "Too many wrong tokens.",
  500: "Internal error.",
} as const;

const furtherProblems: Readonly<Record<number, string>> = {
  404: "There is no such thing.",
  408: "The body did not arrive in time.",
  409: "Not now: see `detail`.",
  412: "The resource has changed: see `If-Match`.",
  413: "The body is too long.",
  415: "The body has another media type.",
  501: "The store cannot do that.",
  503: "The tracker cannot do that now.",
};

/** Writes the OpenAPI 3.1 document of the endpoints. */
export function describeApi(endpoints: readonly Endpoint[], version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const endpoint of endpoints) {
    const path = `${apiBase}${endpoint.path}`;
    paths[path] = { ...paths[path], [endpoint.method.toLowerCase()]: describeOperation(endpoint) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Admin API of Chihaya for TypeScript",
      version,
      license: { name: "BSD-2-Clause", identifier: "BSD-2-Clause" },
    },
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "A token of `admin.tokens`." },
      },
      schemas: { Problem: problemShape.json },
    },
  };
}

function describeOperation(endpoint: Endpoint): Json {
  const { method, path, scope, summary, query, body, stream } = endpoint;
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  const parameters = [
    ...names.map((name) => ({ name, in: "path", required: true, schema: { type: "string" } })),
    ...[...(query?.fields ?? [])].map(([name, value]) => describeParameter(name, value)),
  ];
  const content =
    body !== undefined
      ? { "application/json": { schema: renderBlock(body as AnyBlock, describeProperty) } }
      : stream !== undefined
        ? { [stream]: { schema: { type: "string" } } }
        : undefined;
  return {
    operationId: operationId(method, path),
    summary,
    ...(parameters.length > 0 && { parameters }),
    ...(content && { requestBody: { required: true, content } }),
    // Reading is open to programs of this machine while the listener is bound to loopback.
    security: scope === "read" ? [{ bearer: [scope] }, {}] : [{ bearer: [scope] }],
    responses: describeResponses(endpoint),
  };
}

function operationId(method: string, path: string): string {
  const words = path
    .replace(/[{}]/g, "")
    .split(/[/_.-]/)
    .filter(Boolean);
  return [method.toLowerCase(), ...words.map((word) => word[0]!.toUpperCase() + word.slice(1))].join("");
}

function describeResponses(endpoint: Endpoint): Json {
  const { status = 200, response, streams, problems = [], body, stream, path } = endpoint;
  const string = { type: "string" };
  const content =
    streams !== undefined
      ? // OpenAPI 3.1 has no schema for the events of a stream.
        { [streams]: streams === "text/event-stream" ? {} : { schema: response?.json ?? string } }
      : { "application/json": { schema: response?.json ?? {} } };
  const further = [
    ...problems,
    ...(path.includes("{") && !problems.includes(404) ? [404] : []),
    ...(body !== undefined || stream !== undefined ? [408, 413, 415] : [413]),
  ];
  const all: Record<number, string> = { ...commonProblems };
  for (const one of further) all[one] = furtherProblems[one]!;
  // The HTTP server refuses these before the API sees the request.
  const tooLong = { description: "The headers are too long.", content: { "text/plain": { schema: string } } };
  const problem = { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } };
  return {
    [status]: status === 204 ? { description: "Done." } : { description: "Done.", content },
    ...Object.fromEntries(
      Object.entries(all).map(([code, description]) => [code, { description, content: problem }]),
    ),
    431: tooLong,
  };
}

function describeParameter(name: string, value: Value<unknown, unknown>): Json {
  return {
    name,
    in: "query",
    required: !value.mayBeMissing,
    ...(value.description !== "" && { description: value.description }),
    schema: renderKind(value, describeProperty),
  };
}

function describeProperty(value: Value<unknown, unknown>): Record<string, unknown> {
  return {
    ...(value.description !== "" && { description: value.description }),
    ...renderKind(value, describeProperty),
  };
}
