import { randomInt } from "node:crypto";
import type { Clock, Random } from "../lib/clock.ts";
import type { Probe, ProbeDeps } from "../lib/probe.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { duration, type MayBeMissing, options, type Value } from "../options/index.ts";
import type { OptionsSchema } from "../options/schema.ts";
import type { PeerStore } from "./peer-store.ts";

/** The collaborators of a store, passed in beside its options. */
export interface StoreDeps {
  /** Coarse time, as fields. */
  readonly clock: Clock;
  readonly random: Random;
  /** Where the store registers metrics of its own; the tracker counts what every store has. */
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Whether this thread does the work that happens once for all threads: warnings, counts, expiry. */
  readonly isFirst: boolean;
  /** Whether the tracker is private: a store then keeps {@link AnnounceRequest.tag} of each peer. */
  readonly isPrivate?: boolean;
  /** The result of {@link StoreDefinition.share}, in a thread beside others. */
  readonly memory?: unknown;
  /** Identifies the thread in the locks of the shared memory; no two threads ever have the same number. */
  readonly owner: number;
  /**
   * Identifies this tracker among those that share the store, the same in all its threads: see {@link drawTracker}. Undefined for
   * a tracker of one thread.
   */
  readonly tracker?: number;
}

/** Draws the number of a tracker: 1 to 2^32 - 1. */
export function drawTracker(): number {
  return randomInt(1, 2 ** 32);
}

/** The main thread's part of a store whose memory the threads share. */
export interface SharedStore {
  /** Passed to each thread's `create`; structured cloning must be able to share or copy it. */
  readonly memory: unknown;
  /** Counts the contents of the memory. */
  readonly store: Pick<PeerStore, "statistics">;
  /**
   * Releases the locks of a thread that has died, and repairs the data under them. Called in the main thread.
   * @returns the number of locks that the thread held
   */
  release(owner: number): number;
}

/** A store as a module exports it: creates stores from the options in the config. */
export interface StoreDefinition<Options = unknown, Input = unknown> {
  /** The name of the store in the config. */
  readonly name: string;
  /** Where the store keeps swarms, in a few words for the documentation. */
  readonly description?: string;
  /** Checks the options; a store without `options` has none. `options` of `chihaya/options` makes a description. */
  readonly options?: OptionsSchema<Options, Input>;
  /** Packages that these options need; a check of the config looks for them. */
  packages?(options: Options): readonly string[];
  /** Lists what these options connect to. `chihaya check-config --connect` tries each. */
  probes?(options: Options, deps: ProbeDeps): readonly Probe[];
  /** Creates the store of one thread. An error stops the start. */
  create(options: Options, deps: StoreDeps): PeerStore | Promise<PeerStore>;
  /**
   * Creates, in the main thread, the memory that all threads share. Without `share`, the threads' stores are
   * independent.
   */
  share?(options: Options, deps: StoreDeps): SharedStore | Promise<SharedStore>;
}

/** Defines a store; its schema gives the types of its options. Export the definition as `default` for the config. */
export function defineStore<Options = undefined, Input = unknown>(
  definition: StoreDefinition<Options, Input>,
): StoreDefinition<Options, Input> {
  return definition;
}

/** How long a store keeps a peer, in seconds. */
export interface Lifetime {
  /** Seconds without an announce after which a peer expires. */
  readonly peerLifetime: number;
  /** Seconds between two passes that remove expired peers. */
  readonly gcInterval: number;
}

/** The option keys that set how long a store keeps a peer. */
export const lifetimeKeys: {
  readonly gc_interval: Value<number> & MayBeMissing;
  readonly peer_lifetime: Value<number> & MayBeMissing;
} = {
  gc_interval: duration(1).default("3m").describe("Time between two passes that remove expired peers."),
  peer_lifetime: duration(1, { whole: true })
    .default("31m")
    .describe("Time without an announce after which a peer expires. Keep it above `announce_interval`."),
};

const lifetimeDefaults = options(lifetimeKeys).validate({}, "program") as { value: Lifetime };

/** Returns how long a store with these options keeps a peer; uses the defaults for missing options. */
export function lifetimeOf(options: unknown): Lifetime {
  const { peerLifetime, gcInterval } = { ...lifetimeDefaults.value, ...(options as Lifetime | undefined) };
  return { peerLifetime, gcInterval };
}

/** An option of Chihaya's stores. */
export const reportingInterval: Value<number> & MayBeMissing & { readonly hasOutput: false } = duration(0)
  .default("1s")
  .describe("The tracker counts metrics when they are scraped.")
  .obsolete();
