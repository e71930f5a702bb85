import type { HookResult } from "chihaya";

/** Remembers verdicts for some seconds, and no more than `size` of them: the oldest go first. */
export class Verdicts {
  readonly #seconds: number;
  readonly #size: number;
  readonly #known = new Map<string, { verdict: HookResult; until: number }>();

  constructor(seconds: number, size: number) {
    this.#seconds = seconds;
    this.#size = size;
  }

  /** @returns undefined where nothing is known any more */
  get(key: string, now: number): { readonly verdict: HookResult } | undefined {
    const known = this.#known.get(key);
    return known !== undefined && now < known.until ? known : undefined;
  }

  remember(key: string, verdict: HookResult, now: number): HookResult {
    this.#known.delete(key); // to the end of the order
    this.#known.set(key, { verdict, until: now + this.#seconds });
    if (this.#known.size > this.#size) this.#known.delete(this.#known.keys().next().value!);
    return verdict;
  }
}
