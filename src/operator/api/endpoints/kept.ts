import type { Clock } from "../../../lib/clock.ts";

/** A value that costs something to get, kept for some seconds. All who ask while it is under way get the same. */
export class Kept<T> {
  readonly #get: () => Promise<T>;
  readonly #seconds: number;
  readonly #clock: Clock;
  #value: Promise<T> | undefined;
  #until = 0;

  constructor(get: () => Promise<T>, seconds: number, clock: Clock) {
    this.#get = get;
    this.#seconds = seconds;
    this.#clock = clock;
  }

  read(): Promise<T> {
    if (this.#value === undefined || this.#clock.seconds >= this.#until) {
      const value = this.#get();
      this.#value = value;
      this.#until = Number.POSITIVE_INFINITY;
      value.then(
        () => {
          this.#until = this.#clock.seconds + this.#seconds;
        },
        () => {
          this.#value = undefined;
        },
      );
    }
    return this.#value;
  }
}
