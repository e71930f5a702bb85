import { type ClientError, knownClientErrors } from "../bittorrent/client-error.ts";
import type { Family } from "../ip/address.ts";
import type { Histogram, Metrics } from "./metrics.ts";

/** Microseconds up to Chihaya's own buckets (9.375 ms doubled nine times), in milliseconds. */
export const responseBuckets: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 9.375, 18.75, 37.5, 75, 150, 300, 600,
  1200, 2400, 4800,
];

/** Maximum number of hooks' error texts that become labels; further texts share the label `other`. */
const hookErrorLimit = 64;

/** Errors of unreadable requests, by protocol. Their address family counts as unknown. */
const unreadable: Readonly<Record<"http" | "udp", readonly ClientError["code"][]>> = {
  http: [
    ...(["invalid-infohash", "invalid-ip", "invalid-parameter", "invalid-port", "invalid-query"] as const),
    ...(["missing-infohash", "multiple-infohashes", "unparsable-ip"] as const),
  ],
  udp: ["invalid-port", "malformed-packet"],
};
/** Errors of datagrams without a known action. */
const withoutAction: readonly ClientError["code"][] = [
  "bad-connection-id",
  "malformed-packet",
  "unknown-action",
];

/** Histograms of one error by action; each array has the unknown family, IPv4 and IPv6. */
type ByAction = Map<string, (Histogram | undefined)[]>;

/** Chihaya's response histogram of one frontend, by action, address family and error text. */
export class ResponseMetrics {
  readonly #metrics: Metrics;
  readonly #protocol: "http" | "udp";
  /** Histograms of successes, which nearly all responses use. */
  readonly #successes: ByAction = new Map();
  readonly #failures = new Map<string, ByAction>();
  readonly #hookErrors = new Set<string>();

  constructor(metrics: Metrics, protocol: "http" | "udp") {
    this.#metrics = metrics;
    this.#protocol = protocol;
    this.declare();
  }

  /**
   * Registers all possible series with the value 0: an alert on an increase would miss the first failure of a new series.
   * Call it again when hooks, and so errors, may have been added.
   */
  declare(): void {
    const actions = ["announce", "scrape"];
    const ofOneProtocol = [...unreadable.http, ...unreadable.udp, ...withoutAction];
    for (const action of this.#protocol === "udp" ? [...actions, "connect"] : actions) {
      for (const family of [4, 6] as const) this.#histogram(action, family, "");
    }
    for (const error of knownClientErrors()) {
      const label = this.#errorLabel(error);
      for (const action of actions) {
        if (unreadable[this.#protocol].includes(error.code)) this.#histogram(action, undefined, label);
        if (ofOneProtocol.includes(error.code)) continue;
        for (const family of [4, 6] as const) this.#histogram(action, family, label);
      }
      if (this.#protocol === "http") continue;
      if (withoutAction.includes(error.code)) this.#histogram("", undefined, label);
      if (error.code === "malformed-packet") this.#histogram("connect", undefined, label);
    }
  }

  /**
   * Counts one response. Allocates only for new labels.
   * @param action        from a closed set; "" if the action is unknown
   * @param family        undefined if the request failed before the family was known
   * @param error         undefined for a success
   * @param milliseconds  0 if responses are not timed
   */
  observe(
    action: string,
    family: Family | undefined,
    error: ClientError | undefined,
    milliseconds: number,
  ): void {
    const label = error === undefined ? "" : this.#errorLabel(error);
    this.#histogram(action, family, label).observe(milliseconds);
  }

  #histogram(action: string, family: Family | undefined, label: string): Histogram {
    let byAction = label === "" ? this.#successes : this.#failures.get(label);
    if (byAction === undefined) {
      byAction = new Map();
      this.#failures.set(label, byAction);
    }
    let byFamily = byAction.get(action);
    if (byFamily === undefined) {
      byFamily = [undefined, undefined, undefined];
      byAction.set(action, byFamily);
    }
    const index = family === undefined ? 0 : family === 4 ? 1 : 2;
    let histogram = byFamily[index];
    if (histogram === undefined) {
      histogram = this.#register(action, family, label);
      byFamily[index] = histogram;
    }
    return histogram;
  }

  #register(action: string, family: Family | undefined, error: string): Histogram {
    return this.#metrics.histogram(
      `chihaya_${this.#protocol}_response_duration_milliseconds`,
      "The duration of time it takes to receive and write a response to an API request",
      responseBuckets,
      { action, address_family: family === undefined ? "Unknown" : `IPv${family}`, error },
    );
  }

  #errorLabel(error: ClientError): string {
    if (error.code === "internal") return "internal error";
    if (error.code !== "hook") return error.message;
    if (error.message === "") return "other"; // "" is the label of success
    if (this.#hookErrors.size < hookErrorLimit) this.#hookErrors.add(error.message);
    return this.#hookErrors.has(error.message) ? error.message : "other";
  }
}
