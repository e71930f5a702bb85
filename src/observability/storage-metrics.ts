import type { PeerStore, StoreStatistics } from "../storage/peer-store.ts";
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";
import { responseBuckets } from "./response-metrics.ts";

/**
 * Registers what a store holds, asked before each scrape, under Chihaya's names. A store that is slow shows
 * what it said last; one that fails has its gauges left out.
 */
export function registerStorageMetrics(
  metrics: Metrics,
  store: Pick<PeerStore, "statistics" | "capacity">,
): void {
  let statistics: StoreStatistics | undefined;
  metrics.beforeScrape(async () => {
    try {
      statistics = await store.statistics();
    } catch {
      statistics = undefined;
    }
  });
  const read = (what: keyof StoreStatistics) => (): number => {
    if (statistics === undefined) throw new Error("the store has not answered");
    return statistics[what];
  };
  metrics.gauge("chihaya_storage_infohashes_count", "The number of Infohashes tracked", read("swarms"));
  metrics.gauge("chihaya_storage_seeders_count", "The number of seeders tracked", read("seeders"));
  metrics.gauge("chihaya_storage_leechers_count", "The number of leechers tracked", read("leechers"));
  const peers = "Seeders and leechers by address family";
  metrics.gauge("chihaya_storage_peers", peers, read("peers4"), { address_family: "IPv4" });
  metrics.gauge("chihaya_storage_peers", peers, read("peers6"), { address_family: "IPv6" });
  const { capacity } = store;
  if (capacity !== undefined) {
    metrics.gauge(
      "chihaya_storage_capacity_peers",
      "Peers of both address families that fit into the store",
      () => capacity,
    );
  }
  registerRefusedPeers(metrics, read("refused"));
}

/** Registers that alone, for a thread beside the one that counts what is stored. */
export function registerRefusedPeers(metrics: Metrics, read: () => number): void {
  metrics.counterFrom(
    "chihaya_storage_refused_peers_total",
    "Peers that were not stored because the store was full",
    read,
  );
}

/**
 * Registers how long a pass of the store's expiry takes.
 * @returns what a store calls after each: milliseconds of work, and peers removed
 */
export function observeExpiry(
  metrics: Metrics,
  logger: Logger,
): (milliseconds: number, removed: number) => void {
  const duration = metrics.histogram(
    "chihaya_storage_gc_duration_milliseconds",
    "The time it takes to perform storage garbage collection",
    responseBuckets,
  );
  return (milliseconds, removed) => {
    duration.observe(milliseconds);
    logger.debug({ milliseconds, removed }, "removed expired peers");
  };
}
