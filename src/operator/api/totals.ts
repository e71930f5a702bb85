import type { FamilySnapshot } from "../../observability/metrics.ts";

/** Reads sums out of a scrape. */
export class Totals {
  readonly #families: ReadonlyMap<string, FamilySnapshot>;

  constructor(snapshot: readonly FamilySnapshot[]) {
    this.#families = new Map(snapshot.map((family) => [family.name, family]));
  }

  /** Adds up the series whose labels are as given; of a histogram: the observations. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    let sum = 0;
    for (const series of this.#matching(name, labels)) sum += series.count;
    return sum;
  }

  /** Returns the value of a gauge, or undefined if there is no such series. */
  gauge(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const [first, ...rest] = this.#matching(name, labels);
    return first === undefined ? undefined : rest.reduce((sum, { count }) => sum + count, first.count);
  }

  /** Returns the largest value of a gauge's series, or undefined if there is no such series. */
  largest(name: string): number | undefined {
    const counts = this.#matching(name, {}).map(({ count }) => count);
    return counts.length === 0 ? undefined : Math.max(...counts);
  }

  /** Adds up the series of a name by the value of a label. */
  by(name: string, label: string): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const { labels, count } of this.#matching(name, {})) {
      const value = labels[label] ?? "";
      sums[value] = (sums[value] ?? 0) + count;
    }
    return sums;
  }

  /** Adds up the series of histograms that have the same buckets. */
  distribution(...names: readonly string[]): Distribution {
    const families = names.flatMap((name) => this.#families.get(name) ?? []);
    const bounds = families[0]?.buckets ?? [];
    const counts = new Array<number>(bounds.length + 1).fill(0);
    let sum = 0;
    for (const { values } of families.flatMap(({ series }) => series)) {
      for (let i = 0; i < counts.length; i++) counts[i]! += values[i] ?? 0;
      sum += values.at(-1) ?? 0;
    }
    return { bounds, counts, sum };
  }

  #matching(
    name: string,
    wanted: Readonly<Record<string, string>>,
  ): { labels: Readonly<Record<string, string>>; count: number }[] {
    const family = this.#families.get(name);
    if (family === undefined) return [];
    const isHistogram = family.kind === "histogram";
    return family.series
      .filter(({ labels }) => Object.entries(wanted).every(([label, value]) => labels[label] === value))
      .map(({ labels, values }) => ({
        labels,
        count: isHistogram ? values.slice(0, -1).reduce((sum, value) => sum + value, 0) : values[0]!,
      }));
  }
}

/** Observations by size. */
export interface Distribution {
  /** Upper bounds without +Inf. */
  readonly bounds: readonly number[];
  /** Observations in each bucket, with +Inf as the last. */
  readonly counts: readonly number[];
  /** Of all observations. */
  readonly sum: number;
}

/** Returns the observations that are in `after` and were not in `before`. */
export function difference(after: Distribution, before: Distribution): Distribution {
  return {
    bounds: after.bounds,
    counts: after.counts.map((count, i) => Math.max(0, count - (before.counts[i] ?? 0))),
    sum: Math.max(0, after.sum - before.sum),
  };
}

/** Estimates a quantile. @returns undefined without observations, and if requests are not timed (all of them took 0) */
export function quantile(q: number, { bounds, counts, sum }: Distribution): number | undefined {
  if (sum === 0) return undefined;
  const all = counts.reduce((sum, count) => sum + count, 0);
  let left = q * all;
  for (const [i, count] of counts.entries()) {
    if (left <= count) {
      const from = i === 0 ? 0 : bounds[i - 1]!;
      return i < bounds.length ? from + ((bounds[i]! - from) * left) / count : from;
    }
    left -= count;
  }
  return bounds.at(-1);
}
