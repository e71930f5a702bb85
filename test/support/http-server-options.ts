import type { ConnectionCounters } from "../../src/http/connection.ts";
import type { HttpServerOptions } from "../../src/http/options.ts";

/** Options of an HTTP server on a free port of 127.0.0.1, with short times and small bounds. */
export const httpServerOptions: HttpServerOptions = {
  listen: [{ host: "127.0.0.1", port: 0 }],
  listenTls: [],
  readTimeout: 5,
  writeTimeout: 5,
  idleTimeout: 30,
  keepAlive: true,
  realIpHeader: "",
  trustedProxies: [],
  proxyProtocol: false,
  maxConnections: 100,
  maxHeaderBytes: 4096,
};

const uncounted = { inc(): void {} };

/** Counters that count nothing. */
export const noCounters: ConnectionCounters = {
  accepted: uncounted,
  received: uncounted,
  sent: uncounted,
  closed: { limit: uncounted, malformed: uncounted, timeout: uncounted },
};
