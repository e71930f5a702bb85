/**
 * Every code that a {@link ClientError} of the tracker itself carries; those of a hook are in its definition. Stable:
 * metrics label by it and `docs/errors.md` describes each.
 */
export type ClientErrorCode =
  | "bad-connection-id"
  | "banned-address"
  | "banned-torrent"
  | "hook"
  | "hook-timeout"
  | "internal"
  | "invalid-infohash"
  | "invalid-ip"
  | "invalid-parameter"
  | "invalid-port"
  | "invalid-query"
  | "list-not-loaded"
  | "malformed-message"
  | "malformed-packet"
  | "missing-infohash"
  | "multiple-infohashes"
  | "overloaded"
  | "storage-unavailable"
  | "too-many-torrents"
  | "unknown-action"
  | "unparsable-ip";

/** The number of distinct errors kept, in case a hook makes an error for each request. */
const mostKnown = 256;
const known = new Map<string, ClientError>();

/** Returns the errors that this project has created so far, each text once, without those of other people's hooks. */
export function knownClientErrors(): Iterable<ClientError> {
  return known.values();
}

/**
 * An error that refuses a request. The client shows its text: `failure reason` over HTTP (BEP 3), an error packet over
 * UDP (BEP 15).
 *
 * The text must be static. It never contains input, so it can be a metrics label and cannot carry an injection. Create
 * one instance per cause at module load, and return or throw that instance. A client sees any other thrown error as
 * `internal server error`.
 */
export class ClientError extends Error {
  readonly code: ClientErrorCode | (string & {});
  /**
   * When the client may retry, for `retry in` (BEP 31): minutes or `"never"`; undefined leaves the time to the client.
   */
  readonly retryIn: number | "never" | undefined;

  constructor(
    message: string,
    code: ClientErrorCode | (string & {}) = "hook",
    options: { retryIn?: number | "never" } = {},
  ) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0; // one instance serves every request, so its stack would mislead
    super(message);
    Error.stackTraceLimit = limit;
    this.name = "ClientError";
    this.code = code;
    this.retryIn = options.retryIn;
    if (code !== "hook" && known.size < mostKnown) known.set(message, this);
  }
}

/** Refuses a request that failed through no fault of the client. */
export const internalError: ClientError = new ClientError("internal server error", "internal", {
  retryIn: 5,
});

/** Refuses a request while too many others wait. */
export const overloadedError: ClientError = new ClientError("tracker is overloaded", "overloaded", {
  retryIn: 1,
});
