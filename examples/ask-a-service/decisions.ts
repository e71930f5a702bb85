import type { HookResult } from "chihaya";

/** Caches decisions for some seconds. A full cache evicts its oldest decision. */
export class Decisions {
  readonly #seconds: number;
  readonly #size: number;
  readonly #known = new Map<string, { decision: HookResult; until: number }>();

  constructor(seconds: number, size: number) {
    this.#seconds = seconds;
    this.#size = size;
  }

  /** @returns undefined if the cache has no current decision for `key` */
  get(key: string, now: number): { readonly decision: HookResult } | undefined {
    const known = this.#known.get(key);
    return known !== undefined && now < known.until ? known : undefined;
  }

  remember(key: string, decision: HookResult, now: number): HookResult {
    this.#known.delete(key); // moves the key to the end of the order
    this.#known.set(key, { decision, until: now + this.#seconds });
    if (this.#known.size > this.#size) this.#known.delete(this.#known.keys().next().value!);
    return decision;
  }
}
