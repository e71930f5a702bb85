import type { Clock } from "../lib/clock.ts";
import type { LogFields, Logger } from "./logger.ts";

/** Limit of repeated lines. */
export interface RepetitionLimit {
  /** Maximum number of lines of one key in one interval. */
  lines: number;
  /** Seconds. */
  interval: number;
}

/** The limit for lasting problems of the whole process. */
export const oncePerMinute: RepetitionLimit = { lines: 1, interval: 60 };

/** Maximum number of keys; all further keys share one limit. */
const keyLimit = 256;

/**
 * Logs errors that may repeat with every request. Omits lines of a key beyond a limit per interval. The next logged line has
 * the number of omitted lines as `suppressed`.
 */
export class RateLimitedLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #limit: RepetitionLimit;
  readonly #keys = new Map<string, { since: number; lines: number; suppressed: number }>();

  constructor(logger: Logger, clock: Clock, limit: RepetitionLimit = { lines: 5, interval: 60 }) {
    this.#logger = logger;
    this.#clock = clock;
    this.#limit = limit;
  }

  /** Logs an error. @param key  names the hook or component that failed, not the message */
  error(key: string, fields: LogFields, message: string): void {
    const suppressed = this.#take(key);
    if (suppressed !== undefined)
      this.#logger.error(suppressed ? { ...fields, suppressed } : fields, message);
  }

  /** Logs a warning, as {@link error} does. */
  warn(key: string, fields: LogFields, message: string): void {
    const suppressed = this.#take(key);
    if (suppressed !== undefined) this.#logger.warn(suppressed ? { ...fields, suppressed } : fields, message);
  }

  /** @returns the number of omitted lines before this line; undefined if this line is omitted too */
  #take(key: string): number | undefined {
    const now = this.#clock.seconds;
    if (this.#keys.size >= keyLimit && !this.#keys.has(key)) key = "";
    let state = this.#keys.get(key);
    if (state === undefined) {
      state = { since: now, lines: 0, suppressed: 0 };
      this.#keys.set(key, state);
    } else if (now - state.since >= this.#limit.interval) {
      state.since = now;
      state.lines = 0;
    }
    if (state.lines >= this.#limit.lines) {
      state.suppressed++;
      return undefined;
    }
    state.lines++;
    const { suppressed } = state;
    state.suppressed = 0;
    return suppressed;
  }
}
