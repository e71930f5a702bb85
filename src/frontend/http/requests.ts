import type { RequestKinds } from "../../observability/response-metrics.ts";

const both = ["announce", "scrape"];

/** The counter of connections that are closed, and of requests that are refused, without a bencoded response. */
export const rejected = {
  name: "chihaya_http_rejected_total",
  help: "HTTP requests and connections that were refused before they became an announce or a scrape",
  /**
   * The reasons of the server, and:
   * - `not_found`: a path without a route
   * - `failed`: the tracker itself failed
   * - `refused`: a route has refused the request
   * - `gone`: the client of a route has gone away
   * - `stopping`: the request still waited when the time to stop was over
   */
  reasons: [
    "malformed",
    "too_large",
    "method",
    "version",
    "timeout",
    "limit",
    "not_found",
    "failed",
    "refused",
    "gone",
    "stopping",
  ],
} as const;

/** Describes the requests of the HTTP frontend. */
export const httpRequests: RequestKinds = {
  actions: ["route"],
  unreadable: {
    "invalid-infohash": both,
    "invalid-ip": both,
    "invalid-parameter": both,
    "invalid-port": both,
    "invalid-query": both,
    "missing-infohash": both,
    "multiple-infohashes": both,
    "unparsable-ip": both,
  },
  unanswered: rejected,
};
