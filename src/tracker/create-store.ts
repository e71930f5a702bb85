import type { StorageConfig } from "../config/config.ts";
import type { Clock, Random } from "../lib/clock.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { observeExpiry, registerStorageMetrics } from "../observability/storage-metrics.ts";
import type { StoreMemory } from "../storage/memory/layout.ts";
import { MemoryStore } from "../storage/memory/memory-store.ts";
import type { PeerStore } from "../storage/peer-store.ts";

/** What a thread gives to its store. */
export interface StoreParts {
  clock: Clock;
  random: Random;
  metrics: Metrics;
  logger: Logger;
  /** Whether it does what is done once for all threads: warn, count, expire. */
  isFirst: boolean;
  /** The memory of another thread's store, where there is one. */
  memory?: StoreMemory | undefined;
  /** Names the thread in the locks of that memory. */
  owner?: number;
}

/** Makes the store that a configuration names, with its metrics. What it needs is loaded only then. */
export async function createStore(storage: StorageConfig, parts: StoreParts): Promise<PeerStore> {
  if (storage.name === "memory") return createMemoryStore(storage.config, parts);
  const { createRedisStore } = await import("./create-redis-store.ts");
  return createRedisStore(storage.config, parts);
}

/** Makes the store in memory; where threads share one, the main thread's shows what it holds. */
export function createMemoryStore(
  config: Extract<StorageConfig, { name: "memory" }>["config"],
  { clock, random, metrics, logger, isFirst, memory, owner = 1 }: StoreParts,
): MemoryStore {
  const onExpired = observeExpiry(metrics, logger);
  const options = { config, clock, random, owner, expires: isFirst, onExpired };
  const store = new MemoryStore(memory === undefined ? options : { ...options, memory });
  if (memory === undefined) registerStorageMetrics(metrics, store);
  return store;
}
