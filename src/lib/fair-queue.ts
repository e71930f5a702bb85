/** A party with more work than fits into one turn of the event loop. */
export interface TurnTaker {
  takeTurn(): void;
}

/**
 * Runs one waiting party per turn of the event loop. A turn stays short however many parties wait, so new connections
 * (Node.js accepts one per turn) and their requests are served in between.
 */
export class FairQueue {
  readonly #waiting = new Set<TurnTaker>();
  #scheduled = false;

  wait(taker: TurnTaker): void {
    this.#waiting.add(taker);
    this.#schedule();
  }

  leave(taker: TurnTaker): void {
    this.#waiting.delete(taker);
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      for (const first of this.#waiting) {
        this.#waiting.delete(first);
        first.takeTurn();
        break;
      }
      this.#schedule();
    });
  }
}
