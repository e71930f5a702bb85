import type { Clock } from "../lib/clock.ts";

/**
 * The machine's clocks as coarse fields. A timer updates the fields when a second of `unixSeconds` begins; it does not keep
 * the process alive. An idle process wakes for little else.
 */
export class SystemClock implements Clock {
  seconds = 0;
  unixSeconds = 0;
  /** Called after each update. */
  onTick: ((seconds: number) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    this.#tick();
  }

  start(): void {
    if (this.#timer === undefined) this.#schedule();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(): void {
    const untilNext = 1000 - (Date.now() % 1000);
    this.#timer = setTimeout(() => {
      this.#tick();
      this.#schedule();
    }, untilNext).unref();
  }

  #tick(): void {
    this.seconds = process.hrtime()[0];
    this.unixSeconds = Math.floor(Date.now() / 1000);
    this.onTick?.(this.seconds);
  }
}
