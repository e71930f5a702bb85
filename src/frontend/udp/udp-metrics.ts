import type { Counter, Metrics } from "../../observability/metrics.ts";

/**
 * Why a datagram is dropped: the values of the metric's `reason`.
 * - `source`: its source address or port cannot receive a response
 * - `short`: less than 16 bytes
 * - `magic`: a connect request without the constant of BEP 15
 * - `unverified`: a bad connection id, in a datagram that is too small for an error, or after too many errors to the address
 * - `overloaded`: too many requests wait for a hook or the store
 * - `stopping`: the tracker is stopping
 * - `failed`: the tracker itself failed
 */
export type DropReason = "source" | "short" | "magic" | "unverified" | "overloaded" | "stopping" | "failed";

/** Registers one counter for each reason. */
export function createDropCounters(metrics: Metrics): Readonly<Record<DropReason, Counter>> {
  const counter = (reason: DropReason) =>
    metrics.counter("chihaya_udp_dropped_datagrams_total", "UDP datagrams that were dropped, by reason", {
      reason,
    });
  return {
    source: counter("source"),
    short: counter("short"),
    magic: counter("magic"),
    unverified: counter("unverified"),
    overloaded: counter("overloaded"),
    stopping: counter("stopping"),
    failed: counter("failed"),
  };
}
