import { monitorEventLoopDelay } from "node:perf_hooks";

/** Delays of the event loop in seconds. */
export interface Lag {
  mean: number;
  p50: number;
  p99: number;
  max: number;
}

/** The used part of Node's histogram, which counts the nanoseconds between two ticks of a timer. */
export interface DelayHistogram {
  readonly count: number;
  readonly mean: number;
  readonly max: number;
  /** Values by percentiles, in ascending order. */
  readonly percentiles: ReadonlyMap<number, number>;
  enable(): void;
  disable(): void;
  reset(): void;
}

/**
 * Interval of the timer in milliseconds; a longer time between two ticks is a delay. Each tick wakes the thread, so a shorter interval
 * costs an idle tracker more. A stall begins between two ticks, so it is measured up to the interval too short.
 */
const resolution = 100;
/** Length of the window in milliseconds. */
const windowMs = 60_000;
/** Minimum length of a slice of the window, in milliseconds. */
const sliceMs = 5000;

/** The ticks of a part of the window. */
interface Slice {
  /** When the slice ended. */
  end: number;
  mean: number;
  max: number;
  /** Values with the number of ticks that took as long. */
  ticks: { value: number; count: number }[];
}

/**
 * Measures the delays of the thread's event loop over the last minute, or over the time since the last reading if that is
 * longer. So readers do not disturb each other, whatever their intervals. Costs nothing before the first {@link read}.
 */
export class EventLoopLag {
  readonly #monitor: (options: { resolution: number }) => DelayHistogram;
  readonly #now: () => number;
  #histogram: DelayHistogram | undefined;
  /** When the slice began that the histogram counts. */
  #since = 0;
  /** The earlier slices of the window. */
  #slices: Slice[] = [];

  constructor(
    monitor: (options: { resolution: number }) => DelayHistogram = monitorEventLoopDelay,
    now: () => number = () => performance.now(),
  ) {
    this.#monitor = monitor;
    this.#now = now;
  }

  /** Returns the delays. The first call starts the measurement and returns zeros. */
  read(): Lag {
    const now = this.#now();
    if (this.#histogram === undefined) {
      this.#histogram = this.#monitor({ resolution });
      this.#histogram.enable();
      this.#since = now;
      return { mean: 0, p50: 0, p99: 0, max: 0 };
    }
    const slices = this.#slices.filter(({ end }) => end > now - windowMs);
    slices.push(sliceOf(this.#histogram, now));
    if (now - this.#since >= sliceMs) {
      this.#slices = slices;
      this.#histogram.reset();
      this.#since = now;
    }
    return lagOf(slices);
  }

  stop(): void {
    this.#histogram?.disable();
    this.#histogram = undefined;
    this.#slices = [];
  }
}

function sliceOf({ count, mean, max, percentiles }: DelayHistogram, end: number): Slice {
  let before = 0;
  const ticks = [...percentiles].map(([percentile, value]) => {
    const upTo = (percentile / 100) * count;
    const tick = { value, count: upTo - before };
    before = upTo;
    return tick;
  });
  return { end, mean, max, ticks };
}

function lagOf(slices: readonly Slice[]): Lag {
  const ticks = slices.flatMap((slice) => slice.ticks).sort((a, b) => a.value - b.value);
  const all = countOf(ticks);
  const quantile = (q: number): number => {
    let left = q * all;
    for (const { value, count } of ticks) {
      left -= count;
      if (left <= 0) return value;
    }
    return 0;
  };
  return {
    mean: seconds(slices.reduce((sum, slice) => sum + (slice.mean || 0) * countOf(slice.ticks), 0) / all),
    p50: seconds(quantile(0.5)),
    p99: seconds(quantile(0.99)),
    max: seconds(Math.max(...slices.map(({ max }) => max))),
  };
}

function countOf(ticks: Slice["ticks"]): number {
  return ticks.reduce((sum, { count }) => sum + count, 0);
}

/** Converts the nanoseconds between two ticks to a delay in seconds; NaN (no ticks yet) becomes 0. */
function seconds(nanoseconds: number): number {
  return Math.max(0, nanoseconds - resolution * 1e6) / 1e9 || 0;
}
