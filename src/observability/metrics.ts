/** Label names and values of one time series. Values must come from a closed set, never from input. */
export type Labels = Readonly<Record<string, string>>;

/** Only goes up. */
export interface Counter {
  inc(by?: number): void;
}

/** Counts observations by size. */
export interface Histogram {
  observe(value: number): void;
}

type Kind = "counter" | "gauge" | "histogram";

interface Series {
  labels: Labels;
  /** First slot of a counter or histogram; for a histogram: one a bucket, one for +Inf, then the sum. */
  slot: number;
  /** For gauges, and counters that somebody else counts. */
  read: (() => number) | undefined;
}

interface Family {
  name: string;
  help: string;
  kind: Kind;
  buckets: readonly number[];
  series: Map<string, Series>;
}

/**
 * All the metrics of a tracker. What is counted per packet is one addition to a slot of a typed array over
 * shared memory: no look-up, no allocation, no lock, because each thread has slots of its own.
 *
 * Registering the same name and labels again returns the same series.
 */
export class Metrics {
  readonly #slots: Float64Array;
  #used = 0;
  readonly #families = new Map<string, Family>();

  /** @param capacity  slots: one a counter, two more than it has buckets a histogram */
  constructor(capacity = 16_384) {
    this.#slots = new Float64Array(new SharedArrayBuffer(capacity * 8));
  }

  counter(name: string, help: string, labels: Labels = {}): Counter {
    const { slot } = this.#series(name, help, "counter", [], labels, 1);
    const slots = this.#slots;
    return {
      inc(by = 1) {
        slots[slot] = slots[slot]! + by;
      },
    };
  }

  /** @param buckets  upper bounds, ascending, without +Inf */
  histogram(name: string, help: string, buckets: readonly number[], labels: Labels = {}): Histogram {
    const { slot } = this.#series(name, help, "histogram", buckets, labels, buckets.length + 2);
    const slots = this.#slots;
    const count = buckets.length;
    return {
      observe(value) {
        let bucket = 0;
        while (bucket < count && value > buckets[bucket]!) bucket++;
        slots[slot + bucket] = slots[slot + bucket]! + 1;
        slots[slot + count + 1] = slots[slot + count + 1]! + value;
      },
    };
  }

  /** @param read  called at each scrape */
  gauge(name: string, help: string, read: () => number, labels: Labels = {}): void {
    this.#series(name, help, "gauge", [], labels, 0).read = read;
  }

  /** A counter that is kept elsewhere. @param read  called at each scrape */
  counterFrom(name: string, help: string, read: () => number, labels: Labels = {}): void {
    this.#series(name, help, "counter", [], labels, 0).read = read;
  }

  #series(
    name: string,
    help: string,
    kind: Kind,
    buckets: readonly number[],
    labels: Labels,
    slots: number,
  ): Series {
    let family = this.#families.get(name);
    if (!family) {
      family = { name, help, kind, buckets, series: new Map() };
      this.#families.set(name, family);
    } else if (family.kind !== kind) {
      throw new Error(`metric ${name} is a ${family.kind} already, not a ${kind}`);
    }
    const key = JSON.stringify(labels);
    let series = family.series.get(key);
    if (!series) {
      if (this.#used + slots > this.#slots.length) throw new Error(`no room for metric ${name}`);
      series = { labels, slot: this.#used, read: undefined };
      this.#used += slots;
      family.series.set(key, series);
    }
    return series;
  }
}
