/** Label names and values of one time series. Values must come from a closed set, not from input. */
export type Labels = Readonly<Record<string, string>>;

/** A value that grows. */
export interface Counter {
  inc(by?: number): void;
}

/** Counts observations by size. */
export interface Histogram {
  observe(value: number): void;
  /**
   * Observes the first number of an array `count` times (1), without an allocation: a fraction as an argument may be
   * allocated.
   */
  observeFirst(values: Float64Array, count?: number): void;
}

export type MetricKind = "counter" | "gauge" | "histogram";

/** How the values of several threads become one: `min` is for gauges of what all threads have in common. */
export type Merge = "sum" | "min";

/** One time series at one moment. Plain data that threads can send to each other. */
interface SeriesSnapshot {
  labels: Labels;
  /** The value; for a histogram, the number of observations in each bucket (not cumulative) and in +Inf, then their sum. */
  values: number[];
}

/** All the series of one name at one moment. */
export interface FamilySnapshot {
  name: string;
  help: string;
  kind: MetricKind;
  merge: Merge;
  /** Upper bounds of a histogram without +Inf; otherwise empty. */
  buckets: readonly number[];
  series: SeriesSnapshot[];
}

interface Series {
  labels: Labels;
  /** The first slot; a histogram has one slot for each bucket, one for +Inf, and one for the sum. */
  slot: number;
  /** Number of slots; 0 for a series with readers. */
  slots: number;
  /** Functions that return the value; the newest is last. */
  readers: (() => number)[];
}

interface Family {
  name: string;
  help: string;
  kind: MetricKind;
  merge: Merge;
  buckets: readonly number[];
  series: Map<string, Series>;
}

/** Maximum number of readers of a series; the oldest reader is removed. */
const mostReaders = 8;

/**
 * The metrics of a tracker, or of one of its threads. Counting adds to a slot of a typed array over shared memory, without
 * look-up, allocation or lock, because each thread has its own slots. {@link mergeSnapshots} sums the threads.
 *
 * Registering the same name and labels again returns the same series. Registering a name with another kind or other
 * buckets, or a name that Prometheus does not accept, throws an error.
 */
export class Metrics {
  readonly #slots: Float64Array;
  #used = 0;
  readonly #families = new Map<string, Family>();
  readonly #refreshers: (() => void | Promise<void>)[] = [];

  /**
   * @param capacity  number of slots. A counter takes one slot; a histogram takes one for each bucket and two more. The
   *   default has room for the response histograms of four frontends with all their labels. The system commits memory on use.
   */
  constructor(capacity = 131_072) {
    this.#slots = new Float64Array(new SharedArrayBuffer(capacity * 8));
  }

  counter(name: string, help: string, labels: Labels = {}): Counter {
    return this.#count(this.#series(name, help, "counter", [], labels, 1));
  }

  /** Registers a gauge that is counted: `inc(-1)` subtracts one. Callers that register the same series share its value. */
  upDownCounter(name: string, help: string, labels: Labels = {}): Counter {
    return this.#count(this.#series(name, help, "gauge", [], labels, 1));
  }

  /** @param buckets  upper bounds, ascending, without +Inf */
  histogram(name: string, help: string, buckets: readonly number[], labels: Labels = {}): Histogram {
    const { slot } = this.#series(name, help, "histogram", buckets, labels, buckets.length + 2);
    const slots = this.#slots;
    const sumSlot = slot + buckets.length + 1;
    const observeFirst = (values: Float64Array, count = 1): void => {
      const value = values[0]!;
      let bucket = 0;
      while (bucket < buckets.length && value > buckets[bucket]!) bucket++;
      slots[slot + bucket] = slots[slot + bucket]! + count;
      slots[sumSlot] = slots[sumSlot]! + count * value;
    };
    const observed = new Float64Array(1);
    return {
      observeFirst,
      observe(value) {
        observed[0] = value;
        observeFirst(observed);
      },
    };
  }

  /**
   * Registers a gauge that is read. A series with several readers has the value of the newest one that does not throw; if
   * all throw, the series is omitted.
   * @param read   called at each scrape
   * @param merge  how the values of several threads become one
   * @returns a function that removes the reader
   */
  gauge(
    name: string,
    help: string,
    read: () => number,
    labels: Labels = {},
    merge: Merge = "sum",
  ): () => void {
    return addReader(this.#series(name, help, "gauge", [], labels, 0, merge), read);
  }

  /** Registers a counter that is read as {@link Metrics.gauge} is. @returns a function that removes the reader */
  counterFrom(name: string, help: string, read: () => number, labels: Labels = {}): () => void {
    return addReader(this.#series(name, help, "counter", [], labels, 0), read);
  }

  /** Calls `refresh` before each scrape, to fetch the values that several gauges then read. */
  beforeScrape(refresh: () => void | Promise<void>): void {
    this.#refreshers.push(refresh);
  }

  /**
   * Calls all functions of {@link beforeScrape}, then takes a snapshot.
   * @param limitMs  maximum time to wait for these functions
   */
  async scrape(limitMs = 2000): Promise<FamilySnapshot[]> {
    const waiting = this.#refreshers.map(async (refresh) => refresh());
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    await Promise.race([Promise.allSettled(waiting), limit]);
    clearTimeout(timer);
    return this.snapshot();
  }

  /** Returns every series with its present value, sorted by name and then by labels. */
  snapshot(): FamilySnapshot[] {
    return [...this.#families.values()].sort(byName).map(({ name, help, kind, merge, buckets, series }) => ({
      name,
      help,
      kind,
      merge,
      buckets,
      series: [...series]
        .sort(([a], [b]) => compare(a, b))
        .flatMap(([, one]) => {
          const values = this.#values(one);
          return values === undefined ? [] : [{ labels: one.labels, values }];
        }),
    }));
  }

  #count({ slot }: Series): Counter {
    const slots = this.#slots;
    return {
      inc(by = 1) {
        slots[slot] = slots[slot]! + by;
      },
    };
  }

  #values({ slot, slots, readers }: Series): number[] | undefined {
    if (slots > 0) return Array.from(this.#slots.subarray(slot, slot + slots));
    for (const read of readers.toReversed()) {
      try {
        return [read()];
      } catch {
        // tries the next older reader
      }
    }
    return undefined;
  }

  #series(
    name: string,
    help: string,
    kind: MetricKind,
    buckets: readonly number[],
    labels: Labels,
    slots: number,
    merge: Merge = "sum",
  ): Series {
    let family = this.#families.get(name);
    if (!family) {
      if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) throw new Error(`not the name of a metric: ${name}`);
      family = { name, help, kind, merge, buckets, series: new Map() };
      this.#families.set(name, family);
    } else if (family.kind !== kind) {
      throw new Error(`metric ${name} is a ${family.kind} already, not a ${kind}`);
    } else if (family.buckets.join() !== buckets.join()) {
      throw new Error(`metric ${name} has other buckets already`);
    }
    const key = seriesKey(labels);
    let series = family.series.get(key);
    if (!series) {
      for (const label of Object.keys(labels)) {
        if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) || label === "le") {
          throw new Error(`metric ${name} cannot have a label ${label}`);
        }
      }
      if (this.#used + slots > this.#slots.length) throw new Error(`no room for metric ${name}`);
      series = { labels, slot: this.#used, slots, readers: [] };
      this.#used += slots;
      family.series.set(key, series);
    }
    return series;
  }
}

function addReader({ readers }: Series, read: () => number): () => void {
  const reader = () => read(); // a new function, since `read` may be registered twice
  readers.push(reader);
  if (readers.length > mostReaders) readers.shift();
  return () => {
    const at = readers.indexOf(reader);
    if (at >= 0) readers.splice(at, 1);
  };
}

/** Merges the series of the same name and labels of several threads, see {@link Merge}. */
export function mergeSnapshots(snapshots: readonly (readonly FamilySnapshot[])[]): FamilySnapshot[] {
  const families = new Map<string, { family: FamilySnapshot; series: Map<string, SeriesSnapshot> }>();
  for (const family of snapshots.flat()) {
    let merged = families.get(family.name);
    if (!merged) {
      merged = { family, series: new Map() };
      families.set(family.name, merged);
    }
    for (const { labels, values } of family.series) {
      const key = seriesKey(labels);
      const other = merged.series.get(key)?.values;
      const both = family.merge === "min" ? Math.min : add;
      merged.series.set(key, {
        labels,
        values: other ? other.map((value, i) => both(value, values[i]!)) : values,
      });
    }
  }
  return [...families.values()]
    .map(({ family, series }) => ({
      ...family,
      series: [...series].sort(([a], [b]) => compare(a, b)).map(([, one]) => one),
    }))
    .sort(byName);
}

function add(a: number, b: number): number {
  return a + b;
}

/** Returns the same key for the same labels in any order. */
function seriesKey(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => compare(a, b)));
}

function byName(a: FamilySnapshot | Family, b: FamilySnapshot | Family): number {
  return compare(a.name, b.name);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
