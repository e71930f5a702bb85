/** Buckets of each power of two: a value is known to a thirty-second of itself. */
const stepBits = 5;
const steps = 2 ** stepBits;

/** What a histogram is summed up as, in microseconds. */
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

  /** Counts a latency. Anything above 2^32-1 µs counts as that. */
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

  /** The greatest value of the bucket below which a share of all values lies; 0 when there are none. */
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
