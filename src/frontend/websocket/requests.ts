import type { RequestKinds } from "../../observability/response-metrics.ts";

const both = ["announce", "scrape"];

/** The counter of messages and WebSockets that got no response in the tracker's protocol. */
export const rejected = {
  name: "chihaya_websocket_rejected_total",
  help: "WebSocket messages that got no response",
  /**
   * - `malformed`: a message that is not JSON, or names no torrent
   * - `stopping`: the request still waited when the time to stop was over
   * - `gone`: the client had gone before the response
   * - `failed`: the tracker itself failed
   */
  reasons: ["malformed", "stopping", "gone", "failed"],
} as const;

/** Describes the requests of the WebSocket frontend. */
export const webSocketRequests: RequestKinds = {
  unreadable: {
    "invalid-infohash": both,
    "invalid-ip": both,
    "invalid-parameter": both,
    "missing-infohash": both,
    "unknown-action": both,
  },
  unanswered: rejected,
};
