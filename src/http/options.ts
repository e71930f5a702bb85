import type { ListenAddress } from "../ip/listen-address.ts";
import { Networks } from "../ip/networks.ts";
import type { TlsFiles } from "../net/stream.ts";

/** Number of connections that any address may have, even if a quarter of all is less. */
const minPerAddress = 16;

/** Returns the maximum number of connections of one address: a quarter of all, at least 16. */
export function mostPerAddress(maxConnections: number): number {
  return Math.max(minPerAddress, maxConnections / 4);
}

/** The options of an HTTP server. A reload cannot change `listen` and `listenTls`. */
export interface HttpServerOptions {
  /** Addresses of plain listeners; may be empty if `listenTls` is not. */
  listen: readonly ListenAddress[];
  listenTls: readonly ListenAddress[];
  /** Required with `listenTls`. */
  tls?: TlsFiles | undefined;
  /** Maximum seconds for a whole request to arrive, from its first byte (or from the connection's start). */
  readTimeout: number;
  /** Maximum seconds for the client to receive a response. */
  writeTimeout: number;
  /** Maximum seconds that a connection waits for its next request. */
  idleTimeout: number;
  /** Whether connections stay open for another request. */
  keepAlive: boolean;
  /** Header that names the client, in lower case; "" for none. Believed only from `trustedProxies`. */
  realIpHeader: string;
  /** Networks and addresses whose header or PROXY line is believed. */
  trustedProxies: readonly string[];
  /** Whether connections from trusted proxies begin with a PROXY protocol header, version 1 or 2. */
  proxyProtocol: boolean;
  /** Maximum number of open connections; at the limit, the oldest idle connection is closed. */
  maxConnections: number;
  /** Maximum number of connections of an address other than a trusted proxy. Default: a quarter of all, at least 16. */
  maxPerAddress?: number;
  /** Whether the oldest busy connection is closed for a new one if all connections are busy. */
  evictsBusy?: boolean;
  /** Maximum length of request line and headers together, in bytes. */
  maxHeaderBytes: number;
}

/** The parsed options of a server; a reload replaces the whole object. */
export interface HttpServerSettings {
  readonly options: HttpServerOptions;
  readonly trusted: Networks;
  /** Maximum number of connections of an address other than a trusted proxy. */
  readonly maxPerAddress: number;
}

/** Parses the options. @throws RangeError for an invalid network */
export function createServerSettings(options: HttpServerOptions): HttpServerSettings {
  return {
    options,
    trusted: Networks.parse(options.trustedProxies),
    maxPerAddress: options.maxPerAddress ?? mostPerAddress(options.maxConnections),
  };
}
