import { monitorEventLoopDelay } from "node:perf_hooks";

/** How late the event loop was, in seconds. */
export interface Lag {
  mean: number;
  p50: number;
  p99: number;
  max: number;
}

/** What is used of Node's histogram: nanoseconds between two looks at the loop. */
export interface DelayHistogram {
  readonly mean: number;
  readonly max: number;
  percentile(percentile: number): number;
  enable(): void;
  disable(): void;
  reset(): void;
}

/** Milliseconds between two looks at the loop; a delay is what comes on top. */
const resolution = 20;

/** Watches how late the thread's event loop is. Costs nothing before the first {@link take}. */
export class EventLoopLag {
  readonly #monitor: (options: { resolution: number }) => DelayHistogram;
  #histogram: DelayHistogram | undefined;

  constructor(monitor: (options: { resolution: number }) => DelayHistogram = monitorEventLoopDelay) {
    this.#monitor = monitor;
  }

  /** The lag since the last call; zeros at the first, which begins to watch. */
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

/** From the nanoseconds between two looks; NaN, while there was none, is no lag. */
function seconds(nanoseconds: number): number {
  return Math.max(0, nanoseconds - resolution * 1e6) / 1e9 || 0;
}
