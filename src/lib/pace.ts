/** How long work may block the event loop, in milliseconds. */
const sliceMs = 2;

/** Gives requests a turn between the steps of long work. */
export class Pace {
  #since = performance.now();

  /** Waits for a turn of the event loop if the time is over. Call this between steps of well under a millisecond. */
  async step(): Promise<void> {
    if (performance.now() - this.#since < sliceMs) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#since = performance.now();
  }

  /** Runs steps to their end. */
  async run(steps: Iterable<unknown>): Promise<void> {
    for (const _ of steps) if (performance.now() - this.#since >= sliceMs) await this.step();
  }
}
