import type { Clock } from "./clock.ts";

/**
 * A value that costs something to get, kept for some seconds or for ever. All callers that ask while it is under way share
 * one attempt. An error is not kept, so the next caller tries again.
 */
export class Kept<T> {
  readonly #get: () => Promise<T>;
  readonly #lifetime: { readonly seconds: number; readonly clock: Clock } | undefined;
  #value: Promise<T> | undefined;
  #until = 0;

  /** @param lifetime  how long the value is kept; for ever if undefined */
  constructor(get: () => Promise<T>, lifetime?: { readonly seconds: number; readonly clock: Clock }) {
    this.#get = get;
    this.#lifetime = lifetime;
  }

  read(): Promise<T> {
    const lifetime = this.#lifetime;
    if (this.#value === undefined || (lifetime !== undefined && lifetime.clock.seconds >= this.#until)) {
      const value = this.#get();
      this.#value = value;
      this.#until = Number.POSITIVE_INFINITY;
      value.then(
        () => {
          if (lifetime !== undefined) this.#until = lifetime.clock.seconds + lifetime.seconds;
        },
        () => {
          this.#value = undefined;
        },
      );
    }
    return this.#value;
  }
}
