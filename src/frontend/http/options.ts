import type { HttpServerOptions } from "../../http/options.ts";

/** What the HTTP frontend is given. Only `listen` and `listenTls` cannot be changed while it runs. */
export interface HttpOptions extends HttpServerOptions {
  /** Whether responses are timed; if not, the histogram counts them as 0 ms. */
  requestTiming: boolean;
  /** Paths with named (`:name`) and catch-all (`*name`) parameters. */
  announceRoutes: readonly string[];
  scrapeRoutes: readonly string[];
  /** Whether `ip`, `ipv4` and `ipv6` of the query are believed. */
  allowIpSpoofing: boolean;
  /** Networks (CIDR, or single addresses) of the clients for which that holds; empty for all. */
  ipSpoofingFrom: readonly string[];
  maxNumWant: number;
  defaultNumWant: number;
  maxScrapeInfoHashes: number;
}
