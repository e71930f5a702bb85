/**
 * Every code that a {@link ClientError} of this project carries. Stable: metrics label by it and
 * `docs/errors.md` describes each.
 */
export type ClientErrorCode =
  | "bad-connection-id"
  | "hook"
  | "hook-timeout"
  | "internal"
  | "invalid-infohash"
  | "invalid-ip"
  | "invalid-jwt"
  | "invalid-parameter"
  | "invalid-port"
  | "invalid-query"
  | "list-not-loaded"
  | "malformed-packet"
  | "missing-infohash"
  | "missing-jwt"
  | "multiple-infohashes"
  | "overloaded"
  | "rate-limited"
  | "storage-unavailable"
  | "unapproved-address"
  | "unapproved-client"
  | "unapproved-torrent"
  | "unknown-action"
  | "unparsable-ip"
  | "unverifiable-jwt";

/** Distinct errors that are remembered, in case somebody makes one for each request. */
const mostKnown = 256;
const known = new Map<string, ClientError>();

/** The errors of this project that have been made so far, each text once; those of others' hooks are not among them. */
export function knownClientErrors(): Iterable<ClientError> {
  return known.values();
}

/**
 * A refusal whose text a BitTorrent client gets to see: `failure reason` on HTTP (BEP 3), an error packet
 * on UDP (BEP 15).
 *
 * The text must be static: it never contains input, so that it can be a metrics label and cannot be used
 * for injection. Create one instance per cause at module load and return (or throw) that same instance;
 * everything else that is thrown reaches the client as `internal server error`.
 */
export class ClientError extends Error {
  readonly code: ClientErrorCode;
  /** When the client may ask again, for `retry in` (BEP 31): minutes, `"never"`, or absent for "as usual". */
  readonly retryIn: number | "never" | undefined;

  constructor(message: string, code: ClientErrorCode = "hook", options: { retryIn?: number | "never" } = {}) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0; // one instance serves every request: a stack would name the wrong one
    super(message);
    Error.stackTraceLimit = limit;
    this.name = "ClientError";
    this.code = code;
    this.retryIn = options.retryIn;
    if (code !== "hook" && known.size < mostKnown) known.set(message, this);
  }
}

/** What a client is told when something fails that is not its fault. */
export const internalError: ClientError = new ClientError("internal server error", "internal", {
  retryIn: 5,
});

/** What a client is told while too many requests wait. */
export const overloadedError: ClientError = new ClientError("tracker is overloaded", "overloaded", {
  retryIn: 1,
});
