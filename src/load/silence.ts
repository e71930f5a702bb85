/** How long one look at the sockets can count, in milliseconds. */
const longestLookMs = 50;

/**
 * Measures for how long nothing has arrived. Only time in which the generator looks at its sockets counts: if the machine pauses,
 * responses may wait there.
 */
export class Silence {
  #lookedAt: number;
  #ms = 0;

  /** @param now  milliseconds of `performance.now()` */
  constructor(now: number) {
    this.#lookedAt = now;
  }

  /** Counts one look at the sockets. @returns milliseconds of silence */
  look(now: number): number {
    this.#ms += Math.min(now - this.#lookedAt, longestLookMs);
    this.#lookedAt = now;
    return this.#ms;
  }

  /** Starts again, because something has arrived. */
  end(now: number): void {
    this.#lookedAt = now;
    this.#ms = 0;
  }
}
