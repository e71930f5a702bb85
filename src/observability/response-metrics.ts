import { type ClientError, knownClientErrors } from "../bittorrent/client-error.ts";
import type { Family } from "../ip/address.ts";
import type { Counter, Histogram, Metrics } from "./metrics.ts";
import type { EndedRequest, Observer } from "./observer.ts";

/** Microseconds up to Chihaya's own buckets (9.375 ms doubled nine times), in milliseconds. */
export const responseBuckets: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 9.375, 18.75, 37.5, 75, 150, 300, 600,
  1200, 2400, 4800,
];

/** Maximum number of hooks' error texts, and of unlisted reasons, that become labels; further ones share the label `other`. */
const textLimit = 64;

/** Describes the requests of a frontend. All series of its metrics start at 0. */
export interface RequestKinds {
  /** Actions besides `announce` and `scrape`. */
  readonly actions?: readonly string[];
  /**
   * Codes of the errors of unreadable requests, each with the actions under which such requests are counted. The address family
   * of these requests is unknown. Other frontends have these errors only if they list them too.
   */
  readonly unreadable?: Readonly<Partial<Record<ClientError["code"], readonly string[]>>>;
  /** The counter of requests without a response in the tracker's protocol. */
  readonly unanswered?: {
    /** `chihaya_udp_dropped_datagrams_total`. */
    readonly name: string;
    readonly help: string;
    /** The values of its label `reason`. */
    readonly reasons: readonly string[];
  };
}

/** Histograms of one error by action; each array has the unknown family, IPv4 and IPv6. */
type ByAction = Map<string, (Histogram | undefined)[]>;

/**
 * Counts the requests of one frontend: Chihaya's response histogram by action, address family and error text, and a counter of
 * the requests without a response by reason. All labels are from closed sets, whatever a frontend or a hook invents.
 */
export class ResponseMetrics implements Observer {
  readonly #metrics: Metrics;
  /** The name of the frontend in the names of metrics. */
  readonly #frontend: string;
  readonly #kinds: RequestKinds | undefined;
  /** Codes of errors that only requests of other frontends have. */
  readonly #foreign: ReadonlySet<string>;
  readonly #actions: readonly string[];
  /** Histograms of successes, which nearly all responses use. */
  readonly #successes: ByAction = new Map();
  readonly #failures = new Map<string, ByAction>();
  readonly #hookErrors = new Set<string>();
  readonly #milliseconds = new Float64Array(1);
  readonly #unanswered = new Map<string, Counter>();

  /**
   * @param frontend  its name
   * @param kinds     undefined if a series starts with its first request
   * @param foreign   codes of errors that only requests of other frontends have
   */
  constructor(
    metrics: Metrics,
    frontend: string,
    kinds?: RequestKinds,
    foreign: ReadonlySet<string> = new Set(),
  ) {
    this.#metrics = metrics;
    this.#frontend = frontend.toLowerCase().replace(/[^a-z0-9]+/g, "_");
    this.#kinds = kinds;
    this.#foreign = foreign;
    this.#actions = ["announce", "scrape", ...(kinds?.actions ?? [])];
  }

  /**
   * Registers all possible series with the value 0: an alert on an increase would miss the first failure of a new series.
   * Call it again when hooks, and so errors, may have been added.
   */
  declare(): void {
    if (this.#kinds === undefined) return;
    const { unreadable = {}, unanswered } = this.#kinds;
    for (const reason of unanswered?.reasons ?? []) this.#count(reason);
    for (const action of this.#actions) {
      for (const family of [4, 6] as const) this.#histogram(action, family, "");
    }
    for (const error of knownClientErrors()) {
      const label = this.#errorLabel(error);
      const actions = unreadable[error.code];
      for (const action of actions ?? []) this.#histogram(action, undefined, label);
      if (actions !== undefined || this.#foreign.has(error.code)) continue;
      for (const action of ["announce", "scrape"]) {
        for (const family of [4, 6] as const) this.#histogram(action, family, label);
      }
    }
  }

  requestEnded(request: EndedRequest): void {
    this.requestsEnded(request, 1);
  }

  /** Counts requests. Allocates only for new labels. */
  requestsEnded({ action, family, error, reason, milliseconds }: EndedRequest, count: number): void {
    if (reason !== undefined) this.#count(reason).inc(count);
    this.#milliseconds[0] = milliseconds;
    if (error !== undefined)
      this.#histogram(action, family, this.#errorLabel(error)).observeFirst(this.#milliseconds, count);
    else if (reason === undefined && action !== "")
      this.#histogram(action, family, "").observeFirst(this.#milliseconds, count);
  }

  #count(reason: string): Counter {
    let counter = this.#unanswered.get(reason);
    if (counter === undefined) {
      const {
        name = `chihaya_${this.#frontend}_rejected_total`,
        help = "Requests that were refused without a response in the tracker's protocol",
        reasons,
      } = this.#kinds?.unanswered ?? {};
      const hasRoom = this.#unanswered.size < textLimit;
      const isKnown = reasons?.includes(reason) ?? (hasRoom && reason !== "");
      counter = this.#metrics.counter(name, help, { reason: isKnown ? reason : "other" });
      if (hasRoom) this.#unanswered.set(reason, counter);
    }
    return counter;
  }

  #histogram(action: string, family: Family | undefined, label: string): Histogram {
    let byAction = label === "" ? this.#successes : this.#failures.get(label);
    if (byAction === undefined) {
      byAction = new Map();
      this.#failures.set(label, byAction);
    }
    let byFamily = byAction.get(action);
    if (byFamily === undefined) {
      if (action !== "" && !this.#actions.includes(action)) action = "other";
      byFamily = byAction.get(action) ?? [undefined, undefined, undefined];
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
      `chihaya_${this.#frontend}_response_duration_milliseconds`,
      "The duration of time it takes to receive and write a response to an API request",
      responseBuckets,
      { action, address_family: family === undefined ? "Unknown" : `IPv${family}`, error },
    );
  }

  #errorLabel(error: ClientError): string {
    if (error.code === "internal") return "internal error";
    if (error.code !== "hook") return error.message;
    if (error.message === "") return "other"; // "" is the label of success
    if (this.#hookErrors.size < textLimit) this.#hookErrors.add(error.message);
    return this.#hookErrors.has(error.message) ? error.message : "other";
  }
}
