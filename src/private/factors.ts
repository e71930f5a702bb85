import type { FactorSource } from "./directory-records.ts";

/** Stands for a percentage that a source does not set. */
const unset = 0xffff;
/** The highest percentage. */
export const mostPercent = 0xfffe;

/** Packs two percentages into a word: up in the lower half. */
export function packFactors({ up, down }: FactorSource): number {
  return clamp(up) | (clamp(down) << 16);
}

/** Packs the end of a source into a word; 0 without an end. A word reaches until 2106, so a later end counts as none. */
export function packEnd({ until = 0 }: FactorSource): number {
  return until >= 2 ** 32 || until === 0 ? 0 : Math.max(until, 1);
}

function clamp(percent: number | undefined): number {
  return percent === undefined ? unset : Math.min(percent, mostPercent);
}

/**
 * Combines what several sources say of a user and a torrent. A source with 0 for both directions wins: the torrent is neutral.
 * Otherwise the highest percentage of the upload and the lowest of the download count. Reused; allocates nothing.
 */
export class Factors {
  #up = -1;
  #down = -1;
  #isNeutral = false;

  reset(): void {
    this.#up = this.#down = -1;
    this.#isNeutral = false;
  }

  /** Adds a source, unless it has ended. @param until  of {@link packEnd} @returns whether it has not ended */
  add(factors: number, until: number, now: number): boolean {
    if (until !== 0 && now >= until >>> 0) return false;
    const up = factors & 0xffff;
    const down = factors >>> 16;
    if (up === 0 && down === 0) this.#isNeutral = true;
    if (up !== unset && up > this.#up) this.#up = up;
    if (down !== unset && (this.#down < 0 || down < this.#down)) this.#down = down;
    return true;
  }

  /** Returns the result as {@link packFactors} packs it. A percentage that no source sets is 100. */
  get packed(): number {
    if (this.#isNeutral) return 0;
    return (this.#up < 0 ? 100 : this.#up) | ((this.#down < 0 ? 100 : this.#down) << 16);
  }
}
