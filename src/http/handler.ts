import type { Address } from "../ip/address.ts";
import type { HttpRequest, RequestRules } from "../protocol/http/request-reader.ts";
import type { Call } from "./call.ts";

/** Why the server closes a connection by itself. */
export type ClosingReason = "malformed" | "timeout" | "limit";

/** Why the server turns a request away by itself. */
export type Rejection = ClosingReason | "too_large" | "method" | "version";

/** The statuses of responses to what is no request. */
export type RefusalStatus = 400 | 405 | 408 | 431 | 505;

/** A response whose bytes are all there. A handler reuses it for one request after the other. */
export interface WholeResponse {
  /** The head is `bytes[start..headEnd)`, the body `bytes[headEnd..end)`. */
  readonly out: {
    readonly bytes: Uint8Array;
    readonly start: number;
    readonly headEnd: number;
    readonly end: number;
  };
  /** Whether the head alone is sent. */
  readonly isHead: boolean;
  /** Whether the connection stays open after the response; the head says the same. */
  readonly keepAlive: boolean;
}

/** What a handler may ask of the connection that a request came by. */
export interface RequestSource {
  /**
   * Finds out where the request comes from, into `out`: the address of the connection, or the one that a trusted proxy names,
   * by the PROXY protocol or by a header of the request.
   * @param bytes  where the request stands
   * @returns false where the header cannot be read. Never throws, never allocates.
   */
  resolveClient(bytes: Uint8Array, request: HttpRequest, out: Address): boolean;
  /**
   * Makes what a handler needs for a body, for a response in pieces and for an upgrade. To be called within `respond`, which then
   * returns a promise of nothing.
   */
  begin(request: HttpRequest, expectsContinue: boolean): Call;
}

/** A user of the HTTP server: responds to the requests of all its connections. */
export interface HttpHandler<Response extends WholeResponse = WholeResponse> {
  /** Which requests it takes; the server refuses the others. */
  readonly rules: RequestRules;
  /**
   * Responds to the request whose head stands in `bytes`. `bytes` and `request` are valid until this returns.
   * @param keepAlive  whether the connection may stay open after the response
   * @returns the response, which must not change until {@link sent} gets it; or a promise of one: then the later requests of
   *   the connection wait; the promise is of nothing where a {@link Call} was used. What it throws or rejects with ends the
   *   connection.
   */
  respond(
    bytes: Uint8Array,
    request: HttpRequest,
    source: RequestSource,
    keepAlive: boolean,
  ): Response | Promise<Response | undefined>;
  /** Takes back a response that has been handed to the network, or that no client waits for. Never called for a refusal. */
  sent(response: Response): void;
  /** Returns the response to what is no request. The connection is closed after it. */
  refuse(status: RefusalStatus, isHead: boolean): WholeResponse;
  /**
   * Takes note of a request that the server turns away by itself: one that it refuses, that does not arrive in time, or whose
   * connection is closed before it has arrived.
   */
  rejected(reason: Rejection): void;
}
