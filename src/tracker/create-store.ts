import type { StorageConfig } from "../config/config.ts";
import { registerStorageMetrics } from "../observability/storage-metrics.ts";
import { readOptions } from "../options/schema.ts";
import type { SharedStore, StoreDefinition, StoreDeps } from "../storage/define-store.ts";
import type { PeerStore } from "../storage/peer-store.ts";
import { findDefinition } from "./find-definition.ts";

/** Finds the definition of the store that a configuration names, and reads its options. */
async function findStore(storage: StorageConfig): Promise<{ definition: StoreDefinition; options: unknown }> {
  const builtIn = (): Promise<Record<string, StoreDefinition>> => import("../storage/index.ts");
  const definition = await findDefinition(storage, builtIn, "defineStore");
  return { definition, options: await readOptions(definition, storage.config, "store", "config") };
}

/** Reads the options of the store that a configuration names. @throws Error that lists the mistakes */
export async function readStoreOptions(storage: StorageConfig): Promise<unknown> {
  return (await findStore(storage)).options;
}

/** Creates the store that a configuration names, with its metrics. Loads the code of that store only. */
export async function createStore(storage: StorageConfig, deps: StoreDeps): Promise<PeerStore> {
  const { definition, options } = await findStore(storage);
  const store = await definition.create(options, deps);
  if (deps.isFirst && deps.memory === undefined) registerStorageMetrics(deps.metrics, store);
  return store;
}

/** Creates the memory that the stores of all threads share, with its metrics. Returns undefined for stores that share none. */
export async function createSharedStore(
  storage: StorageConfig,
  deps: StoreDeps,
): Promise<SharedStore | undefined> {
  const { definition, options } = await findStore(storage);
  const shared = await definition.share?.(options, deps);
  if (shared) registerStorageMetrics(deps.metrics, shared.store);
  return shared;
}
