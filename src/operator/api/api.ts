import { HttpError } from "../../http/http-error.ts";
import type { RouteRequest, RouteResponse } from "../../http/routes.ts";
import type { Logger } from "../../observability/logger.ts";
import type { Path } from "../../options/index.ts";
import type { Access, ListenerFacts, Principal } from "./access.ts";
import type { Endpoint } from "./endpoint.ts";
import { parseJson, requireJson } from "./json-body.ts";
import { type Fault, Problem } from "./problem.ts";

/** The path below which the API is served. */
export const apiBase = "/api/v1";

/** Maximum length of a JSON body in bytes. */
const maxJson = 1024 * 1024;
/** Maximum number of faults in a response: a client can make as many as its body has values. */
const maxFaults = 20;

export interface ApiDeps {
  readonly access: Access;
  readonly logger: Logger;
  /** Called for errors of endpoints that are not a Problem. */
  onError(error: Error): void;
}

/** The admin API: finds the endpoint of a request, checks scope, query and body, and writes the response or the problem. */
export class Api {
  readonly #endpoints: readonly { pattern: RegExp; names: string[]; endpoint: Endpoint }[];
  readonly #deps: ApiDeps;

  constructor(endpoints: readonly Endpoint[], deps: ApiDeps) {
    this.#deps = deps;
    this.#endpoints = endpoints.map((endpoint) => ({ ...compile(`${apiBase}${endpoint.path}`), endpoint }));
  }

  /** Responds to a request below {@link apiBase}. Never rejects, unless the client is gone. */
  async respond(request: RouteRequest, listener: ListenerFacts): Promise<RouteResponse> {
    try {
      return await this.#respond(request, listener);
    } catch (error) {
      request.gone.throwIfAborted();
      if (error instanceof Problem) return error.toResponse();
      if (error instanceof HttpError) return new Problem(error.status, error.message).toResponse();
      this.#deps.onError(error as Error);
      return new Problem(500, "internal error; the log says more").toResponse();
    }
  }

  async #respond(request: RouteRequest, listener: ListenerFacts): Promise<RouteResponse> {
    const { access } = this.#deps;
    const principal = access.identify(request, listener);
    const { endpoint, params } = this.#find(request);
    access.require(principal, endpoint.scope);
    const query = this.#readQuery(endpoint, request);
    const body = await readBody(endpoint, request);
    const result = await endpoint.handle({
      params,
      query,
      body,
      stream: request.body,
      principal,
      request,
      audit: (change) => this.#audit(principal, request, change),
    });
    const { status = 200, streams } = endpoint;
    if (streams !== undefined) {
      const isAllowed = () => access.stillHas(principal, endpoint.scope);
      return { status, type: streams, body: takeWhile(result as AsyncIterable<Uint8Array>, isAllowed) };
    }
    if (status === 204) return { status };
    return { status, type: "application/json", gzip: true, body: `${JSON.stringify(result)}\n` };
  }

  #find({ method, path }: RouteRequest): { endpoint: Endpoint; params: Record<string, string> } {
    const wanted = method === "HEAD" ? "GET" : method;
    const allowed = new Set<string>();
    for (const { pattern, names, endpoint } of this.#endpoints) {
      const found = pattern.exec(path);
      if (found === null) continue;
      if (endpoint.method === wanted) {
        const params = Object.fromEntries(names.map((name, i) => [name, decode(name, found[i + 1]!)]));
        return { endpoint, params };
      }
      allowed.add(endpoint.method);
      if (endpoint.method === "GET") allowed.add("HEAD");
    }
    if (allowed.size === 0) throw new Problem(404, `no such resource; ${apiBase}/openapi.json lists all`);
    throw new Problem(405, `the resource has no ${method}`, { headers: { allow: [...allowed].join(", ") } });
  }

  #readQuery({ query }: Endpoint, request: RouteRequest): unknown {
    const given: Record<string, string | string[]> = {};
    for (const name of new Set(request.query.keys())) {
      const values = request.query.getAll(name);
      given[name] = values.length === 1 ? values[0]! : values;
    }
    if (query === undefined) {
      const [name] = Object.keys(given);
      if (name !== undefined)
        throw new Problem(400, "the resource takes no parameters", {
          faults: [{ at: `?${name}`, detail: "unknown parameter" }],
        });
      return undefined;
    }
    const result = query.validate(given, "yaml");
    if (result.issues === undefined) return result.value;
    throw refused(result.issues as readonly { path: Path; message: string }[], ([name]) => `?${name ?? ""}`);
  }

  #audit({ name }: Principal, { method, path, client }: RouteRequest, change: object): void {
    this.#deps.logger.info({ who: name, from: client.toString(), method, path, ...change }, "admin");
  }
}

/** Ends a stream that its reader may not read any longer. */
async function* takeWhile(
  stream: AsyncIterable<Uint8Array>,
  isAllowed: () => boolean,
): AsyncGenerator<Uint8Array> {
  for await (const bytes of stream) {
    if (!isAllowed()) return;
    yield bytes;
  }
}

async function readBody(
  { body, stream }: Endpoint,
  { headers, body: received }: RouteRequest,
): Promise<unknown> {
  if (stream !== undefined) return undefined;
  received.limit = body === undefined ? 0 : maxJson;
  const bytes = await received.bytes();
  if (body === undefined) return undefined;
  if (bytes.length > 0) requireJson(headers);
  const result = body.validate(bytes.length === 0 ? {} : parseJson(bytes), "yaml");
  if (result.issues === undefined) return result.value;
  throw refused(result.issues as readonly { path: Path; message: string }[], (path) =>
    path.map((step) => `/${`${step}`.replaceAll("~", "~0").replaceAll("/", "~1")}`).join(""),
  );
}

function refused(issues: readonly { path: Path; message: string }[], at: (path: Path) => string): Problem {
  const faults: Fault[] = issues
    .slice(0, maxFaults)
    .map(({ path, message }) => ({ at: at(path), detail: message }));
  const told = faults.map(({ at, detail }) => (at === "" ? detail : `${at}: ${detail}`)).join("; ");
  const more = issues.length - faults.length;
  return new Problem(400, more > 0 ? `${told}; and ${more} more` : told, { faults });
}

function compile(path: string): { pattern: RegExp; names: string[] } {
  const names: string[] = [];
  const source = path.replace(/\{(\w+)\}|[.*+?^$()|[\]\\]/g, (found, name: string | undefined) => {
    if (name === undefined) return `\\${found}`;
    names.push(name);
    return "([^/]+)";
  });
  return { pattern: new RegExp(`^${source}$`), names };
}

function decode(name: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Problem(400, "malformed escape in the path", {
      faults: [{ at: `{${name}}`, detail: "malformed escape" }],
    });
  }
}
