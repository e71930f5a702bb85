/** Seconds for which counts are kept. */
const longest = 7200;

/** How fast a counter has grown, over several windows. */
export class Rates {
  /** Counts by their seconds, the oldest first; at most one for each second. */
  #counts: { second: number; count: number }[] = [];

  /** Notes the counter at a time. @param second  never decreases */
  note(second: number, count: number): void {
    const last = this.#counts.at(-1);
    if (last?.second === second) last.count = count;
    else this.#counts.push({ second, count });
    while (second - this.#counts[0]!.second > longest) this.#counts.shift();
  }

  /** Returns the growth per second over the last `window` seconds; 0 before the second note. */
  over(window: number): number {
    const last = this.#counts.at(-1);
    if (last === undefined) return 0;
    const first = this.#counts.findLast(({ second }) => last.second - second >= window) ?? this.#counts[0]!;
    return (last.count - first.count) / Math.max(1, window);
  }
}
