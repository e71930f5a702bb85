import type { EventLoopUtilization } from "node:perf_hooks";
import { eventLoopUtilization } from "../lib/loop-utilization.ts";

/** Length of the window, and minimum time between two readings that are kept, in milliseconds. */
const windowMs = 60_000;
const sliceMs = 5000;

/**
 * Reads how busy the thread's event loop was in the last minute, or since the last reading if that is longer ago. Readers do
 * not disturb each other.
 */
export class EventLoopUse {
  readonly #now: () => number;
  readonly #measure: typeof eventLoopUtilization;
  /** Readings, oldest first; the window begins with the first. */
  #readings: { at: number; utilization: EventLoopUtilization }[];

  constructor(
    now: () => number = () => performance.now(),
    measure: typeof eventLoopUtilization = eventLoopUtilization,
  ) {
    this.#now = now;
    this.#measure = measure;
    this.#readings = [{ at: now(), utilization: measure() }];
  }

  /** Returns the share of time in which the event loop was busy: 0 to 1. */
  read(): number {
    const at = this.#now();
    const utilization = this.#measure();
    const begin = this.#readings.findLastIndex((reading) => reading.at <= at - windowMs);
    if (begin > 0) this.#readings.splice(0, begin);
    const share = this.#measure(utilization, this.#readings[0]!.utilization).utilization;
    if (at - this.#readings.at(-1)!.at >= sliceMs) this.#readings.push({ at, utilization });
    return share;
  }
}
