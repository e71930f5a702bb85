import type { Clock } from "../../lib/clock.ts";
import type { FamilySnapshot } from "../../observability/metrics.ts";
import { History, type Sample } from "./history.ts";
import { type Distribution, difference, quantile, Totals } from "./totals.ts";

/** Seconds between two samples, without a viewer and with one. */
const idlePeriod = 10;
const livePeriod = 1;
/** Seconds over which latencies are measured. */
const latencyPeriod = 60;

/** The histograms of responses by protocol. */
export const responses = {
  udp: "chihaya_udp_response_duration_milliseconds",
  http: "chihaya_http_response_duration_milliseconds",
  websocket: "chihaya_websocket_response_duration_milliseconds",
} as const;
/** Counters of requests without a response. */
const unanswered = [
  "chihaya_udp_dropped_datagrams_total",
  "chihaya_http_rejected_total",
  "chihaya_websocket_rejected_total",
] as const;

/** The counters at one moment. */
interface Reading {
  readonly at: number;
  readonly totals: Totals;
  readonly durations: Distribution;
}

export interface SamplerDeps {
  readonly clock: Clock;
  scrape(): Promise<readonly FamilySnapshot[]>;
  /** Takes the error of a reading by the timer. */
  onError(error: Error): void;
}

/**
 * Reads the metrics every ten seconds into a {@link History}; every second while a viewer watches. The history therefore
 * begins with the start of the tracker, and not with the first viewer.
 */
export class Sampler {
  readonly history: History = new History();
  readonly #deps: SamplerDeps;
  readonly #watchers = new Set<(totals: Totals) => void>();
  #newest: Reading | undefined;
  /** Response times up to each reading, the newest last; the first is about {@link latencyPeriod} old. */
  readonly #durations: Pick<Reading, "at" | "durations">[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isReading = false;

  constructor(deps: SamplerDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.stop();
    const period = this.#watchers.size > 0 ? livePeriod : idlePeriod;
    this.#timer = setInterval(() => this.read().catch(this.#deps.onError), period * 1000).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Calls `watcher` with a sample each second. @returns a function that stops the calls */
  watch(watcher: (totals: Totals) => void): () => void {
    this.#watchers.add(watcher);
    if (this.#watchers.size === 1) this.#adapt();
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.#adapt();
    };
  }

  /** Reads the metrics now and returns the totals. The timer calls this too. During another reading, returns the totals of the reading before. */
  async read(): Promise<Totals> {
    const newest = this.#newest;
    if (this.#isReading && newest !== undefined) return newest.totals;
    this.#isReading = true;
    try {
      const totals = new Totals(await this.#deps.scrape());
      const at = Math.floor(this.#deps.clock.seconds);
      const durations = totals.distribution(...Object.values(responses));
      const reading = { at, totals, durations };
      if (newest !== undefined && at > newest.at) this.history.add(toSample(newest, reading), newest.at, at);
      if (newest === undefined || at > newest.at) {
        this.#newest = reading;
        this.#durations.push({ at, durations });
        while (this.#durations.length > 1 && at - this.#durations[1]!.at >= latencyPeriod)
          this.#durations.shift();
      }
      for (const watcher of this.#watchers) watcher(totals);
      return totals;
    } finally {
      this.#isReading = false;
    }
  }

  /** Returns the quantiles of the last minute in milliseconds; null while nothing was timed. */
  latency(): { p50: number | null; p90: number | null; p99: number | null } {
    const first = this.#durations[0];
    const last = this.#durations.at(-1);
    const recent = first && last ? difference(last.durations, first.durations) : undefined;
    const of = (q: number) => (recent ? (quantile(q, recent) ?? null) : null);
    return { p50: of(0.5), p90: of(0.9), p99: of(0.99) };
  }

  /** Lets the timer follow the watchers. */
  #adapt(): void {
    if (this.#timer !== undefined) this.start();
  }
}

function toSample(before: Reading, { at, totals, durations }: Reading): Sample {
  const seconds = at - before.at;
  const rate = (read: (totals: Totals) => number) =>
    Math.max(0, (read(totals) - read(before.totals)) / seconds);
  const requests = (protocol: keyof typeof responses, action: string) =>
    rate((one) => one.sum(responses[protocol], { action }));
  const gauge = (name: string, labels = {}) => totals.gauge(name, labels) ?? Number.NaN;
  const recent = difference(durations, before.durations);
  const seeders = gauge("chihaya_storage_seeders_count");
  const leechers = gauge("chihaya_storage_leechers_count");
  return {
    udp_announces: requests("udp", "announce"),
    udp_scrapes: requests("udp", "scrape"),
    udp_connects: requests("udp", "connect"),
    http_announces: requests("http", "announce"),
    http_scrapes: requests("http", "scrape"),
    websocket_announces: requests("websocket", "announce"),
    websocket_scrapes: requests("websocket", "scrape"),
    web_offers: rate((one) => one.sum("chihaya_web_offers_total", { result: "relayed" })),
    web_answers: rate((one) => one.sum("chihaya_web_answers_total", { result: "relayed" })),
    errors: rate(countErrors),
    dropped: rate((one) => unanswered.reduce((sum, name) => sum + one.sum(name), 0)),
    torrents: gauge("chihaya_storage_infohashes_count"),
    seeders,
    leechers,
    peers_ipv4: gauge("chihaya_storage_peers", { address_family: "IPv4" }),
    peers_ipv6: gauge("chihaya_storage_peers", { address_family: "IPv6" }),
    peers_web: gauge("chihaya_storage_peers", { address_family: "web" }),
    store_fill: (seeders + leechers) / gauge("chihaya_storage_capacity_peers"),
    http_connections: gauge("chihaya_http_connections"),
    latency_p50_ms: quantile(0.5, recent) ?? Number.NaN,
    latency_p99_ms: quantile(0.99, recent) ?? Number.NaN,
    cpu: rate((one) => one.sum("process_cpu_seconds_total")),
    memory_bytes: gauge("process_resident_memory_bytes"),
    loop_lag_ms: (totals.largest("nodejs_eventloop_lag_p99_seconds") ?? Number.NaN) * 1000,
  };
}

/** Returns the error responses of all protocols. */
export function countErrors(totals: Totals): number {
  return Object.values(responses).reduce(
    (sum, name) => sum + totals.sum(name) - totals.sum(name, { error: "" }),
    0,
  );
}

/** Returns the responses by protocol and action, and the error responses by protocol and text. */
export function countResponses(totals: Totals): {
  by: Record<string, Record<string, number>>;
  errors: { protocol: string; error: string; count: number }[];
} {
  const by: Record<string, Record<string, number>> = {};
  const errors: { protocol: string; error: string; count: number }[] = [];
  for (const [protocol, name] of Object.entries(responses)) {
    const { "": unknown = 0, ...actions } = totals.by(name, "action");
    by[protocol] = unknown > 0 ? { ...actions, unknown } : actions;
    for (const [error, count] of Object.entries(totals.by(name, "error"))) {
      if (error !== "" && count > 0) errors.push({ protocol, error, count });
    }
  }
  return { by, errors: errors.sort((a, b) => b.count - a.count) };
}
