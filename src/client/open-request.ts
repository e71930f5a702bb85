import { type ClientRequest, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { withoutBrackets } from "../lib/brackets.ts";
import type { Transport } from "./exchange.ts";
import { TrackerError } from "./tracker-error.ts";

/** Opens a GET request over a connection of its own. `https:` and `wss:` mean TLS. The caller ends the request. */
export function openRequest(
  url: URL,
  path: string,
  transport: Transport,
  headers: Readonly<Record<string, string>>,
): ClientRequest {
  const isSecure = url.protocol === "https:" || url.protocol === "wss:";
  return (isSecure ? requestHttps : requestHttp)({
    host: withoutBrackets(url.hostname),
    port: url.port === "" ? undefined : Number(url.port),
    path,
    agent: false,
    family: transport.family,
    signal: transport.signal,
    headers: {
      Host: url.host,
      "User-Agent": "chihaya",
      ...headers,
      ...(url.username === "" ? {} : { Authorization: basicAuthorization(url) }),
    },
    ...(transport.ca === undefined ? {} : { ca: Buffer.from(transport.ca) }),
  });
}

function basicAuthorization(url: URL): string {
  const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return `Basic ${Buffer.from(credentials).toString("base64")}`;
}

/** Returns the error of a request or connection as a TrackerError. */
export function toTrackerError(error: Error): TrackerError {
  if (error instanceof TrackerError) return error;
  return new TrackerError("unreachable", describe(error), { cause: error });
}

/** Describes an error. If several addresses have failed, the error is an AggregateError without a message. */
function describe(error: Error): string {
  return error instanceof AggregateError
    ? error.errors.map((each: Error) => each.message).join("; ")
    : error.message;
}
