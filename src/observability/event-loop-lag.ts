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
  readonly mean: number;
  readonly max: number;
  percentile(percentile: number): number;
  enable(): void;
  disable(): void;
  reset(): void;
}

/** Interval of the timer in milliseconds; a longer time between two ticks is a delay. */
const resolution = 20;

/** Measures the delays of the thread's event loop. Costs nothing before the first {@link take}. */
export class EventLoopLag {
  readonly #monitor: (options: { resolution: number }) => DelayHistogram;
  #histogram: DelayHistogram | undefined;

  constructor(monitor: (options: { resolution: number }) => DelayHistogram = monitorEventLoopDelay) {
    this.#monitor = monitor;
  }

  /** Returns the delays since the last call. The first call starts the measurement and returns zeros. */
  take(): Lag {
    let histogram = this.#histogram;
    if (histogram === undefined) {
      histogram = this.#monitor({ resolution });
      histogram.enable();
      this.#histogram = histogram;
    }
    const lag = {
      mean: seconds(histogram.mean),
      p50: seconds(histogram.percentile(50)),
      p99: seconds(histogram.percentile(99)),
      max: seconds(histogram.max),
    };
    histogram.reset();
    return lag;
  }

  stop(): void {
    this.#histogram?.disable();
    this.#histogram = undefined;
  }
}

/** Converts the nanoseconds between two ticks to a delay in seconds; NaN (no ticks yet) becomes 0. */
function seconds(nanoseconds: number): number {
  return Math.max(0, nanoseconds - resolution * 1e6) / 1e9 || 0;
}
