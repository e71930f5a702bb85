import type { Clock } from "../lib/clock.ts";
import type { LogFields, Logger } from "./logger.ts";

/** How often lines may repeat. */
export interface RepetitionLimit {
  /** Lines of one key in one interval. */
  lines: number;
  /** Seconds. */
  interval: number;
}

/** For what lasts, and concerns the whole process. */
export const oncePerMinute: RepetitionLimit = { lines: 1, interval: 60 };

/** Keys that are told apart; all others share one limit. */
const keyLimit = 256;

/**
 * Logs what may repeat with every request: at most so many lines of one key in an interval. The first line
 * after lines were left out carries their number as `suppressed`.
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

  /** @param key  what repeats: the hook or component that failed, rather than the message */
  error(key: string, fields: LogFields, message: string): void {
    const suppressed = this.#take(key);
    if (suppressed !== undefined)
      this.#logger.error(suppressed ? { ...fields, suppressed } : fields, message);
  }

  /** As {@link error}. */
  warn(key: string, fields: LogFields, message: string): void {
    const suppressed = this.#take(key);
    if (suppressed !== undefined) this.#logger.warn(suppressed ? { ...fields, suppressed } : fields, message);
  }

  /** @returns how many lines were left out before this one; undefined if this one is left out too */
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
