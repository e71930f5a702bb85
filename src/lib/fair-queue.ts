/** Somebody who has more to do than fits into one turn. */
export interface TurnTaker {
  takeTurn(): void;
}

/**
 * Lets those who have much to do go on one after the other, one of them in each turn of the event loop: however many
 * they are, a turn stays short, and new connections (Node.js accepts one a turn) and their requests come in between.
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
