import type { ClientError } from "../bittorrent/client-error.ts";
import type { Family } from "../ip/address.ts";

/**
 * Sees the requests of all frontends: each one begins once and ends once, whether it gets a response, is refused, or is dropped.
 * The metrics are an observer; a program brings another one by `createTracker({ observer })`.
 *
 * Each thread calls its observer from the path of its requests. Both methods must be quick, must not wait, and should not
 * allocate. What they throw is reported and harms no request.
 */
export interface Observer {
  /** Whether the observer needs times, even if the options of a frontend turn them off. */
  readonly isTimed?: boolean;
  /**
   * A request begins: it has arrived as a whole, or is refused before.
   * @param frontend  the name of its frontend: `udp`
   */
  requestBegan?(frontend: string): void;
  /**
   * A request ends: its response has been written, or there will be none.
   * @param request  reused; valid until this method returns
   */
  requestEnded(request: EndedRequest): void;
  /**
   * Several requests of one batch end that are equal in all that `request` says. Without this method, {@link requestEnded}
   * is called `count` times.
   * @param request  reused; valid until this method returns
   */
  requestsEnded?(request: EndedRequest, count: number): void;
}

/** A request at its end. */
export interface EndedRequest {
  /** The name of the frontend: `http`. */
  readonly frontend: string;
  /** What the client asked for: `announce`, `scrape`, `connect`, or another word of the frontend; "" if that is unknown. */
  readonly action: string;
  /** The address family of the peer; undefined if the request failed before the frontend knew the family. */
  readonly family: Family | undefined;
  /** The error that refused the request, with its `code`; undefined for a success, and if only `reason` says why. */
  readonly error: ClientError | undefined;
  /**
   * Why the client got no response in the tracker's protocol, but silence or the status of HTTP: `overloaded`, `not_found`.
   * Each frontend has a closed set of them. Undefined if the client got a response.
   */
  readonly reason: string | undefined;
  /** `performance.now()` at the beginning; 0 if requests are not timed. */
  readonly startedMs: number;
  /** The duration in milliseconds; 0 if requests are not timed. */
  readonly milliseconds: number;
}

/** Returned by {@link RequestReporter.begin} within a batch: an integer, because a fraction would be allocated. */
const ofBatch = -1;

type MutableEnd = { -readonly [Key in keyof EndedRequest]: EndedRequest[Key] };

/** Equal ends of one batch. */
interface EqualEnds {
  readonly ended: MutableEnd;
  count: number;
}

/**
 * Reports the requests of one frontend to the observers. A frontend calls {@link begin} once and {@link end} once for each
 * request. Neither throws nor allocates.
 *
 * A frontend that handles requests in batches surrounds each batch by {@link beginBatch} and {@link endBatch}. Then all
 * requests of the batch that end in it have its duration, and the clock is read twice per batch instead of twice per request.
 */
export class RequestReporter {
  readonly #frontend: string;
  readonly #ended: MutableEnd;
  readonly #observers: readonly Observer[];
  /** The observers that see beginnings. */
  readonly #beginning: readonly Observer[];
  readonly #isTimed: boolean;
  readonly #onError: (error: unknown) => void;
  /** When the batch began; 0 outside of a batch, and if requests are not timed. */
  #batchMs = 0;
  /** The first {@link #kinds} are the ends of this batch, equal ones together. */
  readonly #batch: EqualEnds[] = [];
  #kinds = 0;

  /** @param onError  takes what an observer throws */
  constructor(frontend: string, observers: readonly Observer[], onError: (error: unknown) => void) {
    this.#frontend = frontend;
    this.#ended = createEnd(frontend);
    this.#observers = observers;
    this.#beginning = observers.filter((observer) => observer.requestBegan !== undefined);
    this.#isTimed = observers.some((observer) => observer.isTimed === true);
    this.#onError = onError;
  }

  /** Begins a batch. @param isTimed  as in {@link begin} */
  beginBatch(isTimed = false): void {
    this.#batchMs = isTimed || this.#isTimed ? performance.now() : 0;
  }

  /** Reports the requests that ended in the batch. Call it when their responses have been handed to the kernel. */
  endBatch(): void {
    if (this.#batchMs === 0) return;
    const startedMs = this.#batchMs;
    const milliseconds = performance.now() - startedMs;
    this.#batchMs = 0;
    const kinds = this.#kinds;
    this.#kinds = 0;
    for (let i = 0; i < kinds; i++) {
      const { ended, count } = this.#batch[i]!;
      ended.startedMs = startedMs;
      ended.milliseconds = milliseconds;
      this.#report(ended, count);
    }
  }

  /** Takes a request out of its batch, because it ends later. @returns its beginning, for {@link end} */
  postpone(startedMs: number): number {
    return startedMs === ofBatch ? this.#batchMs : startedMs;
  }

  /**
   * Reports that a request begins.
   * @param isTimed  whether the options of the frontend ask for times; an observer can ask for them too
   * @returns the beginning, for {@link end}; 0 if requests are not timed
   */
  begin(isTimed = false): number {
    const isOfBatch = this.#batchMs !== 0;
    const startedMs = isOfBatch ? ofBatch : isTimed || this.#isTimed ? performance.now() : 0;
    for (let i = 0; i < this.#beginning.length; i++) {
      try {
        this.#beginning[i]!.requestBegan!(this.#frontend);
      } catch (error) {
        this.#onError(error);
      }
    }
    return startedMs;
  }

  /** Reports that a request ends. @param startedMs  what {@link begin} has returned; the rest as in {@link EndedRequest} */
  end(
    startedMs: number,
    action: string,
    family: Family | undefined,
    error?: ClientError | undefined,
    reason?: string | undefined,
  ): void {
    if (startedMs === ofBatch) {
      this.#endInBatch(action, family, error, reason);
      return;
    }
    const ended = this.#ended;
    setEnd(ended, action, family, error, reason);
    ended.startedMs = startedMs;
    ended.milliseconds = startedMs === 0 ? 0 : performance.now() - startedMs;
    this.#report(ended, 1);
  }

  /** Reports a request that is refused before it was read. */
  refuse(reason: string): void {
    this.end(this.begin(), "", undefined, undefined, reason);
  }

  #endInBatch(
    action: string,
    family: Family | undefined,
    error: ClientError | undefined,
    reason: string | undefined,
  ): void {
    for (let i = this.#kinds - 1; i >= 0; i--) {
      const equal = this.#batch[i]!;
      const { ended } = equal;
      if (
        ended.action === action &&
        ended.family === family &&
        ended.error === error &&
        ended.reason === reason
      ) {
        equal.count++;
        return;
      }
    }
    const next = this.#batch[this.#kinds] ?? { ended: createEnd(this.#frontend), count: 0 };
    this.#batch[this.#kinds++] = next;
    setEnd(next.ended, action, family, error, reason);
    next.count = 1;
  }

  #report(ended: EndedRequest, count: number): void {
    for (let i = 0; i < this.#observers.length; i++) {
      const observer = this.#observers[i]!;
      for (let calls = observer.requestsEnded === undefined ? count : 1; calls > 0; calls--) {
        try {
          if (observer.requestsEnded === undefined) observer.requestEnded(ended);
          else observer.requestsEnded(ended, count);
        } catch (thrown) {
          this.#onError(thrown);
        }
      }
    }
  }
}

function setEnd(
  ended: MutableEnd,
  action: string,
  family: Family | undefined,
  error: ClientError | undefined,
  reason: string | undefined,
): void {
  ended.action = action;
  ended.family = family;
  ended.error = error;
  ended.reason = reason;
}

function createEnd(frontend: string): MutableEnd {
  return {
    frontend,
    action: "",
    family: undefined,
    error: undefined,
    reason: undefined,
    startedMs: 0,
    milliseconds: 0,
  };
}
