import type { ListenAddress } from "../../ip/listen-address.ts";
import type { TlsFiles } from "../../net/stream.ts";

/** What the HTTP frontend is told. Only `listen` and `listenTls` cannot be changed while it runs. */
export interface HttpOptions {
  /** Plain listeners; may be empty where `listenTls` is not. */
  listen: readonly ListenAddress[];
  listenTls: readonly ListenAddress[];
  /** Required with `listenTls`. */
  tls?: TlsFiles | undefined;
  /** Seconds for a whole request to arrive, from its first byte (or from the connection's start). */
  readTimeout: number;
  /** Seconds for a response to be taken by the client. */
  writeTimeout: number;
  /** Seconds that a connection may wait for its next request. */
  idleTimeout: number;
  /** Whether connections stay open for another request. */
  keepAlive: boolean;
  /** Whether responses are timed; if not, the histogram counts them as 0 ms. */
  requestTiming: boolean;
  /** Paths with named (`:name`) and catch-all (`*name`) parameters. */
  announceRoutes: readonly string[];
  scrapeRoutes: readonly string[];
  /** Whether `ip`, `ipv4` and `ipv6` of the query are believed. */
  allowIpSpoofing: boolean;
  /** Networks (CIDR, or single addresses) of the clients for which that holds; empty for all. */
  ipSpoofingFrom: readonly string[];
  /** Header that names the client, in lower case; "" for none. Believed only from `trustedProxies`. */
  realIpHeader: string;
  /** Networks (CIDR, or single addresses) whose header or PROXY line is believed. */
  trustedProxies: readonly string[];
  /** Whether connections from trusted proxies begin with a PROXY protocol header, version 1 or 2. */
  proxyProtocol: boolean;
  maxNumWant: number;
  defaultNumWant: number;
  maxScrapeInfoHashes: number;
  /** Connections that are open at once; above it the oldest idle one is closed. */
  maxConnections: number;
  /** Bytes of a request's line and headers. */
  maxHeaderBytes: number;
}
