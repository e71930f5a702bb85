import type { Config } from "../config/config.ts";
import type { Clock, Random } from "../lib/clock.ts";
import { type Network, openNetwork } from "../net/network.ts";
import type { Logger } from "../observability/logger.ts";
import type { FamilySnapshot, Metrics } from "../observability/metrics.ts";
import type { ComponentState } from "../operator/health.ts";
import type { PeerStore } from "../storage/peer-store.ts";
import { composeSettings } from "../tracker/compose.ts";
import { readStoreOptions } from "../tracker/create-store.ts";
import type { LocalHub, ShareHub } from "../tracker/share-hub.ts";
import { Tracker, type TrackerSettings } from "../tracker/tracker.ts";

/** Where the tracker runs: in this thread, or in worker threads. */
export interface Host {
  /** What is running, with ports and keys that were chosen at the start. */
  readonly config: Config;
  /** Starts it all or rejects. */
  start(): Promise<void>;
  /** The addresses that are answered on, as URLs. */
  urls(): string[];
  readonly isServing: boolean;
  readiness(): Promise<Record<string, ComponentState>>;
  /**
   * Takes a configuration that has been settled with the running one, or rejects and changes nothing.
   */
  reload(config: Config): Promise<void>;
  /** @param deadline  seconds for requests under way */
  stop(deadline: number): Promise<void>;
  scrape(): Promise<readonly FamilySnapshot[]>;
}

export interface HostParts {
  config: Config;
  store: PeerStore;
  clock: Clock;
  random: Random;
  metrics: Metrics;
  logger: Logger;
  /** What the hooks share. */
  hub: LocalHub;
}

/** The parts of a host in one thread, which may be a worker. */
interface LocalParts extends Omit<HostParts, "hub"> {
  hub: ShareHub;
  /** Names the thread in the locks of shared memory. */
  owner: number;
}

/** Opens the network that a configuration asks for; says why, where it has to be the portable one. */
export async function openConfiguredNetwork(
  config: Config,
  logger: Logger,
  descriptors?: Uint8Array,
): Promise<Network> {
  const onFallback = ({ message }: Error) =>
    logger.info({ reason: message }, "using the portable network engine");
  return openNetwork(config.network, onFallback, descriptors);
}

/** The tracker in this very thread. */
export class LocalHost implements Host {
  config: Config;
  readonly #parts: LocalParts;
  readonly #network: Network;
  #tracker: Tracker | undefined;
  /** Whether other threads serve the same addresses. */
  readonly #shared: boolean;

  /** @param network  stays open, for others in this thread */
  constructor(parts: LocalParts, network: Network, shared = false) {
    this.#parts = parts;
    this.config = parts.config;
    this.#network = network;
    this.#shared = shared;
  }

  async start(): Promise<void> {
    const { store, clock, metrics, logger } = this.#parts;
    const own = { network: this.#network, shared: this.#shared };
    const tracker = new Tracker(await this.#compose(this.config), { store, clock, metrics, logger, ...own });
    await tracker.start();
    this.#tracker = tracker;
  }

  urls(): string[] {
    return this.#tracker?.urls() ?? [];
  }

  get isServing(): boolean {
    return this.#tracker?.isServing ?? false;
  }

  async readiness(): Promise<Record<string, ComponentState>> {
    const tracker = this.isServing || "not serving";
    return { tracker, ...this.#storageReadiness(), ...this.#tracker?.readiness() };
  }

  /** A store that serves without its engine is ready all the same: its clients are answered. */
  #storageReadiness(): Record<string, ComponentState> {
    const { store } = this.#parts;
    if (store.readiness === undefined) return {};
    if (store.readiness === true || !store.servesUnready) return { storage: store.readiness };
    return { storage: { readyBut: `serving from local memory: ${store.readiness}` } };
  }

  async reload(config: Config): Promise<void> {
    const tracker = this.#tracker;
    if (!tracker) throw new Error("the tracker is not running");
    await this.#parts.hub.reload(async () => {
      const takeOptions = this.#parts.store.prepare?.(await readStoreOptions(config.storage));
      await tracker.reload(await this.#compose(config), takeOptions);
    });
    this.config = config;
  }

  #compose(config: Config): Promise<TrackerSettings> {
    const { clock, random, metrics, logger, hub, owner, store } = this.#parts;
    return composeSettings(config, { clock, random, metrics, logger, hub, owner, store });
  }

  async stop(deadline: number): Promise<void> {
    await this.#tracker?.stop(AbortSignal.timeout(deadline * 1000));
  }

  scrape(): Promise<readonly FamilySnapshot[]> {
    return this.#parts.metrics.scrape();
  }
}
