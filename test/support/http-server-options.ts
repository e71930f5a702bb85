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
