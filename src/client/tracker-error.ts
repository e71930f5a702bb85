/**
 * Why a request failed: `refused` by the tracker, with a reason; `unreachable` without a connection, or with a broken one;
 * `timeout` without a response; `malformed` with an unreadable response; `unsupported` with a URL of another protocol.
 */
export type TrackerErrorKind = "refused" | "unreachable" | "timeout" | "malformed" | "unsupported";

/** A failed announce or scrape. If the tracker refused the request, the message is the tracker's reason. */
export class TrackerError extends Error {
  readonly kind: TrackerErrorKind;
  /** The tracker's `retry in` (BEP 31) as it was sent: minutes or `never`. */
  readonly retryIn: string | undefined;

  constructor(kind: TrackerErrorKind, message: string, options: { retryIn?: string; cause?: unknown } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : {});
    this.name = "TrackerError";
    this.kind = kind;
    this.retryIn = options.retryIn;
  }
}
