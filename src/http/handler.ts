import type { Address } from "../ip/address.ts";
import type { StreamHandler } from "../net/stream.ts";
import type { HttpRequest, RequestRules } from "../protocol/http/request-reader.ts";
import type { RouteMatch } from "../protocol/router.ts";
import type { Call } from "./call.ts";

/** Why the server closes a connection by itself. */
export type ClosingReason = "malformed" | "timeout" | "limit";

/** Why the server rejects a request by itself. */
export type Rejection = ClosingReason | "too_large" | "method" | "version";

/** The statuses of responses by the server itself: to unreadable requests, and 503 if the handler took too long. */
export type RefusalStatus = 400 | 405 | 408 | 431 | 503 | 505;

/** A complete response in memory. A handler reuses it for one request after the other. */
export interface WholeResponse {
  /** The head is `bytes[start..headEnd)`, the body `bytes[headEnd..end)`. */
  readonly out: {
    readonly bytes: Uint8Array;
    readonly start: number;
    readonly headEnd: number;
    readonly end: number;
  };
  /** Whether only the head is sent. */
  readonly isHead: boolean;
  /** Whether the connection stays open after the response; the head says the same. */
  readonly keepAlive: boolean;
  /**
   * Gets the connection after the response, with all bytes that follow the request. Such a connection no longer counts as one
   * of HTTP: the heir limits the number of its connections and their times.
   */
  readonly heir?: StreamHandler<unknown> | undefined;
}

/** The response to a request for another protocol. */
export interface Upgrade {
  /** The whole response. */
  readonly response: Uint8Array;
  /** See {@link WholeResponse}; undefined if the request is refused. */
  readonly heir: StreamHandler<unknown> | undefined;
}

/** Takes over connections of HTTP whose clients ask for another protocol. */
export interface Upgrader {
  /**
   * Decides about a request whose `isUpgrade` is set.
   * @param announceRoute  the route of announces over HTTP that the path has; undefined for any other path
   * @returns undefined if the request is a request of HTTP
   */
  upgrade(
    bytes: Uint8Array,
    request: HttpRequest,
    source: RequestSource,
    announceRoute: RouteMatch | undefined,
  ): Upgrade | undefined;
}

/** The connection of a request, for handlers. */
export interface RequestSource {
  /**
   * Writes the address of the client into `out`: the address of the connection, or the address that a trusted proxy names by
   * the PROXY protocol or by a header.
   * @param bytes  contain the head of the request
   * @returns false if the header is unreadable. Never throws, never allocates.
   */
  resolveClient(bytes: Uint8Array, request: HttpRequest, out: Address): boolean;
  /**
   * Creates a {@link Call} for a body, a response in pieces or an upgrade. Call it in `respond`, which must then return a
   * promise of undefined.
   */
  begin(request: HttpRequest, expectsContinue: boolean): Call;
}

/** A user of the HTTP server: responds to the requests of all its connections. */
export interface HttpHandler<Response extends WholeResponse = WholeResponse> {
  /** Rules for the requests; the server refuses all others. */
  readonly rules: RequestRules;
  /**
   * Responds to the request whose head is in `bytes`. `bytes` and `request` are valid until this method returns. An error
   * closes the connection.
   * @param keepAlive  whether the connection may stay open after the response
   * @returns the response, which must not change before the call of {@link sent}; or a promise of the response, during which
   *   later requests of the connection wait; or, with a {@link Call}, a promise of undefined
   */
  respond(
    bytes: Uint8Array,
    request: HttpRequest,
    source: RequestSource,
    keepAlive: boolean,
  ): Response | Promise<Response | undefined>;
  /** Called after a response was passed to the network, or if its client is gone. Not called for a refusal. */
  sent(response: Response): void;
  /** Returns the response to an unreadable request. The server then closes the connection. */
  refuse(status: RefusalStatus, isHead: boolean): WholeResponse;
  /**
   * Called if the server rejects a request by itself: the request is refused or late, or the connection is closed before the
   * request has arrived.
   */
  rejected(reason: Rejection): void;
  /** Called when the request of a connection has waited too long for its promise. The server responds by itself, and closes. */
  gaveUp(source: RequestSource): void;
}
