import type { Config } from "../config/config.ts";
import type { Clock, Random } from "../lib/clock.ts";
import { type Network, openNetwork } from "../net/network.ts";
import type { Logger } from "../observability/logger.ts";
import type { FamilySnapshot, Metrics } from "../observability/metrics.ts";
import type { ComponentState } from "../observability/metrics-server.ts";
import type { PeerStore } from "../storage/peer-store.ts";
import { composeSettings, stopUnused } from "../tracker/compose.ts";
import type { LocalHub, ShareHub } from "../tracker/share-hub.ts";
import { Tracker, type TrackerSettings } from "../tracker/tracker.ts";

/** Where the tracker runs: in this thread, or in worker threads. */
export interface Host {
  /** Starts it all or rejects. */
  start(): Promise<void>;
  /** The addresses that are answered on, as URLs. */
  urls(): string[];
  readonly isServing: boolean;
  readiness(): Promise<Record<string, ComponentState>>;
  /**
   * Takes a new configuration, or rejects and changes nothing.
   * @returns settings that need a restart
   */
  reload(config: Config): Promise<string[]>;
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
  /** What the tracker was started with, and the store made: what of it a reload cannot change stays. */
  began: Config;
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
  readonly #parts: LocalParts;
  readonly #network: Network;
  #tracker: Tracker | undefined;
  /** Whether other threads serve the same addresses. */
  readonly #shared: boolean;

  /** @param network  stays open, for others in this thread */
  constructor(parts: LocalParts, network: Network, shared = false) {
    this.#parts = parts;
    this.#network = network;
    this.#shared = shared;
  }

  async start(): Promise<void> {
    const { config, began, store, clock, metrics, logger } = this.#parts;
    const own = { began, network: this.#network, shared: this.#shared };
    const settings = await this.#compose(config);
    let tracker: Tracker;
    try {
      tracker = new Tracker(settings, { store, clock, metrics, logger, ...own });
      this.#configureStore(config);
    } catch (error) {
      await stopUnused([...settings.preHooks, ...settings.postHooks]);
      throw error;
    }
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

  async reload(config: Config): Promise<string[]> {
    const tracker = this.#tracker;
    if (!tracker) throw new Error("the tracker is not running");
    const later = await this.#parts.hub.reload(async () => tracker.reload(await this.#compose(config)));
    return [...later, ...this.#configureStore(config)];
  }

  /** @returns settings that need a restart */
  #configureStore({ storage }: Config): string[] {
    const { store, began } = this.#parts;
    if (storage.name !== began.storage.name) return ["storage.name"];
    const names = store.configure?.(storage.config) ?? [];
    return names.map((name) => `storage.config.${name}`);
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
