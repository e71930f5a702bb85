import type { ListenAddress } from "../ip/listen-address.ts";
import { Networks } from "../ip/networks.ts";
import type { TlsFiles } from "../net/stream.ts";

/** Connections that any address may have, however low the limit is. */
const minPerAddress = 16;

/** How an HTTP server treats its connections. Only `listen` and `listenTls` cannot be changed while it runs. */
export interface HttpServerOptions {
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
  /** Header that names the client, in lower case; "" for none. Believed only from `trustedProxies`. */
  realIpHeader: string;
  /** Networks (CIDR, or single addresses) whose header or PROXY line is believed. */
  trustedProxies: readonly string[];
  /** Whether connections from trusted proxies begin with a PROXY protocol header, version 1 or 2. */
  proxyProtocol: boolean;
  /** Connections that are open at once; above it the oldest idle one is closed. */
  maxConnections: number;
  /** Connections that one address may have, unless it is a trusted proxy's: a quarter of all, or 16, unless given. */
  maxPerAddress?: number;
  /** Whether, where all connections are busy, the oldest of them makes room for a new one. */
  evictsBusy?: boolean;
  /** Bytes of a request's line and headers. */
  maxHeaderBytes: number;
}

/** The options of a server as its connections use them; replaced as a whole by a reload. */
export interface HttpServerSettings {
  readonly options: HttpServerOptions;
  readonly trusted: Networks;
  /** Connections that one address may have, unless it is a trusted proxy's. */
  readonly maxPerAddress: number;
}

/** @throws RangeError for a network that cannot be used */
export function createServerSettings(options: HttpServerOptions): HttpServerSettings {
  return {
    options,
    trusted: Networks.parse(options.trustedProxies),
    maxPerAddress: options.maxPerAddress ?? Math.max(minPerAddress, options.maxConnections / 4),
  };
}
