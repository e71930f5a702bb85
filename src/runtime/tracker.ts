import type { Clock } from "../bittorrent/clock.ts";
import type { Frontend } from "../frontend/frontend.ts";
import { HttpFrontend } from "../frontend/http/http-frontend.ts";
import type { HttpOptions } from "../frontend/http/options.ts";
import type { UdpOptions } from "../frontend/udp/options.ts";
import { UdpFrontend } from "../frontend/udp/udp-frontend.ts";
import type { Hook } from "../middleware/hook.ts";
import { TrackerLogic } from "../middleware/logic.ts";
import { ClientCounter } from "../observability/client-names.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { RateLimitedLog } from "../observability/rate-limited.ts";
import type { PeerStore } from "../storage/peer-store.ts";

/** What a tracker does, and what a reload may change of it. */
export interface TrackerSettings {
  /** Seconds between announces that clients are told. */
  interval: number;
  minInterval: number;
  preHooks: readonly Hook[];
  postHooks: readonly Hook[];
  /** undefined leaves that protocol out. */
  http: HttpOptions | undefined;
  udp: UdpOptions | undefined;
}

/** What a tracker is made of besides. */
export interface TrackerParts {
  store: PeerStore;
  clock: Clock;
  metrics: Metrics;
  logger: Logger;
}

/**
 * One running tracker: store, hooks and frontends, started and stopped in order. It touches no signals and
 * no files.
 */
export class Tracker {
  readonly #parts: TrackerParts;
  readonly #logic: TrackerLogic;
  readonly #http: HttpFrontend | undefined;
  readonly #udp: UdpFrontend | undefined;
  #settings: TrackerSettings;
  #state: "idle" | "started" | "stopped" = "idle";

  constructor(settings: TrackerSettings, parts: TrackerParts) {
    const { store, clock, metrics, logger } = parts;
    this.#parts = parts;
    this.#settings = settings;
    const log = new RateLimitedLog(logger, clock);
    const report = (where: string, error: unknown) => {
      metrics.counter("chihaya_failures_total", "Failures inside the tracker, by where", { where }).inc();
      log.error(where, { where, err: error }, "internal error");
    };
    const clients = new ClientCounter(metrics);
    this.#logic = new TrackerLogic(store, settings, report, ({ peerId }) => clients.count(peerId));
    const onError = (error: Error) => report("network", error);
    const deps = { logic: this.#logic, clock, metrics, onError };
    this.#http = settings.http && new HttpFrontend(settings.http, deps);
    this.#udp = settings.udp && new UdpFrontend(settings.udp, deps);
  }

  /** The addresses that it answers on, as URLs. */
  urls(): string[] {
    return this.#frontends.flatMap((frontend) => frontend.urls());
  }

  /** Whether all of it has been started and nothing stopped. */
  get isServing(): boolean {
    return this.#state === "started";
  }

  /** Starts the store, the hooks, the frontends; if one of them fails, stops what was started and rejects. */
  async start(): Promise<void> {
    const started: (() => void | Promise<void>)[] = [];
    const start = async (part: { start?(): void | Promise<void> }, stop: () => void | Promise<void>) => {
      await part.start?.();
      started.unshift(stop);
    };
    try {
      await start(this.#parts.store, () => this.#parts.store.stop());
      for (const hook of hooksOf(this.#settings)) await start(hook, () => hook.stop?.());
      for (const frontend of this.#frontends) await start(frontend, () => frontend.stop(AbortSignal.abort()));
      this.#state = "started";
    } catch (error) {
      for (const stop of started) await stop();
      throw error;
    }
  }

  /**
   * Takes new settings without closing a socket or losing a peer: new hooks are started before they replace
   * the old, which are stopped when no request uses them any more. If one does not start, nothing changes.
   * @returns settings that take effect only after a restart
   */
  async reload(settings: TrackerSettings): Promise<string[]> {
    const started: Hook[] = [];
    try {
      for (const hook of hooksOf(settings)) {
        await hook.start?.();
        started.push(hook);
      }
    } catch (error) {
      for (const hook of started) await hook.stop?.();
      throw error;
    }
    const later: string[] = [];
    if (this.#http && settings.http) later.push(...this.#http.reload(settings.http));
    else if (this.#http || settings.http) later.push("http");
    if (this.#udp && settings.udp) later.push(...this.#udp.reload(settings.udp));
    else if (this.#udp || settings.udp) later.push("udp");

    const old = this.#settings;
    this.#settings = settings;
    const drained = this.#logic.update(settings);
    void drained.then(() => this.#stopHooks(old));
    return later;
  }

  /**
   * Stops in order: accept nothing more, let requests finish until `deadline` is aborted, then posthooks, hooks
   * and the store. Idempotent.
   */
  async stop(deadline: AbortSignal): Promise<void> {
    if (this.#state !== "started") return;
    this.#state = "stopped";
    await Promise.all(this.#frontends.map((frontend) => frontend.stop(deadline)));
    await Promise.race([this.#logic.drained(), aborted(deadline)]);
    await this.#stopHooks(this.#settings);
    await this.#parts.store.stop();
  }

  get #frontends(): Frontend[] {
    return [this.#http, this.#udp].filter((frontend) => frontend !== undefined);
  }

  async #stopHooks(settings: TrackerSettings): Promise<void> {
    for (const hook of hooksOf(settings)) {
      try {
        await hook.stop?.();
      } catch (error) {
        this.#parts.logger.error({ err: error, hook: hook.name }, "hook failed to stop");
      }
    }
  }
}

function hooksOf(settings: TrackerSettings): Hook[] {
  return [...settings.preHooks, ...settings.postHooks];
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
