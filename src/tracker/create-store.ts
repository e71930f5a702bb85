import type { StorageConfig } from "../config/config.ts";
import { registerStorageMetrics } from "../observability/storage-metrics.ts";
import type { SharedStore, StoreDefinition, StoreDeps } from "../storage/define-store.ts";
import type { PeerStore } from "../storage/peer-store.ts";

/** Finds the definition of the store that a configuration names. */
async function findStore(storage: StorageConfig): Promise<StoreDefinition> {
  const stores: Record<string, StoreDefinition> = await import("../storage/index.ts");
  return Object.values(stores).find(({ name }) => name === storage.name)!;
}

/** Makes the store that a configuration names, with its metrics. What it needs is loaded only then. */
export async function createStore(storage: StorageConfig, deps: StoreDeps): Promise<PeerStore> {
  const definition = await findStore(storage);
  const store = await definition.create(storage.config, deps);
  if (deps.isFirst && deps.memory === undefined) registerStorageMetrics(deps.metrics, store);
  return store;
}

/** Makes what the stores of all threads share, with its metrics; undefined where they share nothing in this process. */
export async function createSharedStore(
  storage: StorageConfig,
  deps: StoreDeps,
): Promise<SharedStore | undefined> {
  const shared = await (await findStore(storage)).share?.(storage.config, deps);
  if (shared) registerStorageMetrics(deps.metrics, shared.store);
  return shared;
}
