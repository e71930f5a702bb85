/**
 * Runs work that several callers ask for, one run at a time. A call during a run gets the result of the next run, which all
 * such callers share: the current run may have passed what the caller has changed.
 */
export class SharedRun<Result> {
  readonly #work: () => Promise<Result>;
  #current: Promise<Result> | undefined;
  #next: Promise<Result> | undefined;

  constructor(work: () => Promise<Result>) {
    this.#work = work;
  }

  /** Resolves with the result of a run that begins after the call. */
  run(): Promise<Result> {
    if (this.#current === undefined) return this.#begin();
    this.#next ??= this.#current
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#begin();
      });
    return this.#next;
  }

  /** Resolves when no run is in progress or waits. Never rejects. */
  async idle(): Promise<void> {
    while (this.#current !== undefined) await (this.#next ?? this.#current).catch(() => undefined);
  }

  #begin(): Promise<Result> {
    const run = this.#work();
    this.#current = run;
    const end = (): void => {
      if (this.#next === undefined) this.#current = undefined;
    };
    run.then(end, end);
    return run;
  }
}
