import type { PeerStore, StoreStatistics } from "../storage/peer-store.ts";
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";
import { responseBuckets } from "./response-metrics.ts";

/**
 * Registers the statistics of a store under Chihaya's names, and fetches them before each scrape. If the store is slow, the
 * gauges keep their last values. If the store fails, the gauges are omitted.
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
  const read = (what: Exclude<keyof StoreStatistics, "torrents">) => (): number => {
    const value = statistics?.[what];
    if (value === undefined) throw new Error("no statistics of the store yet, or not of these peers");
    return value;
  };
  metrics.gauge("chihaya_storage_infohashes_count", "The number of Infohashes tracked", read("swarms"));
  metrics.gauge("chihaya_storage_seeders_count", "The number of seeders tracked", read("seeders"));
  metrics.gauge("chihaya_storage_leechers_count", "The number of leechers tracked", read("leechers"));
  const peers = "Seeders and leechers by address family, and the web peers of all addresses";
  metrics.gauge("chihaya_storage_peers", peers, read("peers4"), { address_family: "IPv4" });
  metrics.gauge("chihaya_storage_peers", peers, read("peers6"), { address_family: "IPv6" });
  metrics.gauge("chihaya_storage_peers", peers, read("peersWeb"), { address_family: "web" });
  const { capacity } = store;
  if (capacity !== undefined) {
    metrics.gauge(
      "chihaya_storage_capacity_peers",
      "Peers of all address families and web peers that fit into the store",
      () => capacity,
    );
  }
  registerRefusedPeers(metrics, read("refused"));
}

/** Registers the number of refused peers only, for threads that do not report the statistics of the store. */
export function registerRefusedPeers(metrics: Metrics, read: () => number): void {
  metrics.counterFrom(
    "chihaya_storage_refused_peers_total",
    "Peers that were not stored because the store was full",
    read,
  );
}

/**
 * Registers the duration of a pass of the store's expiry.
 * @returns a function to call after each pass, with its duration and the number of removed peers
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
