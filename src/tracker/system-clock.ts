import type { Clock } from "../lib/clock.ts";

/** Time between two updates of the fields, in milliseconds. */
const tickMs = 250;

/** The machine's clocks as coarse fields. A timer updates the fields; it does not keep the process alive. */
export class SystemClock implements Clock {
  seconds = 0;
  unixSeconds = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    this.#tick();
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#tick(), tickMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    this.seconds = process.hrtime()[0];
    this.unixSeconds = Math.floor(Date.now() / 1000);
  }
}
