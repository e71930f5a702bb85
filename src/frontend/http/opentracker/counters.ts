import type { Counter, Metrics } from "../../../observability/metrics.ts";

/** Full scrapes that have begun. */
export const fullScrapes = {
  name: "chihaya_http_full_scrapes_total",
  help: "Lists of all torrents that clients have begun to read",
} as const;

export const fullScrapeBytes = {
  name: "chihaya_http_full_scrape_bytes_total",
  help: "Bytes of lists of all torrents, before compression",
} as const;

export const responses = {
  name: "chihaya_http_opentracker_responses_total",
  help: "Responses of opentracker's pages, by status",
  statuses: ["200", "302", "400", "403", "404", "429", "501", "503"],
} as const;

/** What is counted of opentracker's pages. */
export interface PageCounters {
  readonly fullScrapes: Counter;
  readonly bytes: Counter;
  /** By status. */
  readonly responses: ReadonlyMap<string, Counter>;
}

/** Registers the counters, all series at 0. */
export function createPageCounters(metrics: Metrics): PageCounters {
  const { name, help, statuses } = responses;
  return {
    fullScrapes: metrics.counter(fullScrapes.name, fullScrapes.help),
    bytes: metrics.counter(fullScrapeBytes.name, fullScrapeBytes.help),
    responses: new Map(statuses.map((status) => [status, metrics.counter(name, help, { status })])),
  };
}
