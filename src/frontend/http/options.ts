import type { HttpServerOptions } from "../../http/options.ts";

import type { OpentrackerOptions } from "./opentracker/options.ts";

/** The options of the HTTP frontend. A reload cannot change `listen` and `listenTls`. */
export interface HttpOptions extends HttpServerOptions {
  /** Whether responses are timed; if not, the histogram counts them as 0 ms. */
  requestTiming: boolean;
  /** Paths with named (`:name`) and catch-all (`*name`) parameters. */
  announceRoutes: readonly string[];
  scrapeRoutes: readonly string[];
  /** Whether to believe `ip`, `ipv4` and `ipv6` of the query. */
  allowIpSpoofing: boolean;
  /** Networks and addresses of clients that `allowIpSpoofing` applies to; empty means all clients. */
  ipSpoofingFrom: readonly string[];
  maxNumWant: number;
  defaultNumWant: number;
  maxScrapeInfoHashes: number;
  /** Statistics and lists of all torrents; undefined if they are off. */
  opentracker?: Partial<OpentrackerOptions> | undefined;
}
