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

export type MetricKind = "counter" | "gauge" | "histogram";

/** One time series at one moment. Plain data, so that it can be posted between threads. */
interface SeriesSnapshot {
  labels: Labels;
  /** The value; for a histogram: observations in each bucket (not cumulative), in +Inf, then their sum. */
  values: number[];
}

/** All the series of one name at one moment. */
export interface FamilySnapshot {
  name: string;
  help: string;
  kind: MetricKind;
  /** Upper bounds without +Inf; empty but for a histogram. */
  buckets: readonly number[];
  series: SeriesSnapshot[];
}

interface Series {
  labels: Labels;
  /** First slot of what is counted here; for a histogram: one a bucket, one for +Inf, then the sum. */
  slot: number;
  /** How many; none for what is read. */
  slots: number;
  /** Who tells what is read, the newest last. */
  readers: (() => number)[];
}

interface Family {
  name: string;
  help: string;
  kind: MetricKind;
  buckets: readonly number[];
  series: Map<string, Series>;
}

/** Readers of one series that are kept, where nobody withdraws them. */
const mostReaders = 8;

/**
 * All the metrics of a tracker, or of one of its threads. What is counted per packet is one addition to a slot
 * of a typed array over shared memory: no look-up, no allocation, no lock, because each thread has slots of
 * its own; {@link mergeSnapshots} adds threads up.
 *
 * Registering the same name and labels again returns the same series. A name that is registered differently,
 * or that Prometheus would not accept, throws.
 */
export class Metrics {
  readonly #slots: Float64Array;
  #used = 0;
  readonly #families = new Map<string, Family>();
  readonly #refreshers: (() => void | Promise<void>)[] = [];

  /**
   * @param capacity  slots: one a counter, two more than it has buckets a histogram. The default has room for the
   *   response histograms of both protocols with every label they can have; memory is committed as it is used.
   */
  constructor(capacity = 65_536) {
    this.#slots = new Float64Array(new SharedArrayBuffer(capacity * 8));
  }

  counter(name: string, help: string, labels: Labels = {}): Counter {
    return this.#count(this.#series(name, help, "counter", [], labels, 1));
  }

  /** A gauge of what comes and goes: `inc(-1)` takes one away. All who register it count together. */
  upDownCounter(name: string, help: string, labels: Labels = {}): Counter {
    return this.#count(this.#series(name, help, "gauge", [], labels, 1));
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

  /**
   * A gauge that is read. Of several readers of one series the newest counts that has not been withdrawn and does not throw;
   * without any the series is left out.
   * @param read  called at each scrape
   * @returns how to withdraw it
   */
  gauge(name: string, help: string, read: () => number, labels: Labels = {}): () => void {
    return addReader(this.#series(name, help, "gauge", [], labels, 0), read);
  }

  /** A counter that is kept elsewhere, and read as {@link Metrics.gauge} is. @returns how to withdraw it */
  counterFrom(name: string, help: string, read: () => number, labels: Labels = {}): () => void {
    return addReader(this.#series(name, help, "counter", [], labels, 0), read);
  }

  /** Has `refresh` called before each scrape, to look up what several gauges then read. */
  beforeScrape(refresh: () => void | Promise<void>): void {
    this.#refreshers.push(refresh);
  }

  /**
   * Refreshes what is looked up for a scrape, then takes a snapshot.
   * @param limitMs  how long to wait for refreshers; one that takes longer or fails is not waited for
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

  /** Every series with its value now, sorted by name and then by labels. */
  snapshot(): FamilySnapshot[] {
    return [...this.#families.values()].sort(byName).map(({ name, help, kind, buckets, series }) => ({
      name,
      help,
      kind,
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
        // the one before it, then
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
  ): Series {
    let family = this.#families.get(name);
    if (!family) {
      if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) throw new Error(`not the name of a metric: ${name}`);
      family = { name, help, kind, buckets, series: new Map() };
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
  const reader = () => read(); // one's own, though the function may be another's too
  readers.push(reader);
  if (readers.length > mostReaders) readers.shift();
  return () => {
    const at = readers.indexOf(reader);
    if (at >= 0) readers.splice(at, 1);
  };
}

/** Adds up what several threads have counted: series of the same name and labels become one. */
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
      const sum = merged.series.get(key)?.values;
      merged.series.set(key, { labels, values: sum ? sum.map((value, i) => value + values[i]!) : values });
    }
  }
  return [...families.values()]
    .map(({ family, series }) => ({
      ...family,
      series: [...series].sort(([a], [b]) => compare(a, b)).map(([, one]) => one),
    }))
    .sort(byName);
}

/** The same for the same labels in whatever order. */
function seriesKey(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => compare(a, b)));
}

function byName(a: FamilySnapshot | Family, b: FamilySnapshot | Family): number {
  return compare(a.name, b.name);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
