import type { ConnectionCounters } from "../../http/connection.ts";
import type { Counter, Metrics } from "../../observability/metrics.ts";
import { ResponseMetrics } from "../../observability/response-metrics.ts";

/** Why a connection is closed, or a request refused, without a bencoded response. */
const rejections = ["malformed", "too_large", "method", "version", "timeout", "limit", "not_found"] as const;
type Rejection = (typeof rejections)[number];

/** The metrics of the HTTP frontend. */
export class HttpMetrics implements ConnectionCounters {
  readonly responses: ResponseMetrics;
  readonly accepted: Counter;
  readonly rejected: Readonly<Record<Rejection, Counter>>;

  constructor(metrics: Metrics, openConnections: () => number) {
    this.responses = new ResponseMetrics(metrics, "http");
    metrics.gauge("chihaya_http_connections", "HTTP connections that are open", openConnections);
    this.accepted = metrics.counter(
      "chihaya_http_connections_accepted_total",
      "HTTP connections that were accepted",
    );
    const rejected: Partial<Record<Rejection, Counter>> = {};
    for (const reason of rejections) {
      rejected[reason] = metrics.counter(
        "chihaya_http_rejected_total",
        "HTTP requests and connections that were refused before they became an announce or a scrape",
        { reason },
      );
    }
    this.rejected = rejected as Record<Rejection, Counter>;
  }
}
