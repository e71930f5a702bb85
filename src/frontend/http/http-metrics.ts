import type { ConnectionCounters } from "../../http/connection.ts";
import type { Counter, Metrics } from "../../observability/metrics.ts";
import { countTraffic } from "../traffic.ts";
import { rejected } from "./requests.ts";

/** Registers what is counted of connections. An observer counts the requests. */
export function createConnectionCounters(
  metrics: Metrics,
  openConnections: () => number,
): ConnectionCounters {
  metrics.gauge("chihaya_http_connections", "HTTP connections that are open", openConnections);
  const closed = (reason: string): Counter => metrics.counter(rejected.name, rejected.help, { reason });
  return {
    accepted: metrics.counter(
      "chihaya_http_connections_accepted_total",
      "HTTP connections that were accepted",
    ),
    ...countTraffic(metrics, "http"),
    closed: { limit: closed("limit"), malformed: closed("malformed"), timeout: closed("timeout") },
  };
}
