import type { Clock } from "../../../lib/clock.ts";
import { duration, integer, options } from "../../../options/index.ts";
import { type Endpoint, endpoint } from "../endpoint.ts";
import { seriesNames } from "../history.ts";
import { ReaderLimit } from "../reader-limit.ts";
import { countErrors, countResponses, type Sampler } from "../sampler.ts";
import { count, list, map, nullable, number, object, type Shape, string } from "../shape.ts";
import type { Totals } from "../totals.ts";

/** Means per second. */
export interface Rates {
  readonly requests: number;
  readonly announces: number;
  readonly errors: number;
}

/** The lists of a hook, from files and URLs. */
interface ListStats {
  readonly hook: string;
  readonly entries: number;
  readonly failing_sources: number;
  readonly age_seconds: number | null;
}

/** What the WebSocket frontend does. Without the frontend, `sockets` is null and all else is empty. */
interface WebStats {
  readonly sockets: number | null;
  readonly offers: number;
  readonly answers: number;
  readonly answered_share: number | null;
  readonly refused: Readonly<Record<string, number>>;
  readonly rejected: Readonly<Record<string, number>>;
}

/** The state of the tracker in one object. Null is unknown. */
export interface Stats {
  readonly version: string;
  readonly uptime_seconds: number;
  readonly workers: number;
  readonly torrents: number | null;
  readonly seeders: number | null;
  readonly leechers: number | null;
  readonly peers: { readonly ipv4: number | null; readonly ipv6: number | null; readonly web: number | null };
  readonly requests: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly errors: readonly { readonly protocol: string; readonly error: string; readonly count: number }[];
  readonly error_responses: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly rejected: Readonly<Record<string, number>>;
  readonly web: WebStats;
  readonly rates: { readonly "1": Rates; readonly "10": Rates; readonly "60": Rates; readonly "900": Rates };
  readonly latency_ms: {
    readonly p50: number | null;
    readonly p90: number | null;
    readonly p99: number | null;
  };
  readonly store: {
    readonly used: number | null;
    readonly capacity: number | null;
    readonly refused: number;
  };
  readonly lists: readonly ListStats[];
  readonly process: {
    readonly cpu_seconds: number;
    readonly resident_bytes: number;
    readonly open_files: number | null;
    readonly worker_restarts: number;
  };
}

const rates: Shape<Rates> = object({
  requests: number("Announces, scrapes and connects a second."),
  announces: number(),
  errors: number("Error responses a second."),
});

const statsShape: Shape<Stats> = object({
  version: string("The version of the tracker."),
  uptime_seconds: number(),
  workers: count("Threads that serve clients."),
  torrents: nullable(
    count("Swarms: a torrent counts once for each kind of peers that it has (IPv4, IPv6, web)."),
  ),
  seeders: nullable(count()),
  leechers: nullable(count()),
  peers: object(
    { ipv4: nullable(count()), ipv6: nullable(count()), web: nullable(count()) },
    "Seeders and leechers by family; those of browsers, whatever their addresses, are `web`.",
  ),
  requests: map(map(count()), "Responses by protocol and action since the start."),
  errors: list(
    object({ protocol: string(), error: string("The text that clients get."), count: count() }),
    "Error responses by protocol and text, the most frequent first.",
  ),
  error_responses: count("All of them."),
  dropped: map(count(), "Datagrams without a response, by reason."),
  rejected: map(count(), "HTTP requests and connections that were refused, by reason."),
  web: object(
    {
      sockets: nullable(count("Open WebSockets; null if `websocket` is off.")),
      offers: count("Offers that were relayed."),
      answers: count("Answers that were relayed."),
      answered_share: nullable(number("Answers for each offer of the last 15 minutes, 0 to 1.")),
      refused: map(count(), "Requests for a WebSocket that were refused, by reason."),
      rejected: map(count(), "Messages without a response, by reason."),
    },
    "WebTorrent clients.",
  ),
  rates: object(
    { "1": rates, "10": rates, "60": rates, "900": rates },
    "Means over the last seconds. Up to ten seconds late without a viewer.",
  ),
  latency_ms: object(
    { p50: nullable(number()), p90: nullable(number()), p99: nullable(number()) },
    "Of the last minute; null if `enable_request_timing` is false.",
  ),
  store: object({
    used: nullable(count("Peers.")),
    capacity: nullable(count("Peers that fit; null if the store has no limit of its own.")),
    refused: count("Peers that did not fit."),
  }),
  lists: list(
    object({
      hook: string(),
      entries: count("Entries from files and URLs."),
      failing_sources: count("Files and URLs whose list cannot be used; the log says why."),
      age_seconds: nullable(number("Since the lists agreed with their sources; null if they never did.")),
    }),
    "The lists of each hook that has files or URLs.",
  ),
  process: object({
    cpu_seconds: number(),
    resident_bytes: number(),
    open_files: nullable(number()),
    worker_restarts: count(),
  }),
});

export interface StatsDeps {
  readonly version: string;
  readonly clock: Clock;
  readonly sampler: Sampler;
  /** Threads that serve clients. */
  workers(): number;
}

/** Seconds over which the rates are given. */
const periods = ["1", "10", "60", "900"] as const;
/** Seconds over which the share of answered offers is given. */
const sharePeriod = 900;

/** Returns a share; null if there is nothing to share. An answer may come in the second after its offer. */
function shareOf(part: number, whole: number): number | null {
  return whole > 0 ? Math.min(1, part / whole) : null;
}

/** Builds the object of `/stats`. */
export function describeStats(totals: Totals, { version, clock, sampler, workers }: StatsDeps): Stats {
  const { by, errors } = countResponses(totals);
  const gauge = (name: string, labels = {}) => totals.gauge(name, labels) ?? null;
  const seeders = gauge("chihaya_storage_seeders_count");
  const leechers = gauge("chihaya_storage_leechers_count");
  const mean = (name: (typeof seriesNames)[number], seconds: number) =>
    sampler.history.mean(name, seconds) ?? 0;
  const ratesOver = (seconds: number) => {
    const sum = (...names: readonly (typeof seriesNames)[number][]) =>
      names.reduce((total, name) => total + mean(name, seconds), 0);
    const announces = sum("udp_announces", "http_announces", "websocket_announces");
    const others = sum("udp_scrapes", "udp_connects", "http_scrapes", "websocket_scrapes");
    return { requests: announces + others, announces, errors: mean("errors", seconds) };
  };
  return {
    version,
    uptime_seconds: process.uptime(),
    workers: workers(),
    torrents: gauge("chihaya_storage_infohashes_count"),
    seeders,
    leechers,
    peers: {
      ipv4: gauge("chihaya_storage_peers", { address_family: "IPv4" }),
      ipv6: gauge("chihaya_storage_peers", { address_family: "IPv6" }),
      web: gauge("chihaya_storage_peers", { address_family: "web" }),
    },
    requests: by,
    errors,
    error_responses: countErrors(totals),
    dropped: totals.by("chihaya_udp_dropped_datagrams_total", "reason"),
    rejected: totals.by("chihaya_http_rejected_total", "reason"),
    web: {
      sockets: gauge("chihaya_web_sockets"),
      offers: totals.sum("chihaya_web_offers_total", { result: "relayed" }),
      answers: totals.sum("chihaya_web_answers_total", { result: "relayed" }),
      answered_share: shareOf(mean("web_answers", sharePeriod), mean("web_offers", sharePeriod)),
      refused: totals.by("chihaya_web_refused_total", "reason"),
      rejected: totals.by("chihaya_websocket_rejected_total", "reason"),
    },
    rates: Object.fromEntries(periods.map((period) => [period, ratesOver(Number(period))])) as Stats["rates"],
    latency_ms: sampler.latency(),
    store: {
      used: seeders === null || leechers === null ? null : seeders + leechers,
      capacity: gauge("chihaya_storage_capacity_peers"),
      refused: totals.sum("chihaya_storage_refused_peers_total"),
    },
    lists: describeLists(totals, clock.unixSeconds),
    process: {
      cpu_seconds: totals.sum("process_cpu_seconds_total"),
      resident_bytes: totals.sum("process_resident_memory_bytes"),
      open_files: gauge("process_open_fds"),
      worker_restarts: totals.sum("chihaya_worker_restarts_total"),
    },
  };
}

/** Writes a server-sent event. */
function writeEvent(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

function describeLists(totals: Totals, now: number): ListStats[] {
  const failing = totals.by("chihaya_access_list_failing_sources", "hook");
  const successes = totals.by("chihaya_access_list_last_success_timestamp_seconds", "hook");
  return Object.entries(totals.by("chihaya_access_list_entries", "hook")).map(([hook, entries]) => ({
    hook,
    entries,
    failing_sources: failing[hook] ?? 0,
    age_seconds: successes[hook] ? Math.max(0, now - successes[hook]) : null,
  }));
}

/** Clients that may listen to events at once. */
const maxListeners = 16;

/** Makes `/stats`, `/stats/history` and `/events`. */
export function statsEndpoints(deps: StatsDeps): Endpoint[] {
  const { sampler } = deps;
  const listeners = new ReaderLimit(maxListeners, "listen");

  async function* follow(gone: AbortSignal): AsyncGenerator<Uint8Array> {
    let newest: Totals | undefined = await sampler.read();
    let wake = (): void => undefined;
    const unwatch = sampler.watch((totals) => {
      newest = totals;
      wake();
    });
    const onGone = () => wake();
    gone.addEventListener("abort", onGone);
    try {
      while (!gone.aborted) {
        if (newest === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        const stats = describeStats(newest, deps);
        newest = undefined;
        const sample = { end: deps.clock.unixSeconds, ...sampler.history.read(1, 1) };
        yield Buffer.from(writeEvent("stats", stats) + writeEvent("sample", sample));
      }
    } finally {
      unwatch();
      gone.removeEventListener("abort", onGone);
    }
  }

  return [
    endpoint({
      method: "GET",
      path: "/stats",
      scope: "read",
      summary: "The state of the tracker in one object",
      response: statsShape,
      handle: async () => describeStats(await sampler.read(), deps),
    }),
    endpoint({
      method: "GET",
      path: "/stats/history",
      scope: "read",
      summary: "Series of the last minutes, hours or days",
      query: options({
        window: duration(1, { whole: true }).default("10m").describe("How far to look back, 7 days at most."),
        step: duration(1, { whole: true })
          .default("1s")
          .describe("Time between two values: the next of 1s, 10s and 5m that reaches back that far."),
        limit: integer(1, 5000).default("5000").describe("The most values of one series."),
      }),
      response: object({
        step: count("Seconds between two values."),
        end: count("The second of the newest value, since 1970."),
        series: map(list(nullable(number())), `By name, the oldest value first: ${seriesNames.join(", ")}.`),
      }),
      handle: ({ query: { window, step, limit } }) => {
        const { history } = sampler;
        const read = history.read(window, Math.max(step, Math.ceil(window / limit)));
        return { ...read, end: deps.clock.unixSeconds };
      },
    }),
    endpoint({
      method: "GET",
      path: "/events",
      scope: "read",
      summary:
        "Server-sent events: each second `stats` with the object of /stats, and `sample` with the newest second of /stats/history",
      streams: "text/event-stream",
      problems: [503],
      handle: ({ request }) => listeners.admit(request, follow(request.gone)),
    }),
  ];
}
