import type { Family } from "../bittorrent/address.ts";
import type { ClientError } from "../bittorrent/client-error.ts";
import type { Histogram, Metrics } from "./metrics.ts";

/** Microseconds up to Chihaya's own buckets (9.375 ms doubled nine times), in milliseconds. */
export const responseBuckets: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 9.375, 18.75, 37.5, 75, 150, 300, 600,
  1200, 2400, 4800,
];

/** Distinct texts of hooks that become a label; all others share `other`. */
const hookErrorLimit = 64;

/** Chihaya's response histogram of one frontend, by action, address family and error text. */
export class ResponseMetrics {
  readonly #metrics: Metrics;
  readonly #protocol: "http" | "udp";
  readonly #series = new Map<string, Histogram>();
  /** Histograms of successes by action, then IPv4 and IPv6: the path of nearly every response. */
  readonly #successes = new Map<string, [Histogram, Histogram]>();
  readonly #hookErrors = new Set<string>();

  constructor(metrics: Metrics, protocol: "http" | "udp") {
    this.#metrics = metrics;
    this.#protocol = protocol;
  }

  /**
   * Counts one response.
   * @param action        what was asked, or "" where that is unknown
   * @param family        undefined where the request failed before it was known
   * @param error         undefined for a success
   * @param milliseconds  0 where requests are not timed
   */
  observe(
    action: string,
    family: Family | undefined,
    error: ClientError | undefined,
    milliseconds: number,
  ): void {
    if (error === undefined && family !== undefined) {
      let pair = this.#successes.get(action);
      if (pair === undefined) {
        pair = [this.#histogram(action, 4, ""), this.#histogram(action, 6, "")];
        this.#successes.set(action, pair);
      }
      pair[family === 4 ? 0 : 1].observe(milliseconds);
      return;
    }
    this.#histogram(action, family, error === undefined ? "" : this.#errorLabel(error)).observe(milliseconds);
  }

  #histogram(action: string, family: Family | undefined, error: string): Histogram {
    const key = `${action}\n${family}\n${error}`;
    let histogram = this.#series.get(key);
    if (!histogram) {
      histogram = this.#metrics.histogram(
        `chihaya_${this.#protocol}_response_duration_milliseconds`,
        "The duration of time it takes to receive and write a response to an API request",
        responseBuckets,
        { action, address_family: family === undefined ? "Unknown" : `IPv${family}`, error },
      );
      this.#series.set(key, histogram);
    }
    return histogram;
  }

  #errorLabel(error: ClientError): string {
    if (error.code === "internal") return "internal error";
    if (error.code !== "hook") return error.message;
    if (this.#hookErrors.size < hookErrorLimit) this.#hookErrors.add(error.message);
    return this.#hookErrors.has(error.message) ? error.message : "other";
  }
}
