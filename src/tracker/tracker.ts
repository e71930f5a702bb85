import type { ExternalIp } from "../bittorrent/external-ip.ts";
import { createFrontend, type FrontendDeps, type FrontendUse } from "../frontend/define-frontend.ts";
import type { Frontend } from "../frontend/frontend.ts";
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
import type { Counter, Metrics } from "../observability/metrics.ts";
import { oncePerMinute, RateLimitedLog } from "../observability/rate-limited.ts";
import type { PeerStore } from "../storage/peer-store.ts";

/** What a tracker does, and what a reload may change of it. */
export interface TrackerSettings {
  /** Seconds between announces that clients are told. */
  interval: number;
  minInterval: number;
  /** See `LogicSettings`. */
  externalIp?: ExternalIp | undefined;
  preHooks: readonly Hook[];
  postHooks: readonly Hook[];
  readonly frontends: readonly FrontendUse[];
}

/** What a tracker is made of besides. */
export interface TrackerParts {
  store: PeerStore;
  clock: Clock;
  metrics: Metrics;
  logger: Logger;
  /** Through Node.js unless given. */
  network?: Network;
  /** Whether other threads serve the same addresses. */
  shared?: boolean;
}

/** Time for all parts to stop after one of them has failed to start, in milliseconds. */
const failedStopMs = 5000;

/**
 * One running tracker: store, hooks and frontends, started and stopped in order. It touches no signals and
 * no files.
 */
export class Tracker {
  readonly #parts: TrackerParts;
  readonly #logic: TrackerLogic;
  readonly #frontendDeps: FrontendDeps;
  readonly #frontends: Frontend[] = [];
  #settings: TrackerSettings;
  #state: "idle" | "started" | "stopped" = "idle";
  #stopped: Promise<void> = Promise.resolve();
  /** Settled when the hooks of earlier settings have been stopped. */
  #retired: Promise<unknown> = Promise.resolve();
  readonly #givenUp = Promise.withResolvers<void>();

  constructor(settings: TrackerSettings, parts: TrackerParts) {
    const { store, clock, metrics, logger, network = portableNetwork, shared = false } = parts;
    this.#parts = parts;
    this.#settings = settings;
    const log = new RateLimitedLog(logger, clock);
    for (const where of ["network", "storage"]) failureCounter(metrics, where);
    this.#declareFailures(settings);
    const report = (where: string, error: unknown) => {
      failureCounter(metrics, where).inc();
      log.error(where, { where, err: error }, "internal error");
    };
    const clients = new ClientCounter(metrics);
    this.#logic = new TrackerLogic(store, settings, report, ({ peerId }) => clients.count(peerId));
    const shortages = new RateLimitedLog(logger, clock, oncePerMinute);
    const onError = (error: Error) => {
      const shortage = describeShortage(error);
      if (shortage === undefined) return report("network", error);
      failureCounter(metrics, "network").inc();
      shortages.warn(shortage, { where: "network" }, shortage);
    };
    const shareable: FrontendDeps["network"] = {
      listenStream: (options) => network.listenStream({ ...options, shared }),
      bindDatagram: (options) => network.bindDatagram({ ...options, shared }),
    };
    this.#frontendDeps = { logic: this.#logic, clock, metrics, logger, onError, network: shareable };
  }

  /** The addresses that it answers on, as URLs. */
  urls(): string[] {
    return this.#frontends.flatMap((frontend) => frontend.urls());
  }

  /** Whether all of it has been started and nothing stopped. */
  get isServing(): boolean {
    return this.#state === "started";
  }

  /** Hooks that are not ready, with why. */
  readiness(): Record<string, string> {
    return Object.fromEntries(
      hooksOf(this.#settings).flatMap((hook) => {
        const state = hook.ready?.() ?? true;
        return state === true ? [] : [[hook.name, state]];
      }),
    );
  }

  /**
   * Starts the store, the hooks, the frontends; if one of them fails, stops all of them, in the opposite order, and
   * rejects. To be called once.
   */
  async start(): Promise<void> {
    const { store } = this.#parts;
    try {
      for (const { definition, options } of this.#settings.frontends)
        this.#frontends.push(await createFrontend(definition, options, this.#frontendDeps));
      await store.start();
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
   * Takes new settings without closing a socket or losing a peer: new hooks are started before they replace
   * the old, which are stopped when no request uses them any more; one that is in both goes on as it is. If one does not
   * start, or a route or a certificate cannot be used, it rejects and nothing has changed. Which frontends there are, and
   * where they listen, must be as before.
   * @param commit  done with the rest; cannot fail
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
    const unused = Promise.race([swap(), this.#givenUp.promise]);
    this.#retired = Promise.all([this.#retired, unused.then(() => this.#stopHooks(old))]);
  }

  /**
   * Stops in order: accepts nothing more, lets requests and posthooks finish until `deadline` is aborted, then
   * stops hooks and store. What fails to stop is logged, and the rest is stopped all the same. Idempotent: a
   * second call waits for the first.
   */
  stop(deadline: AbortSignal): Promise<void> {
    if (this.#state === "started") {
      this.#state = "stopped";
      this.#stopped = this.#stop(deadline);
    }
    return this.#stopped;
  }

  /** Has the failures of each hook begin at 0, so that the first one is an increase. */
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

/** Each hook once. */
function hooksOf(settings: TrackerSettings): Hook[] {
  return [...new Set([...settings.preHooks, ...settings.postHooks])];
}

function without(hooks: readonly Hook[], others: readonly Hook[]): Hook[] {
  return hooks.filter((hook) => !others.includes(hook));
}
