/** Runs asynchronous work, each piece after the one before. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when all work before it has ended. @returns its result */
  take<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Resolves when all work has ended. */
  async ended(): Promise<void> {
    await this.#last;
  }
}
