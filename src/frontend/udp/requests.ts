import type { RequestKinds } from "../../observability/response-metrics.ts";

/**
 * Why a datagram is dropped:
 * - `source`: its source address or port cannot receive a response
 * - `short`: less than 16 bytes
 * - `magic`: a connect request without the constant of BEP 15
 * - `unverified`: a bad connection id, in a datagram that is too small for an error, or after too many errors to the address
 * - `overloaded`: too many requests wait for a hook or the store
 * - `stopping`: the tracker is stopping
 * - `failed`: the tracker itself failed
 */
const dropReasons = ["source", "short", "magic", "unverified", "overloaded", "stopping", "failed"] as const;
export type DropReason = (typeof dropReasons)[number];

/** Describes the requests of the UDP frontend. */
export const udpRequests: RequestKinds = {
  actions: ["connect"],
  unreadable: {
    "bad-connection-id": [""],
    "invalid-port": ["announce", "scrape"],
    "malformed-packet": ["announce", "scrape", "connect", ""],
    "unknown-action": [""],
  },
  unanswered: {
    name: "chihaya_udp_dropped_datagrams_total",
    help: "UDP datagrams that were dropped, by reason",
    reasons: dropReasons,
  },
};
