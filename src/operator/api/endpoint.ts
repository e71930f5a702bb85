import type { RequestBody } from "../../http/request-body.ts";
import type { RouteMethod, RouteRequest } from "../../http/routes.ts";
import type { Block } from "../../options/index.ts";
import type { Scope } from "../scopes.ts";
import type { Principal } from "./access.ts";
import type { Shape } from "./shape.ts";

/** A request to an endpoint, read and checked. */
export interface EndpointCall<Query, Body> {
  /** The parts of the path in braces, by name, as text. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  /** The body of an endpoint with `stream`. */
  readonly stream: RequestBody;
  readonly principal: Principal;
  readonly request: RouteRequest;
  /** Writes one line of the audit log, for a request that changes something. */
  audit(change: Readonly<Record<string, unknown>>): void;
}

/**
 * One method of one resource of the admin API. Routing, checks and the OpenAPI document follow from the description.
 *
 * Keys of `query` and `body` are spelled as in YAML (`min_peers`), and `handle` gets them in camelCase.
 */
export interface Endpoint<Query = unknown, Body = unknown, Result = unknown> {
  readonly method: Exclude<RouteMethod, "OPTIONS">;
  /** Below `/api/v1`, with parts in braces: `/torrents/{info_hash}`. */
  readonly path: string;
  readonly scope: Scope;
  /** One line for the document. */
  readonly summary: string;
  readonly query?: Block<Query, unknown>;
  /** The JSON body. */
  readonly body?: Block<Body, unknown>;
  /** The media type of a body that is read as it comes. */
  readonly stream?: string;
  /** 200 unless given; 204 has no body. */
  readonly status?: 200 | 201 | 202 | 204;
  /** The JSON of the response, also of one that is sent as a stream. */
  readonly response?: Shape<Result>;
  /** The media type of a response that is a stream. */
  readonly streams?: string;
  /** Statuses of errors beyond those that every endpoint can have. */
  readonly problems?: readonly (404 | 409 | 412 | 501 | 503)[];
  handle(
    call: EndpointCall<Query, Body>,
  ): Result | AsyncIterable<Uint8Array> | Promise<Result | AsyncIterable<Uint8Array>>;
}

/** Describes an endpoint. */
export function endpoint<Query, Body, Result>(
  description: Endpoint<Query, Body, Result>,
): Endpoint<unknown, unknown, unknown> {
  return description as Endpoint<unknown, unknown, unknown>;
}
