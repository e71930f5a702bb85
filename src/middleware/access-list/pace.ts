/** Longest that a long piece of work keeps the event loop to itself, in milliseconds. */
const sliceMs = 2;

/** Lets requests pass between the steps of long work. */
export class Pace {
  #since = performance.now();

  /** To be called between steps of well under a millisecond; waits for a turn of the event loop when it is time. */
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
