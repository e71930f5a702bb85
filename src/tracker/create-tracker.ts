import { randomInt } from "node:crypto";
import { ExternalIp, type ExternalIpOptions } from "../bittorrent/external-ip.ts";
import { builtIn, type FrontendBlocks, type FrontendInputs, optionsOf } from "../frontend/built-in.ts";
import { allDefaultsOf, type FrontendDefinition, type FrontendUse } from "../frontend/define-frontend.ts";
import type { Route } from "../http/routes.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import { type Clock, createRandom, type Random } from "../lib/clock.ts";
import { Turns } from "../lib/turns.ts";
import type { HookDefinition } from "../middleware/define-hook.ts";
import type { Hook } from "../middleware/hook.ts";
import { defaultLimits, type HookLimits } from "../middleware/with-deadline.ts";
import type { Network, NetworkChoice } from "../net/network.ts";
import { openNetwork } from "../net/open-network.ts";
import { type Logger, silentLogger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import type { Observer } from "../observability/observer.ts";
import { renderPrometheus } from "../observability/prometheus.ts";
import { registerStorageMetrics } from "../observability/storage-metrics.ts";
import { readOptions } from "../options/schema.ts";
import { MemoryStore } from "../storage/memory/memory-store.ts";
import type { PeerStore } from "../storage/peer-store.ts";
import { createHooks, createHookWithDeadline, createLiveSync, createRenewals } from "./compose.ts";
import { LocalHub, type ThreadParts } from "./share-hub.ts";
import { SystemClock } from "./system-clock.ts";
import { Tracker, type TrackerSettings } from "./tracker.ts";

/** A definition of a hook, with options. */
export interface HookUse {
  readonly definition: HookDefinition<never>;
  readonly options: unknown;
  readonly limits: HookLimits;
}

/**
 * The options of {@link createTracker}. All have defaults. Each built-in frontend has its options under its name (`http`, `udp`),
 * and `false` turns the frontend off. Without addresses to listen on, the system chooses a port of IPv4 and a port of IPv6.
 */
export interface CreateTrackerOptions extends FrontendInputs {
  /** Seconds between two announces of a client, as responses say. Default: 1800. */
  interval?: number;
  /** The shortest time between two announces of a client, as HTTP responses say, in seconds. Default: 900, at most `interval`. */
  minInterval?: number;
  /** The address under which peers in the tracker's own network are stored. Default: their own address. */
  externalIp?: ExternalIpOptions;
  /** Resources that HTTP serves beside announces, on the same addresses. */
  routes?: readonly Route[];
  /** Your own frontends, as `useFrontend(definition, options)`. */
  frontends?: readonly FrontendUse[];
  /** Default: a {@link MemoryStore} of up to a million peers. The tracker starts and stops the store. */
  store?: PeerStore;
  /** In the order in which they run: hooks, or definitions as `useHook(definition, options)`. */
  preHooks?: readonly (Hook | HookUse)[];
  postHooks?: readonly (Hook | HookUse)[];
  /** Default: no log. */
  logger?: Logger;
  /** Default: the machine's clock. */
  clock?: Clock;
  random?: Random;
  /** Where the tracker registers its metrics. */
  metrics?: Metrics;
  /** Sees the beginning and the end of every request of every frontend. */
  observer?: Observer;
  /**
   * Default: `portable`, which uses Node.js's own sockets. With `linux`, `performance.eventLoopUtilization` counts the sleep
   * of the thread as work.
   */
  network?: NetworkChoice;
  /**
   * How many seconds a request may wait for others that the same wake-up serves, while requests come often; 0 serves every
   * request at once. At most 0.01. Only for the native network. Default: 0.001.
   */
  networkCoalesce?: number;
}

/** Returns a hook for {@link createTracker} from its definition and options. */
export function useHook<Options, Input>(
  definition: HookDefinition<Options, Input>,
  options?: Input,
  limits: Partial<HookLimits> = {},
): HookUse {
  return {
    definition: definition as HookDefinition<never>,
    options,
    limits: { ...defaultLimits, ...limits },
  };
}

/** Returns a frontend for {@link createTracker} from its definition and options. */
export function useFrontend<Options, Input>(
  definition: FrontendDefinition<Options, Input>,
  options?: Input,
): FrontendUse {
  return { definition: definition as FrontendDefinition<unknown>, options };
}

/** The options of all frontends, in the shape of a configuration. */
interface Blocks extends FrontendBlocks {
  frontends: readonly (FrontendUse & { name: "module"; module: string })[];
}

/** @throws Error with the first option that only the program can use, or the first wrong option of your own frontends */
async function blocksOf(options: CreateTrackerOptions): Promise<Blocks> {
  const { frontends = [], http } = options;
  const { fifoAdd = "", fifoDelete = "" } = http ? (http.opentracker ?? {}) : {};
  if (fifoAdd !== "" || fifoDelete !== "")
    throw new Error(
      "http.opentracker: only the program chihaya can read the pipes of fifoAdd and fifoDelete",
    );
  const blocks = builtIn.map((definition) => {
    const given = options[definition.name as keyof FrontendInputs];
    return [definition.name, blockOf(definition, given ?? (definition.byDefault ? {} : false))];
  });
  return {
    ...Object.fromEntries(blocks),
    frontends: await Promise.all(
      frontends.map(async ({ definition, options }) => ({
        ...{ name: "module" as const, module: definition.name, definition },
        options: await readOptions(definition, options, "frontend"),
      })),
    ),
  };
}

/** Fills in the defaults. Without an address, the frontend listens on ports that the system chooses. */
function blockOf(definition: FrontendDefinition, given: object | false): unknown {
  if (given === false) return undefined;
  const listens = (definition.listens ?? []).filter(({ isOptional }) => !isOptional);
  const addresses = listens.map(({ option }) => option);
  const isPlaced = addresses.some((option) => (given as Record<string, unknown>)[option] !== undefined);
  const listen = addresses.map((option, index) => [option, index === 0 && !isPlaced ? anywhere : []]);
  return { ...(allDefaultsOf(definition) as object), ...Object.fromEntries(listen), ...given };
}

function usesOf(blocks: Blocks): FrontendUse[] {
  const uses = builtIn.map((definition) => ({ definition, options: optionsOf(blocks, definition.name) }));
  return [...uses.filter(({ options }) => options !== undefined), ...blocks.frontends];
}

const anywhere: readonly ListenAddress[] = [
  { host: "0.0.0.0", port: 0 },
  { host: "::", port: 0 },
];
const intervals = { interval: 1800, minInterval: 900 };
const defaultCoalesce = 0.001;
const memory = { gcInterval: 180, peerLifetime: 1860, maxPeers: 1_000_000, peerIds: false };

/**
 * A tracker inside a program, in the thread of the program. It uses no signals and no files. It logs only to the `logger` of its
 * options. `start`, `reload` and `stop` run one after the other, in the order of the calls, so a hook must not wait for one of
 * them in its own `start` or `stop`.
 */
export class EmbeddedTracker {
  readonly store: PeerStore;
  readonly metrics: Metrics;
  #options: CreateTrackerOptions;
  readonly #thread: ThreadParts;
  /** Defined if the options have no clock. */
  readonly #ownClock: SystemClock | undefined;
  readonly #hub: LocalHub;
  #tracker: Tracker | undefined;
  /** The running options of the frontends. */
  #blocks: Blocks | undefined;
  #network: Network | undefined;
  /** Of starts, reloads and stops. */
  readonly #turns: Turns = new Turns();

  constructor(options: CreateTrackerOptions = {}) {
    this.#options = options;
    const { random = createRandom(randomInt(1, 2 ** 31)) } = options;
    this.#ownClock = options.clock ? undefined : new SystemClock();
    this.#thread = { clock: options.clock ?? this.#ownClock!, random, owner: 1 };
    this.store = options.store ?? new MemoryStore({ ...this.#thread, config: memory });
    this.metrics = options.metrics ?? new Metrics();
    this.#hub = new LocalHub(this.#thread);
    registerStorageMetrics(this.metrics, this.store);
  }

  /** The URLs of all listeners. Empty before the start. */
  urls(): string[] {
    return this.#tracker?.urls() ?? [];
  }

  get isServing(): boolean {
    return this.#tracker?.isServing ?? false;
  }

  /** The hooks that are not ready, each with the reason. */
  readiness(): Record<string, string> {
    return this.#tracker?.readiness() ?? {};
  }

  /** Starts store, hooks and frontends. If one of them fails, stops all of them and rejects. Can be called once. */
  start(): Promise<void> {
    return this.#turns.take(() => this.#start());
  }

  async #start(): Promise<void> {
    if (this.#tracker) throw new Error("the tracker has been started before");
    const { network: choice = "portable", logger = silentLogger, observer, routes } = this.#options;
    const network = await openNetwork(choice, ({ message }) => {
      logger.info({ reason: message }, "using the portable network engine");
    });
    this.#network = network;
    network.setCoalesce(this.#options.networkCoalesce ?? defaultCoalesce);
    const { clock } = this.#thread;
    this.#ownClock?.start();
    try {
      const blocks = await blocksOf(this.#options);
      const settings = await this.#compose(this.#options, blocks);
      const { store, metrics } = this;
      this.#tracker = new Tracker(settings, { store, clock, metrics, logger, network, observer, routes });
      this.#blocks = blocks;
      await this.#tracker.start();
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  /**
   * Changes intervals, hooks or options of the frontends, without closing a socket or losing a peer. Options that `changes` does
   * not have keep their values. Hooks are created again from their definitions. A hook that is a value, and is in both the old
   * and the new options, continues to run.
   * @returns the names of the options that take effect only after a restart
   */
  reload(
    changes: FrontendInputs &
      Pick<
        CreateTrackerOptions,
        "interval" | "minInterval" | "externalIp" | "frontends" | "preHooks" | "postHooks" | "networkCoalesce"
      >,
  ): Promise<string[]> {
    return this.#turns.take(() => this.#reload(changes));
  }

  async #reload(changes: Partial<CreateTrackerOptions>): Promise<string[]> {
    const tracker = this.#tracker;
    if (!tracker) throw new Error("the tracker is not running");
    const options = { ...this.#options, ...changes };
    const { settle } = await import("../config/settle.ts");
    const { frontendMarks } = await import("../config/restart-marks.ts");
    const next = await blocksOf(options);
    const { config: blocks, needsRestart } = settle(this.#blocks!, next, frontendMarks(next.frontends));
    await this.#hub.reload(async () => tracker.reload(await this.#compose(options, blocks)));
    this.#network?.setCoalesce(options.networkCoalesce ?? defaultCoalesce);
    this.#blocks = blocks;
    this.#options = options;
    return needsRestart;
  }

  /** Stops the tracker. Idempotent. @param deadline  seconds for requests in progress */
  stop(deadline = 10): Promise<void> {
    return this.#turns.take(async () => {
      await this.#tracker?.stop(AbortSignal.timeout(deadline * 1000));
      this.#close();
    });
  }

  /** Returns all metrics in the text format of Prometheus. */
  async renderMetrics(): Promise<string> {
    return renderPrometheus(await this.metrics.scrape());
  }

  #close(): void {
    this.#network?.close();
    this.#ownClock?.stop();
  }

  async #compose(options: CreateTrackerOptions, blocks: Blocks): Promise<TrackerSettings> {
    const { interval = intervals.interval, minInterval = intervals.minInterval } = options;
    const used = new Map<string, number>();
    const { metrics, store } = this;
    const { logger = silentLogger } = this.#options;
    const parts = { clock: this.#thread.clock, metrics, logger, hub: this.#hub, store };
    let all: readonly Hook[] = [];
    const liveSync = await createLiveSync(blocks.http, parts, () => all);
    const [preHooks, postHooks] = await createHooks(
      [options.preHooks ?? [], options.postHooks ?? []],
      async (hook) => ("definition" in hook ? this.#createHook(hook, used) : hook),
    );
    all = preHooks;
    return {
      interval,
      minInterval: Math.min(minInterval, interval),
      externalIp: options.externalIp && new ExternalIp(options.externalIp),
      preHooks,
      postHooks: [...postHooks, ...liveSync, ...(await createRenewals(blocks.http, metrics))],
      frontends: usesOf(blocks),
    };
  }

  async #createHook({ definition, options, limits }: HookUse, used: Map<string, number>): Promise<Hook> {
    const { logger = silentLogger } = this.#options;
    const { metrics, store } = this;
    const parts = { ...this.#thread, metrics, logger, hub: this.#hub, store };
    return createHookWithDeadline(definition, options, limits, parts, used);
  }
}

/** Creates a tracker for your own program, not started yet. See {@link EmbeddedTracker}. */
export function createTracker(options: CreateTrackerOptions = {}): EmbeddedTracker {
  return new EmbeddedTracker(options);
}
