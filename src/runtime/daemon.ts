import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { createRandom } from "../bittorrent/clock.ts";
import type { Config } from "../config/config.ts";
import { type Diagnostic, formatDiagnostics } from "../config/diagnostics.ts";
import { type LoadResult, loadConfig } from "../config/load.ts";
import type { Logger } from "../observability/logger.ts";
import { createLogger, type LoggingOptions } from "../observability/logging.ts";
import { Metrics } from "../observability/metrics.ts";
import { MetricsServer } from "../observability/metrics-server.ts";
import { registerProcessMetrics } from "../observability/process-metrics.ts";
import { registerStorageMetrics } from "../observability/storage-metrics.ts";
import { MemoryStore } from "../storage/memory/memory-store.ts";
import { SystemClock } from "./clock.ts";
import { composeSettings } from "./compose.ts";
import { Tracker } from "./tracker.ts";
import { version } from "./version.ts";

/** What the command line says. */
export interface DaemonOptions {
  /** Configuration file; undefined looks in the usual places. */
  file: string | undefined;
  /** `path=value` overrides. */
  set: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  logging: LoggingOptions;
}

/** Where Chihaya looks as well. */
const usualFile = "/etc/chihaya.yaml";

/**
 * Runs a tracker as a process: configuration, logs, metrics, signals.
 * @returns the exit code, when it has been stopped or could not start
 */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const loaded = load(options);
  if (!loaded.ok) {
    process.stderr.write(formatDiagnostics(loaded.errors));
    return 78;
  }
  const logger = await createLogger(options.logging);
  const daemon = new Daemon(options, loaded.config, logger);
  logger.info(
    { version, node: process.version, config: options.file ?? findFile(options) ?? "built-in defaults" },
    "starting chihaya",
  );
  warn(logger, loaded.warnings);
  try {
    await daemon.start();
  } catch (error) {
    logger.error({ err: error }, "failed to start");
    return 1;
  }
  return daemon.untilStopped();
}

function load({ file, set, env }: DaemonOptions): LoadResult {
  return loadConfig({ file: findFile({ file, env }), env, set });
}

function findFile({ file, env }: Pick<DaemonOptions, "file" | "env">): string | undefined {
  return file ?? (env.CHIHAYA_CONFIG || (existsSync(usualFile) ? usualFile : undefined));
}

function warn(logger: Logger, warnings: readonly Diagnostic[]): void {
  for (const { source, line, path, message } of warnings) {
    logger.warn({ at: line === undefined ? source : `${source}:${line}`, path }, message);
  }
}

class Daemon {
  readonly #options: DaemonOptions;
  readonly #logger: Logger;
  readonly #clock = new SystemClock();
  readonly #store: MemoryStore;
  readonly #tracker: Tracker;
  readonly #servers: MetricsServer[];
  readonly #stopMetrics: () => void;
  readonly #stopped = Promise.withResolvers<number>();
  #config: Config;
  #isStopping = false;
  #reloading: Promise<void> = Promise.resolve();

  constructor(options: DaemonOptions, config: Config, logger: Logger) {
    this.#options = options;
    this.#config = config;
    this.#logger = logger;
    const metrics = new Metrics();
    this.#stopMetrics = registerProcessMetrics(metrics, version);
    this.#store = new MemoryStore({
      config: config.storage.config,
      clock: this.#clock,
      random: createRandom(randomInt(1, 2 ** 31)),
      onExpired: (milliseconds, removed) => {
        expired.observe(milliseconds);
        logger.debug({ milliseconds, removed }, "removed expired peers");
      },
    });
    const expired = registerStorageMetrics(metrics, this.#store);
    this.#tracker = new Tracker(composeSettings(config), {
      store: this.#store,
      clock: this.#clock,
      metrics,
      logger,
    });
    this.#servers = config.metricsListen.map(
      (listen) =>
        new MetricsServer(
          { listen, profiling: config.profiling, version },
          { metrics, logger, isReady: () => ({ tracker: this.#tracker.isServing || "not serving" }) },
        ),
    );
  }

  /** Starts all of it, or stops what was started and rejects. */
  async start(): Promise<void> {
    this.#clock.start();
    try {
      for (const server of this.#servers) {
        await server.start();
        this.#logger.info({ url: server.url }, "serving metrics and health");
      }
      await this.#tracker.start();
    } catch (error) {
      await this.#stopServers();
      throw error;
    }
    for (const url of this.#tracker.urls()) this.#logger.info({ url }, "serving");
    process.on("SIGINT", this.#onStop).on("SIGTERM", this.#onStop);
    process.on("SIGHUP", this.#onReload).on("SIGUSR1", this.#onReload);
  }

  /** Resolves with the exit code. */
  untilStopped(): Promise<number> {
    return this.#stopped.promise;
  }

  readonly #onStop = (signal: NodeJS.Signals): void => {
    if (this.#isStopping) {
      this.#logger.warn({ signal }, "stopping at once");
      process.exit(1);
    }
    this.#isStopping = true;
    void this.#stop(signal);
  };

  readonly #onReload = (signal: NodeJS.Signals): void => {
    this.#reloading = this.#reloading.then(() => this.#reload(signal));
  };

  async #stop(signal: NodeJS.Signals): Promise<void> {
    const seconds = this.#config.shutdownTimeout;
    this.#logger.info({ signal, deadline: seconds }, "stopping");
    let code = 0;
    try {
      await this.#tracker.stop(AbortSignal.timeout(seconds * 1000));
    } catch (error) {
      this.#logger.error({ err: error }, "failed to stop cleanly");
      code = 1;
    }
    await this.#stopServers();
    process.off("SIGHUP", this.#onReload).off("SIGUSR1", this.#onReload);
    process.off("SIGINT", this.#onStop).off("SIGTERM", this.#onStop);
    this.#logger.info({}, "stopped");
    this.#stopped.resolve(code);
  }

  async #stopServers(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop()));
    this.#stopMetrics();
    this.#clock.stop();
  }

  /** Reads and validates first; what is wrong changes nothing. */
  async #reload(signal: NodeJS.Signals): Promise<void> {
    if (this.#isStopping) return;
    const loaded = load(this.#options);
    if (!loaded.ok) {
      for (const { source, line, column, path, message } of loaded.errors) {
        const at = line === undefined ? source : `${source}:${line}:${column}`;
        this.#logger.error({ at, path }, `configuration not reloaded: ${message}`);
      }
      return;
    }
    try {
      const { config } = loaded;
      const later = await this.#tracker.reload(composeSettings(config));
      later.push(...this.#store.configure(config.storage.config).map((name) => `storage.config.${name}`));
      const old = this.#config;
      if (JSON.stringify(config.metricsListen) !== JSON.stringify(old.metricsListen))
        later.push("metrics_addr");
      if (config.profiling !== old.profiling) later.push("profiling");
      this.#config = config;
      this.#logger.info(
        { signal, ...(later.length > 0 ? { needsRestart: later } : {}) },
        "configuration reloaded",
      );
      warn(this.#logger, loaded.warnings);
    } catch (error) {
      this.#logger.error({ err: error }, "configuration not reloaded");
    }
  }
}
