import type { HttpHandler, RefusalStatus, Upgrade, Upgrader, WholeResponse } from "../../http/handler.ts";
import type { HttpServerOptions } from "../../http/options.ts";
import { trackerRules } from "../../protocol/http/request-reader.ts";
import { Router } from "../../protocol/router.ts";
import { plainResponse } from "./gate.ts";

/** The options of a server of the frontend's own if HTTP is off. */
export const standalone: Omit<HttpServerOptions, "listen" | "listenTls"> = {
  readTimeout: 5,
  writeTimeout: 5,
  idleTimeout: 30,
  keepAlive: true,
  realIpHeader: "",
  trustedProxies: [],
  proxyProtocol: false,
  maxConnections: 1024,
  maxHeaderBytes: 16_384,
};
/** The routes of WebSockets if HTTP is off. */
export const standaloneRoutes: readonly string[] = ["/announce"];

/**
 * Creates the handler of a server that serves nothing but WebSockets.
 * @param announceRoutes  returns the routes of announces over HTTP; undefined if HTTP is off
 */
export function createOwnHandler(
  upgrader: Upgrader,
  announceRoutes: () => readonly string[] | undefined,
): HttpHandler {
  let routes: readonly string[] | undefined;
  let router = new Router([], []);
  return {
    rules: trackerRules,
    respond(bytes, request, source) {
      const current = announceRoutes() ?? standaloneRoutes;
      if (current !== routes) {
        router = new Router(current, []);
        routes = current;
      }
      const route = router.match(bytes, request.targetStart, request.pathEnd);
      const upgrade = request.isUpgrade
        ? upgrader.upgrade(bytes, request, source, route)
        : plainResponse(426);
      return whole(upgrade ?? plainResponse(404));
    },
    sent: () => undefined,
    refuse: (status: RefusalStatus) => whole(plainResponse(status)),
    rejected: () => undefined,
    gaveUp: () => undefined,
  };
}

function whole({ response, heir }: Upgrade): WholeResponse {
  const { length } = response;
  const out = { bytes: response, start: 0, headEnd: length, end: length };
  return { out, isHead: false, keepAlive: heir !== undefined, heir };
}
