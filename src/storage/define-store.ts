import type { Clock, Random } from "../lib/clock.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { duration, type MayBeMissing, options, type Value } from "../options/index.ts";
import type { OptionsSchema } from "../options/schema.ts";
import type { PeerStore } from "./peer-store.ts";

/** What a store is given besides its options. */
export interface StoreDeps {
  /** Coarse time; fields, not calls. */
  readonly clock: Clock;
  readonly random: Random;
  /** Where it counts what is its own; what every store holds is counted by the tracker. */
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Whether this thread does what is done once for all threads: warn, count, expire. */
  readonly isFirst: boolean;
  /** What {@link StoreDefinition.share} has made, in a thread beside others. */
  readonly memory?: unknown;
  /** Names the thread in the locks of that memory; no two threads ever have the same. */
  readonly owner: number;
}

/** What the main thread keeps of a store whose memory the threads share. */
export interface SharedStore {
  /** Given to each thread's `create`; must be what structured cloning shares or copies. */
  readonly memory: unknown;
  /** Counts what the memory holds. */
  readonly store: Pick<PeerStore, "statistics">;
  /**
   * Gives back the locks of a thread that has died, and mends what they protect. Called in the main thread.
   * @returns locks that were held
   */
  release(owner: number): number;
}

/** A store as a module exports it: what makes stores of a configuration's options. */
export interface StoreDefinition<Options = unknown, Input = unknown> {
  /** Names the store in the configuration. */
  readonly name: string;
  /** Where the swarms are then, in a few words for the documentation. */
  readonly description?: string;
  /** Checks the options; without it there must be none. `options` of `chihaya/options` makes one. */
  readonly options?: OptionsSchema<Options, Input>;
  /** Packages that must be installed for these options; a check of the configuration looks for them. */
  packages?(options: Options): readonly string[];
  /** Makes the store of one thread. What it throws stops the start. */
  create(options: Options, deps: StoreDeps): PeerStore | Promise<PeerStore>;
  /** Makes what the stores of all threads share, in the main thread. Without it, each thread's store stands for itself. */
  share?(options: Options, deps: StoreDeps): SharedStore | Promise<SharedStore>;
}

/** Defines a store, with the types of its options from its schema. Export it as `default` for the configuration. */
export function defineStore<Options = undefined, Input = unknown>(
  definition: StoreDefinition<Options, Input>,
): StoreDefinition<Options, Input> {
  return definition;
}

/** How long a store keeps a peer, in seconds. */
export interface Lifetime {
  /** Without an announce. */
  readonly peerLifetime: number;
  /** Between two searches for peers to forget. */
  readonly gcInterval: number;
}

/** Keys of options by which a store says how long it keeps a peer. */
export const lifetimeKeys: {
  readonly gc_interval: Value<number> & MayBeMissing;
  readonly peer_lifetime: Value<number> & MayBeMissing;
} = {
  gc_interval: duration(1).default("3m").describe("Time between two searches for peers to forget."),
  peer_lifetime: duration(1, { whole: true })
    .default("31m")
    .describe("Time without an announce after which a peer is forgotten. Keep it above `announce_interval`."),
};

const lifetimeDefaults = options(lifetimeKeys).validate({}, "program") as { value: Lifetime };

/** Returns how long a store with these options keeps a peer; the defaults where the options do not say. */
export function lifetimeOf(options: unknown): Lifetime {
  const { peerLifetime, gcInterval } = { ...lifetimeDefaults.value, ...(options as Lifetime | undefined) };
  return { peerLifetime, gcInterval };
}

/** Key that Chihaya's stores have. */
export const reportingInterval: Value<number> & MayBeMissing & { readonly hasOutput: false } = duration(0)
  .default("1s")
  .describe("Metrics are counted when they are asked for.")
  .obsolete();
