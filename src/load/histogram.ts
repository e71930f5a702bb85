/** 2^5 buckets for each power of two: a value is known to within 1/32. */
const stepBits = 5;
const steps = 2 ** stepBits;

/** Percentiles and maximum of a histogram, in microseconds. */
export interface LatencySummary {
  p50: number;
  p99: number;
  p999: number;
  max: number;
}

/** Counts latencies in buckets that grow with the value, as HdrHistogram does: whole microseconds up to an hour. */
export class Histogram {
  readonly #buckets: Float64Array = new Float64Array(steps * (33 - stepBits));
  count = 0;
  max = 0;

  /** Counts a latency. Values above 2^32-1 µs count as 2^32-1 µs. */
  record(microseconds: number): void {
    const value = Math.max(0, Math.min(2 ** 32 - 1, Math.round(microseconds)));
    this.#buckets[bucketOf(value)]!++;
    this.count++;
    if (value > this.max) this.max = value;
  }

  add(other: Histogram): void {
    for (let i = 0; i < this.#buckets.length; i++) this.#buckets[i]! += other.#buckets[i]!;
    this.count += other.count;
    this.max = Math.max(this.max, other.max);
  }

  /** Returns the value that a share of all values does not exceed, rounded up to the end of its bucket; 0 without values. */
  percentile(share: number): number {
    let left = Math.ceil(this.count * share);
    for (let i = 0; i < this.#buckets.length && left > 0; i++) {
      left -= this.#buckets[i]!;
      if (left <= 0) return Math.min(this.max, greatestOf(i));
    }
    return this.max;
  }

  summary(): LatencySummary {
    return {
      p50: this.percentile(0.5),
      p99: this.percentile(0.99),
      p999: this.percentile(0.999),
      max: this.max,
    };
  }
}

function bucketOf(value: number): number {
  const shift = Math.max(0, 31 - Math.clz32(value) - stepBits);
  return shift * steps + (value >>> shift);
}

function greatestOf(bucket: number): number {
  const shift = Math.max(0, Math.floor(bucket / steps) - 1);
  return (bucket - shift * steps + 1) * 2 ** shift - 1;
}
