import type { Counter, Metrics } from "../../observability/metrics.ts";

/**
 * Why a datagram gets no answer: the values of the metric's `reason`.
 * - `source`: nobody can be answered at its address or port
 * - `short`: less than 16 bytes
 * - `magic`: a connect request without the constant of BEP 15
 * - `unverified`: a bad connection id in a datagram that is too small, or from an address that is too busy, for an error
 * - `overloaded`: too many requests wait for a hook or the store
 * - `stopping`: the tracker is about to stop
 * - `failed`: the tracker itself failed
 */
export type DropReason = "source" | "short" | "magic" | "unverified" | "overloaded" | "stopping" | "failed";

/** Registers one counter for each reason to stay silent. */
export function createDropCounters(metrics: Metrics): Readonly<Record<DropReason, Counter>> {
  const counter = (reason: DropReason) =>
    metrics.counter(
      "chihaya_udp_dropped_datagrams_total",
      "UDP datagrams that were left without an answer, by reason",
      { reason },
    );
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
