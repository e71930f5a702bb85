import { type ClientErrorCode, knownClientErrors } from "../../../bittorrent/client-error.ts";
import type { FamilySnapshot } from "../../../observability/metrics.ts";
import type { StoreStatistics } from "../../../storage/peer-store.ts";
import { fullScrapeBytes, fullScrapes, responses } from "./counters.ts";
import { renewalMinutes, renewals } from "./renewals.ts";

/** The numbers that opentracker's statistics show. Counts begin with the process. */
export interface Figures {
  /** A random number of the process, of 32 bits. */
  readonly trackerId: number;
  /** Seconds since the start of the process. */
  readonly uptime: number;
  readonly torrents: number;
  readonly seeders: number;
  /** Seeders and leechers. */
  readonly peers: number;
  /** Announces with the event `completed`. */
  readonly completed: number;
  readonly tcp: { readonly connections: number; readonly announces: number; readonly scrapes: number };
  readonly udp: {
    /** All datagrams. */
    readonly overall: number;
    readonly connects: number;
    readonly announces: number;
    readonly scrapes: number;
    /** Requests with a bad connection id. */
    readonly mismatches: number;
  };
  /** Announces of known peers, by the minutes since their previous announce. */
  readonly renewals: readonly number[];
  /** Records of peers in live sync. */
  readonly syncs: { readonly received: number; readonly sent: number };
  readonly fullScrapes: { readonly count: number; readonly bytes: number };
  readonly errors: {
    readonly redirects: number;
    /** Requests that are not HTTP as the tracker reads it. */
    readonly malformed: number;
    /** Announces and scrapes with a parameter that is missing or invalid. */
    readonly parameters: number;
    /** Full scrapes too soon after another one. */
    readonly notModest: number;
    /** Requests for statistics from an address that may not read them. */
    readonly denied: number;
    readonly notFound: number;
    readonly failed: number;
  };
}

const parameterErrors: ReadonlySet<string> = new Set<ClientErrorCode>([
  "invalid-infohash",
  "invalid-ip",
  "invalid-parameter",
  "invalid-port",
  "invalid-query",
  "missing-infohash",
  "multiple-infohashes",
  "unparsable-ip",
]);

/**
 * Takes the figures from the metrics.
 * @param families   the metrics of all threads
 * @param uptime     seconds since the start of the process
 * @param trackerId  a random number of the process
 */
export function readFigures(
  families: readonly FamilySnapshot[],
  { torrents, swarms, seeders, leechers }: StoreStatistics,
  uptime: number,
  trackerId: number,
): Figures {
  const count = (name: string, fits: (labels: Readonly<Record<string, string>>) => boolean = () => true) =>
    sum(families, name, fits);
  const http = "chihaya_http_response_duration_milliseconds";
  const udp = "chihaya_udp_response_duration_milliseconds";
  const rejected = (...reasons: string[]) =>
    count("chihaya_http_rejected_total", ({ reason }) => reasons.includes(reason!));
  const dropped = "chihaya_udp_dropped_datagrams_total";
  const parameters = textsOf((code) => parameterErrors.has(code));
  const mismatches = textsOf((code) => code === "bad-connection-id");
  const successes = (name: string, wanted: string) =>
    count(name, ({ action, error }) => action === wanted && error === "");
  const exchanged = (wanted: string) =>
    count("chihaya_livesync_peers_total", ({ direction }) => direction === wanted);
  const responded = (wanted: string) => count(responses.name, ({ status }) => status === wanted);
  return {
    trackerId,
    uptime: Math.floor(uptime),
    torrents: torrents ?? swarms,
    seeders,
    peers: seeders + leechers,
    completed: count("chihaya_completed_announces_total"),
    tcp: {
      connections: count("chihaya_http_connections_accepted_total"),
      announces: successes(http, "announce"),
      scrapes: successes(http, "scrape"),
    },
    udp: {
      overall: count(udp) + count(dropped),
      connects: successes(udp, "connect"),
      announces: successes(udp, "announce"),
      scrapes: successes(udp, "scrape"),
      mismatches:
        count(udp, ({ error }) => mismatches.has(error!)) +
        count(dropped, ({ reason }) => reason === "unverified"),
    },
    renewals: countByMinute(families),
    syncs: { received: exchanged("received"), sent: exchanged("sent") },
    fullScrapes: { count: count(fullScrapes.name), bytes: count(fullScrapeBytes.name) },
    errors: {
      redirects: responded("302"),
      malformed: rejected("malformed", "too_large", "method", "version"),
      parameters: count(http, ({ error }) => parameters.has(error!)),
      notModest: responded("429"),
      denied: responded("403"),
      notFound: rejected("not_found"),
      failed: rejected("failed"),
    },
  };
}

function countByMinute(families: readonly FamilySnapshot[]): number[] {
  const family = families.find(({ name }) => name === renewals.name);
  // The last value of a histogram is its sum.
  return Array.from({ length: renewalMinutes }, (_, minute) =>
    (family?.series ?? []).reduce((count, { values }) => count + values[minute]!, 0),
  );
}

/** Returns the texts of the errors whose codes fit. */
function textsOf(fits: (code: string) => boolean): Set<string> {
  return new Set([...knownClientErrors()].filter(({ code }) => fits(code)).map(({ message }) => message));
}

/** Sums the series that fit; of histograms, the observations. */
function sum(
  families: readonly FamilySnapshot[],
  name: string,
  fits: (labels: Readonly<Record<string, string>>) => boolean,
): number {
  let total = 0;
  for (const { series, kind, ...family } of families) {
    if (family.name !== name) continue;
    for (const { labels, values } of series) {
      if (!fits(labels)) continue;
      const counts = kind === "histogram" ? values.slice(0, -1) : values;
      total += counts.reduce((before, value) => before + value, 0);
    }
  }
  return total;
}
