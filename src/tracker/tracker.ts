import { AnnounceEvent } from "../bittorrent/event.ts";
import type { ExternalIp } from "../bittorrent/external-ip.ts";
import { builtIn } from "../frontend/built-in.ts";
import {
  createFrontend,
  type FrontendDefinition,
  type FrontendDeps,
  type FrontendUse,
  onlyThread,
  type ThreadPlace,
} from "../frontend/define-frontend.ts";
import type { Frontend } from "../frontend/frontend.ts";
import type { Route } from "../http/routes.ts";
import { aborted } from "../lib/aborted.ts";
import type { Clock } from "../lib/clock.ts";
import { withTimeout } from "../lib/with-timeout.ts";
import { startHook } from "../middleware/define-hook.ts";
import type { Hook } from "../middleware/hook.ts";
import { TrackerLogic } from "../middleware/logic.ts";
import { type Network, portableNetwork } from "../net/network.ts";
import { describeShortage } from "../net/shortage.ts";
import { ClientCounter } from "../observability/client-names.ts";
import type { Logger } from "../observability/logger.ts";
import type { Counter, FamilySnapshot, Metrics } from "../observability/metrics.ts";
import { type Observer, RequestReporter } from "../observability/observer.ts";
import { oncePerMinute, RateLimitedLog } from "../observability/rate-limited.ts";
import { ResponseMetrics } from "../observability/response-metrics.ts";
import type { PeerStore } from "../storage/peer-store.ts";

/** The settings of a tracker, which a reload may change. */
export interface TrackerSettings {
  /** Seconds between two announces of a client, as responses say. */
  interval: number;
  minInterval: number;
  /** See `LogicSettings`. */
  externalIp?: ExternalIp | undefined;
  preHooks: readonly Hook[];
  postHooks: readonly Hook[];
  readonly frontends: readonly FrontendUse[];
}

/** The collaborators of a tracker. */
export interface TrackerParts {
  store: PeerStore;
  clock: Clock;
  metrics: Metrics;
  logger: Logger;
  /** Without it, Node.js's own sockets. */
  network?: Network;
  /** Sees every request, besides the metrics. */
  observer?: Observer | undefined;
  /** Resources that HTTP serves beside announces. */
  routes?: readonly Route[] | undefined;
  /** By default the only one. */
  thread?: ThreadPlace;
  /** Returns the metrics of all threads; by default those of `metrics`. */
  scrape?: (() => Promise<readonly FamilySnapshot[]>) | undefined;
  /** Returns memory that all threads share; by default memory of this tracker alone. */
  buffer?: FrontendDeps["buffer"];
}

/** Time for all parts to stop after a failed start, in milliseconds. */
const failedStopMs = 5000;

/**
 * A tracker: store, hooks and frontends, started and stopped in order. It uses no signals and no files.
 */
export class Tracker {
  readonly #parts: TrackerParts;
  readonly #logic: TrackerLogic;
  readonly #frontendDeps: Omit<FrontendDeps, "requests">;
  readonly #report: (where: string, error: unknown) => void;
  /** One for each frontend. */
  readonly #responses: ResponseMetrics[] = [];
  readonly #frontends: Frontend[] = [];
  #settings: TrackerSettings;
  #state: "idle" | "started" | "stopped" = "idle";
  #stopped: Promise<void> = Promise.resolve();
  /** Settles when the hooks of earlier settings have stopped. */
  #retired: Promise<unknown> = Promise.resolve();
  readonly #givenUp = Promise.withResolvers<void>();

  constructor(settings: TrackerSettings, parts: TrackerParts) {
    const {
      store,
      clock,
      metrics,
      logger,
      network = portableNetwork,
      routes = [],
      thread = onlyThread,
    } = parts;
    const { scrape = () => metrics.scrape(), buffer = async (_, bytes) => new SharedArrayBuffer(bytes) } =
      parts;
    this.#parts = parts;
    this.#settings = settings;
    const log = new RateLimitedLog(logger, clock);
    for (const where of ["network", "storage", "observer"]) failureCounter(metrics, where);
    this.#declareFailures(settings);
    const report = (where: string, error: unknown) => {
      failureCounter(metrics, where).inc();
      log.error(where, { where, err: error }, "internal error");
    };
    this.#report = report;
    const clients = new ClientCounter(metrics);
    const completed = metrics.counter(
      "chihaya_completed_announces_total",
      "Announces with the event completed",
    );
    this.#logic = new TrackerLogic(store, settings, report, ({ peerId, event, isSeeder }) => {
      clients.count(peerId);
      if (event === AnnounceEvent.completed && isSeeder) completed.inc();
    });
    const shortages = new RateLimitedLog(logger, clock, oncePerMinute);
    const onError = (error: Error) => {
      const shortage = describeShortage(error);
      if (shortage === undefined) return report("network", error);
      failureCounter(metrics, "network").inc();
      shortages.warn(shortage, { where: "network" }, shortage);
    };
    const shareable: FrontendDeps["network"] = {
      listenStream: (options) => network.listenStream({ ...options, threads: thread.count }),
      bindDatagram: (options) => network.bindDatagram({ ...options, threads: thread.count }),
    };
    const shared = { store, clock, metrics, scrape, buffer, routes, thread, logger, onError, handover: {} };
    this.#frontendDeps = { ...shared, logic: this.#logic, network: shareable };
  }

  /** The URLs of all listeners. */
  urls(): string[] {
    return this.#frontends.flatMap((frontend) => frontend.urls());
  }

  /** Whether all parts have started and none has been stopped. */
  get isServing(): boolean {
    return this.#state === "started";
  }

  /** The hooks that are not ready, each with the reason. */
  readiness(): Record<string, string> {
    return Object.fromEntries(
      hooksOf(this.#settings).flatMap((hook) => {
        const state = hook.ready?.() ?? true;
        return state === true ? [] : [[hook.name, state]];
      }),
    );
  }

  /**
   * Starts the store, the hooks, the frontends. If one of them fails, stops all of them in the opposite order, and rejects.
   * Can be called once.
   */
  async start(): Promise<void> {
    const { store } = this.#parts;
    try {
      for (const { definition, options } of this.#settings.frontends)
        this.#frontends.push(await createFrontend(definition, options, this.#depsOf(definition)));
      for (const responses of this.#responses) responses.declare();
      await store.start();
      // Before the first socket of this thread: those of its predecessor are gone.
      const { isReplacement, number } = this.#frontendDeps.thread;
      if (isReplacement) await store.sweep?.(number - 1);
      for (const hook of hooksOf(this.#settings)) await startHook(hook);
      for (const frontend of this.#frontends) await frontend.start();
      this.#state = "started";
    } catch (error) {
      const stopAll = async () => {
        for (const frontend of this.#frontends)
          await this.#stopPart(frontend.name, () => frontend.stop(AbortSignal.abort()));
        await this.#stopHooks(hooksOf(this.#settings));
        await this.#stopPart("storage", () => store.stop());
      };
      await withTimeout(failedStopMs, stopAll()).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Takes new settings without closing a socket or losing a peer. New hooks start before they replace the old ones. Old hooks
   * stop when no request uses them. A hook in both the old and the new settings continues to run. If a hook does not start, or a
   * frontend refuses its options, this rejects and changes nothing. The frontends and their addresses must be the same as before.
   * @param commit  called when nothing can fail any more
   */
  async reload(settings: TrackerSettings, commit?: () => void): Promise<void> {
    const added = without(hooksOf(settings), hooksOf(this.#settings));
    let swap: () => Promise<void>;
    let takeOptions: (undefined | (() => void))[];
    try {
      for (const hook of added) await startHook(hook);
      if (this.#state !== "started") throw new Error("the tracker is not running");
      swap = this.#logic.prepare(settings);
      const prepared = settings.frontends.map(({ options }, i) => this.#frontends[i]?.prepare(options));
      takeOptions = [...prepared, commit];
    } catch (error) {
      await withTimeout(failedStopMs, this.#stopHooks(added)).catch(() => undefined);
      throw error;
    }
    for (const take of takeOptions) take?.();

    const old = without(hooksOf(this.#settings), hooksOf(settings));
    this.#settings = settings;
    this.#declareFailures(settings);
    for (const responses of this.#responses) responses.declare();
    const unused = Promise.race([swap(), this.#givenUp.promise]);
    this.#retired = Promise.all([this.#retired, unused.then(() => this.#stopHooks(old))]);
  }

  /**
   * Stops in order: closes the listeners, waits for requests and posthooks until `deadline` is aborted, then stops hooks and
   * store. Logs a part that fails to stop, and stops the other parts. Idempotent: a second call waits for the first.
   */
  stop(deadline: AbortSignal): Promise<void> {
    if (this.#state === "started") {
      this.#state = "stopped";
      this.#stopped = this.#stop(deadline);
    }
    return this.#stopped;
  }

  /** Makes the collaborators of a frontend. Its metrics and the program's observer see its requests. */
  #depsOf({ name, requests: kinds }: FrontendDefinition): FrontendDeps {
    const { metrics, observer } = this.#parts;
    const known = [...builtIn, ...this.#settings.frontends.map(({ definition }) => definition)];
    const unreadable = known.flatMap(({ requests }) => Object.keys(requests?.unreadable ?? {}));
    const responses = new ResponseMetrics(metrics, name, kinds, new Set(unreadable));
    this.#responses.push(responses);
    const observers = observer === undefined ? [responses] : [responses, observer];
    const report = (error: unknown) => this.#report("observer", error);
    return { ...this.#frontendDeps, requests: new RequestReporter(name, observers, report) };
  }

  /** Sets the failures of each hook to 0 at the start, so that Prometheus sees the first failure as an increase. */
  #declareFailures(settings: TrackerSettings): void {
    for (const { name } of hooksOf(settings)) failureCounter(this.#parts.metrics, name);
  }

  async #stop(deadline: AbortSignal): Promise<void> {
    const late = aborted(deadline);
    await Promise.all(
      this.#frontends.map((frontend) => this.#stopPart(frontend.name, () => frontend.stop(deadline))),
    );
    await Promise.race([this.#logic.drained(), late]);
    this.#givenUp.resolve();
    await Promise.race([Promise.all([this.#retired, this.#stopHooks(hooksOf(this.#settings))]), late]);
    await this.#stopPart("storage", () => this.#parts.store.stop());
  }

  async #stopHooks(hooks: readonly Hook[]): Promise<void> {
    await Promise.all(hooks.map((hook) => this.#stopPart(hook.name, () => hook.stop?.())));
  }

  async #stopPart(name: string, stop: () => void | Promise<void>): Promise<void> {
    try {
      await stop();
    } catch (error) {
      this.#parts.logger.error({ err: error, part: name }, "failed to stop");
    }
  }
}

function failureCounter(metrics: Metrics, where: string): Counter {
  return metrics.counter("chihaya_failures_total", "Failures inside the tracker, by where", { where });
}

/** Returns each hook once. */
function hooksOf(settings: TrackerSettings): Hook[] {
  return [...new Set([...settings.preHooks, ...settings.postHooks])];
}

function without(hooks: readonly Hook[], others: readonly Hook[]): Hook[] {
  return hooks.filter((hook) => !others.includes(hook));
}
