import type { Config } from "../config/config.ts";
import { type FrontendDeps, onlyThread, type ThreadPlace } from "../frontend/define-frontend.ts";
import type { Clock, Random } from "../lib/clock.ts";
import type { NetworkMemory } from "../net/linux/network.ts";
import type { Network } from "../net/network.ts";
import { openNetwork } from "../net/open-network.ts";
import type { Logger } from "../observability/logger.ts";
import type { FamilySnapshot, Metrics } from "../observability/metrics.ts";
import type { WorkerState } from "../operator/api/endpoints/workers.ts";
import type { ComponentState } from "../operator/health.ts";
import type { AccountingMemory, WorkerAccounting } from "../private/thread-memory.ts";
import type { PeerStore } from "../storage/peer-store.ts";
import { composeSettings } from "../tracker/compose.ts";
import { readStoreOptions } from "../tracker/create-store.ts";
import type { LocalHub, Publication, ShareHub } from "../tracker/share-hub.ts";
import { Tracker, type TrackerParts, type TrackerSettings } from "../tracker/tracker.ts";
import { Bus, mainThread } from "./bus.ts";
import type { ThreadState } from "./services.ts";
import { serveSwarms } from "./swarm-service.ts";
import { ThreadMeter } from "./thread-meter.ts";

/** The tracker of the process, in this thread or in worker threads. */
export interface Host {
  /** The running configuration, with the ports and keys that were chosen at the start. */
  readonly config: Config;
  /** Calls the threads that serve clients, as workers 1 to n. Without worker threads this thread is worker 1. */
  readonly bus: Bus;
  /** Starts all parts, or rejects. */
  start(): Promise<void>;
  /** The URLs of all listeners. */
  urls(): string[];
  readonly isServing: boolean;
  readiness(): Promise<Record<string, ComponentState>>;
  /** Describes all threads that serve clients. */
  describeWorkers(): Promise<readonly WorkerState[]>;
  /** Takes a configuration that `settle` has made for the running one. Rejects if a part refuses, and changes nothing then. */
  reload(config: Config): Promise<void>;
  /** @param deadline  seconds for requests in progress */
  stop(deadline: number): Promise<void>;
  scrape(): Promise<readonly FamilySnapshot[]>;
  /** Sends a value to the hooks of all threads. */
  publish(publication: Publication): void;
}

export interface HostParts {
  config: Config;
  store: PeerStore;
  clock: Clock;
  random: Random;
  metrics: Metrics;
  logger: Logger;
  /** State that the hooks of all threads share. */
  hub: LocalHub;
  /** The memory that the workers of a private tracker share with the accountant. */
  accounting?: AccountingMemory | undefined;
}

/** The parts of a host in one thread, the main thread or a worker. */
interface LocalParts extends Omit<HostParts, "hub" | "accounting"> {
  hub: ShareHub;
  /** Of this thread. */
  accounting?: WorkerAccounting | undefined;
  /** Identifies the thread in the locks of shared memory. */
  owner: number;
  /** Of a worker. */
  bus?: Bus;
  /** Returns the metrics of all threads, in a worker. */
  scrapeAll?: () => Promise<readonly FamilySnapshot[]>;
}

/** Opens the network of a configuration. Logs the reason if only the portable one is possible. */
export async function openConfiguredNetwork(
  config: Config,
  logger: Logger,
  memory?: NetworkMemory,
): Promise<Network> {
  const onFallback = ({ message }: Error) =>
    logger.info({ reason: message }, "using the portable network engine");
  return openNetwork(config.network, onFallback, memory);
}

/** Creates the bus of a process without worker threads. */
function createLocalBus(logger: Logger): Bus {
  const bus = new Bus({
    threads: [mainThread, 1],
    onError: (err) => logger.error({ err }, "a notification failed"),
  });
  bus.open();
  return bus;
}

/** The tracker in this thread. */
export class LocalHost implements Host {
  config: Config;
  readonly bus: Bus;
  readonly #parts: LocalParts;
  readonly #network: Network;
  #tracker: Tracker | undefined;
  readonly #meter = new ThreadMeter();
  readonly #place: ThreadPlace;

  /**
   * @param network  the host does not close it
   * @param place    by default the only thread that serves clients
   */
  constructor(parts: LocalParts, network: Network, place: ThreadPlace = onlyThread) {
    this.#parts = parts;
    this.config = parts.config;
    this.bus = parts.bus ?? createLocalBus(parts.logger);
    serveSwarms(this.bus, parts.store);
    this.#network = network;
    network.setCoalesce(parts.config.networkCoalesce);
    this.#place = place;
  }

  async start(): Promise<void> {
    const { store, clock, metrics, logger, hub, scrapeAll } = this.#parts;
    const buffer: FrontendDeps["buffer"] = (name, bytes) => hub.buffer(`frontends/${name}`, bytes);
    const routes = await this.#createRoutes();
    const own = { network: this.#network, thread: this.#place, scrape: scrapeAll, buffer, routes };
    const tracker = new Tracker(await this.#compose(this.config), { store, clock, metrics, logger, ...own });
    await tracker.start();
    this.#tracker = tracker;
  }

  /** Creates the routes of a private site whose calls are served on the addresses of announces. */
  async #createRoutes(): Promise<TrackerParts["routes"]> {
    const options = this.config.private;
    if (!options?.serveOnTracker) return undefined;
    const { accountantService, siteTimeoutMs: timeoutMs } = await import("./accountant-thread.ts");
    const { createTrackerRoutes } = await import("../private/sites/tracker-routes.ts");
    return createTrackerRoutes(options, (target) =>
      this.bus.call("accountant", accountantService, "siteCall", target, { timeoutMs }),
    );
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

  /** Describes this thread. */
  async describe(): Promise<ThreadState> {
    return { components: await this.readiness(), ...this.#meter.read() };
  }

  async describeWorkers(): Promise<readonly WorkerState[]> {
    const state = this.isServing ? "serving" : "starting";
    return [{ number: 1, state, ...(await this.describe()), restarts: 0 }];
  }

  /** A store that serves from local memory while Redis is away counts as ready, because clients get responses. */
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
    this.#network.setCoalesce(config.networkCoalesce);
    this.config = config;
  }

  #compose(config: Config): Promise<TrackerSettings> {
    const { clock, random, metrics, logger, hub, owner, store, accounting } = this.#parts;
    return composeSettings(config, { clock, random, metrics, logger, hub, owner, store, accounting });
  }

  async stop(deadline: number): Promise<void> {
    await this.#tracker?.stop(AbortSignal.timeout(deadline * 1000));
  }

  scrape(limitMs?: number): Promise<readonly FamilySnapshot[]> {
    return this.#parts.metrics.scrape(limitMs);
  }

  publish({ topic, value }: Publication): void {
    this.#parts.hub.publish(topic, value);
  }
}
