import { randomInt } from "node:crypto";
import { ExternalIp, type ExternalIpOptions } from "../bittorrent/external-ip.ts";
import type { FrontendDefinition, FrontendUse } from "../frontend/define-frontend.ts";
import { http, httpDefaults } from "../frontend/http/index.ts";
import type { HttpOptions } from "../frontend/http/options.ts";
import { udp, udpDefaults } from "../frontend/udp/index.ts";
import type { UdpOptions } from "../frontend/udp/options.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import { type Clock, createRandom, type Random } from "../lib/clock.ts";
import type { HookDefinition } from "../middleware/define-hook.ts";
import type { Hook } from "../middleware/hook.ts";
import { defaultLimits, type HookLimits } from "../middleware/with-deadline.ts";
import { type NetworkChoice, openNetwork } from "../net/network.ts";
import { type Logger, silentLogger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { renderPrometheus } from "../observability/prometheus.ts";
import { registerStorageMetrics } from "../observability/storage-metrics.ts";
import { readOptions } from "../options/schema.ts";
import { MemoryStore } from "../storage/memory/memory-store.ts";
import type { PeerStore } from "../storage/peer-store.ts";
import { createHooks, createHookWithDeadline } from "./compose.ts";
import { LocalHub, type ThreadParts } from "./share-hub.ts";
import { SystemClock } from "./system-clock.ts";
import { Tracker, type TrackerSettings } from "./tracker.ts";

/** A defined hook with the options to make it with. */
export interface HookUse {
  readonly definition: HookDefinition<never>;
  readonly options: unknown;
  readonly limits: HookLimits;
}

/** What {@link createTracker} is told; everything has a default. */
export interface CreateTrackerOptions {
  /** Seconds between announces that clients are told: 1800. */
  interval?: number;
  /** Seconds that they are told to wait at least (HTTP only): 900, at most `interval`. */
  minInterval?: number;
  /** Under which address peers beside the tracker are stored; under their own unless given. */
  externalIp?: ExternalIpOptions;
  /** `false` turns HTTP off. Without `listen` it is served on ports that the system chooses, of IPv4 and IPv6. */
  http?: Partial<HttpOptions> | false;
  /** The same of UDP. */
  udp?: Partial<UdpOptions> | false;
  /** Frontends of one's own, given as `useFrontend(definition, options)`. */
  frontends?: readonly FrontendUse[];
  /** A {@link MemoryStore} of up to a million peers unless given. Started and stopped with the tracker. */
  store?: PeerStore;
  /** In their order; a definition is given as `useHook(definition, options)`. */
  preHooks?: readonly (Hook | HookUse)[];
  postHooks?: readonly (Hook | HookUse)[];
  /** Says nothing unless given. */
  logger?: Logger;
  /** The machine's unless given. */
  clock?: Clock;
  random?: Random;
  /** Where it counts. */
  metrics?: Metrics;
  /** `portable` unless given: through Node.js alone. */
  network?: NetworkChoice;
}

/** Names a defined hook with its options for {@link createTracker}. */
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

/** Names a defined frontend with its options for {@link createTracker}. */
export function useFrontend<Options, Input>(
  definition: FrontendDefinition<Options, Input>,
  options?: Input,
): FrontendUse {
  return { definition: definition as FrontendDefinition<unknown>, options };
}

/** The options of the frontends as a configuration has them. */
interface FrontendBlocks {
  http: HttpOptions | undefined;
  udp: UdpOptions | undefined;
  frontends: readonly (FrontendUse & { name: "module"; module: string })[];
}

/** @throws Error with the first wrong option of a frontend of one's own */
async function blocksOf({
  http = {},
  udp = {},
  frontends = [],
}: CreateTrackerOptions): Promise<FrontendBlocks> {
  return {
    http: http === false ? undefined : { ...httpDefaults, listen: http.listenTls ? [] : anywhere, ...http },
    udp: udp === false ? undefined : { ...udpDefaults, listen: anywhere, ...udp },
    frontends: await Promise.all(
      frontends.map(async ({ definition, options }) => ({
        ...{ name: "module" as const, module: definition.name, definition },
        options: await readOptions(definition, options, "frontend"),
      })),
    ),
  };
}

function usesOf({ http: httpOptions, udp: udpOptions, frontends }: FrontendBlocks): FrontendUse[] {
  const builtIn = [
    { definition: http as FrontendDefinition<unknown>, options: httpOptions },
    { definition: udp as FrontendDefinition<unknown>, options: udpOptions },
  ];
  return [...builtIn.filter(({ options }) => options !== undefined), ...frontends];
}

const anywhere: readonly ListenAddress[] = [
  { host: "0.0.0.0", port: 0 },
  { host: "::", port: 0 },
];
const intervals = { interval: 1800, minInterval: 900 };
const memory = { gcInterval: 180, peerLifetime: 1860, maxPeers: 1_000_000, peerIds: false };

/**
 * A whole tracker inside a program, in its thread. It touches no signals and no files, and logs nothing unless it is
 * given a logger. `start`, `reload` and `stop` come one after the other, in the order of the calls: a hook cannot wait for
 * one of them in its own `start` or `stop`.
 */
export class EmbeddedTracker {
  readonly store: PeerStore;
  readonly metrics: Metrics;
  #options: CreateTrackerOptions;
  readonly #thread: ThreadParts;
  /** Where none was given. */
  readonly #ownClock: SystemClock | undefined;
  readonly #hub: LocalHub;
  #tracker: Tracker | undefined;
  /** What is running. */
  #blocks: FrontendBlocks | undefined;
  #closeNetwork: () => void = () => undefined;
  /** Settled when all starts, reloads and stops so far have come to their end. */
  #settled: Promise<unknown> = Promise.resolve();

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

  /** The addresses that it answers on, as URLs; none before it is started. */
  urls(): string[] {
    return this.#tracker?.urls() ?? [];
  }

  get isServing(): boolean {
    return this.#tracker?.isServing ?? false;
  }

  /** Hooks that are not ready, with why. */
  readiness(): Record<string, string> {
    return this.#tracker?.readiness() ?? {};
  }

  /** Starts store, hooks and frontends, or stops what was started and rejects. To be called once. */
  start(): Promise<void> {
    return this.#inTurn(() => this.#start());
  }

  async #start(): Promise<void> {
    if (this.#tracker) throw new Error("the tracker has been started before");
    const { network: choice = "portable", logger = silentLogger } = this.#options;
    const network = await openNetwork(choice, ({ message }) => {
      logger.info({ reason: message }, "using the portable network engine");
    });
    this.#closeNetwork = () => network.close();
    const { clock } = this.#thread;
    this.#ownClock?.start();
    try {
      const blocks = await blocksOf(this.#options);
      const settings = await this.#compose(this.#options, blocks);
      const { store, metrics } = this;
      this.#tracker = new Tracker(settings, { store, clock, metrics, logger, network });
      this.#blocks = blocks;
      await this.#tracker.start();
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  /**
   * Takes other intervals, hooks or options of the frontends, without closing a socket or losing a peer. What is not
   * named stays. Hooks of definitions are made anew; those given as values go on as they are, where they are still named.
   * @returns settings that take effect only after a restart
   */
  reload(
    changes: Pick<
      CreateTrackerOptions,
      "interval" | "minInterval" | "externalIp" | "http" | "udp" | "frontends" | "preHooks" | "postHooks"
    >,
  ): Promise<string[]> {
    return this.#inTurn(() => this.#reload(changes));
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
    this.#blocks = blocks;
    this.#options = options;
    return needsRestart;
  }

  /** Stops it. Idempotent. @param deadline  seconds for requests under way */
  stop(deadline = 10): Promise<void> {
    return this.#inTurn(async () => {
      await this.#tracker?.stop(AbortSignal.timeout(deadline * 1000));
      this.#close();
    });
  }

  /** All its metrics as Prometheus reads them. */
  async renderMetrics(): Promise<string> {
    return renderPrometheus(await this.metrics.scrape());
  }

  #inTurn<Result>(step: () => Promise<Result>): Promise<Result> {
    const done = this.#settled.then(step);
    this.#settled = done.catch(() => undefined);
    return done;
  }

  #close(): void {
    this.#closeNetwork();
    this.#ownClock?.stop();
  }

  async #compose(options: CreateTrackerOptions, blocks: FrontendBlocks): Promise<TrackerSettings> {
    const { interval = intervals.interval, minInterval = intervals.minInterval } = options;
    const used = new Map<string, number>();
    const [preHooks, postHooks] = await createHooks(
      [options.preHooks ?? [], options.postHooks ?? []],
      async (hook) => ("definition" in hook ? this.#createHook(hook, used) : hook),
    );
    return {
      interval,
      minInterval: Math.min(minInterval, interval),
      externalIp: options.externalIp && new ExternalIp(options.externalIp),
      preHooks,
      postHooks,
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

/** Creates a tracker for a program of one's own; see {@link EmbeddedTracker}. Not started yet. */
export function createTracker(options: CreateTrackerOptions = {}): EmbeddedTracker {
  return new EmbeddedTracker(options);
}
