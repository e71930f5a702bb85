import { observeExpiry } from "../../observability/storage-metrics.ts";
import { boolean, integer, options } from "../../options/index.ts";
import {
  defineStore,
  lifetimeKeys,
  reportingInterval,
  type StoreDefinition,
  type StoreDeps,
} from "../define-store.ts";
import { mostPeers, type StoreMemory } from "./layout.ts";
import { MemoryStore, type MemoryStoreConfig } from "./memory-store.ts";
import { releaseLocks } from "./repair.ts";

/** Creates a thread's store, over shared memory or over memory of its own. */
function create(config: MemoryStoreConfig, deps: StoreDeps): MemoryStore {
  const { clock, random, owner, isFirst: expires, metrics, logger } = deps;
  const memory = deps.memory as StoreMemory | undefined;
  const onExpired = observeExpiry(metrics, logger);
  const tags = deps.isPrivate ?? false;
  return new MemoryStore({
    config: { ...config, tags },
    clock,
    random,
    owner,
    expires,
    onExpired,
    ...(memory && { memory }),
  });
}

/** Keeps the swarms in the process, in memory that its threads share. */
export const memory: StoreDefinition<MemoryStoreConfig> = defineStore({
  name: "memory",
  description: "in this process",
  options: options({
    ...lifetimeKeys,
    max_peers: integer(1, mostPeers, { restart: true })
      .default(16_000_000)
      .describe("Maximum number of peers. Their memory is reserved at start, but used only as peers arrive."),
    peer_ids: boolean({ restart: true })
      .default(false)
      .describe(
        "Whether to store peer ids, for clients that ask for lists with peer ids. Costs 20 more bytes per peer.",
      ),
    shard_count: integer(0, 2 ** 31 - 1)
      .default(1024)
      .describe("The store has no shards.")
      .obsolete(),
    prometheus_reporting_interval: reportingInterval,
  }),
  create,
  share(options, deps) {
    const store = create(options, deps);
    return { memory: store.memory, store, release: (owner) => releaseLocks(store.memory, owner) };
  },
});
