import { randomInt } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { changedKeys, covers } from "../config/changed-keys.ts";
import type { Config } from "../config/config.ts";
import { countWorkers } from "../config/count-workers.ts";
import { limitConnections, readDescriptorLimit } from "../config/descriptor-limit.ts";
import { type Diagnostic, formatDiagnostics } from "../config/diagnostics.ts";
import type { LoadOptions, LoadResult } from "../config/load.ts";
import { loadConfigInChildProcess } from "../config/load-in-child-process.ts";
import { type RestartMark, settle } from "../config/settle.ts";
import type { Plain } from "../config/tree.ts";
import { createRandom } from "../lib/clock.ts";
import { version } from "../lib/version.ts";
import { BanMemory } from "../middleware/bans/ban-memory.ts";
import { loadLibc } from "../net/linux/libc.ts";
import { releaseProgramPages } from "../net/linux/program-pages.ts";
import { type Network, portableNetwork } from "../net/network.ts";
import { registerCertificates } from "../observability/certificate-metrics.ts";
import { EventLoopLag } from "../observability/event-loop-lag.ts";
import { openLogOutput, registerLogMetrics } from "../observability/log-output.ts";
import { findLogTarget, withPriority } from "../observability/log-target.ts";
import type { Logger } from "../observability/logger.ts";
import { createLogger, type LoggingOptions } from "../observability/logging.ts";
import { Metrics } from "../observability/metrics.ts";
import { registerProcessMetrics } from "../observability/process-metrics.ts";
import { RecentLog } from "../observability/recent-log.ts";
import { Admin } from "../operator/admin.ts";
import { type AdminOptions, mayServeAdmin, socketOnly, socketPathOf } from "../operator/admin-options.ts";
import type { ReloadDiagnostic, ReloadReport, RunningConfig } from "../operator/api/endpoints/control.ts";
import { OperatorServer } from "../operator/operator-server.ts";
import { mainProfiler } from "../operator/profiles.ts";
import type { AdminState } from "../operator/state/admin-state.ts";
import type { AccountingMemory } from "../private/thread-memory.ts";
import { describeLists } from "../tracker/access-lists.ts";
import { createSharedStore, createStore } from "../tracker/create-store.ts";
import { LocalHub } from "../tracker/share-hub.ts";
import { SystemClock } from "../tracker/system-clock.ts";
import type { AccountantThread } from "./accountant-thread.ts";
import { ConfigMetrics } from "./config-metrics.ts";
import { type Host, type HostParts, LocalHost, openConfiguredNetwork } from "./host.ts";
import { handleSignals } from "./signals.ts";
import { countRestarts, Supervisor } from "./supervisor.ts";
import { createSwarms } from "./swarm-service.ts";

/** The options of the command line. Each reload reads the configuration again with them. */
export interface DaemonOptions extends LoadOptions {
  logging: LoggingOptions;
}

/**
 * A second signal within this time counts as the same signal: under `npm start`, one Ctrl-C sends a signal from the terminal
 * and another from npm, which a busy machine may delay.
 */
const sameSignalMs = 500;

/**
 * Runs a tracker as a process: configuration, logs, metrics, signals.
 * @param loaded  the configuration that `options` lead to
 * @returns the exit code, when the tracker has stopped or could not start
 */
export async function runDaemon(options: DaemonOptions, loaded: LoadResult): Promise<number> {
  const output = openLogOutput();
  const target = findLogTarget(options.env);
  if (!loaded.ok) {
    const text = formatDiagnostics(loaded.errors);
    output.write(target.isJournal ? withPriority(text, "error") : text);
    return 78;
  }
  const logger = new RecentLog(await createLogger(options.logging, output, target));
  const source = options.file ?? "built-in defaults";
  logger.info({ version, node: process.version, config: source }, "starting chihaya");
  logWarnings(logger, loaded.warnings);
  let network: Network | undefined;
  let code = 1;
  try {
    const config = withinDescriptors(loaded.config);
    network = await openMainNetwork(config, logger);
    const clock = new SystemClock();
    const metrics = new Metrics();
    registerLogMetrics(metrics, output);
    const random = createRandom(randomInt(1, 2 ** 31));
    const hub = new LocalHub({ clock, random, isPrivate: config.private !== undefined });
    const accounting = await createAccounting(config);
    const host = await createHost(config, network, { clock, random, metrics, logger, hub, accounting });
    const accountant = accounting && (await createAccountant(config, host, accounting, { metrics, logger }));
    const state = await openState(config.admin ?? socketOnly, hub, { clock, metrics, logger });
    const { document, hash } = loaded;
    const parts = { clock, metrics, logger, network, host, hub, document, state, accountant };
    const daemon = new Daemon(options, config, parts, new ConfigMetrics(metrics, clock, hash));
    await daemon.start();
    code = await daemon.untilStopped();
  } catch (error) {
    network?.close();
    logFailure(logger, "failed to start", error);
  }
  endForCertain(code, logger);
  return code;
}

/** Milliseconds after the start until nothing is left of it to do. */
const settledMs = 1000;
/** Samples after which no sample compiles code. Compiling maps 6 MiB of the program's pages, which only a release unmaps. */
const compilingSamples = 3;

/** The process has so many times so many milliseconds to end by itself once everything is closed. */
const [lingerTimes, lingerMs] = [20, 100];

/**
 * Ends the process if something keeps it alive, such as a timer or a connection of a hook's module, which only the module can
 * close. systemd and its like wait for the end of the process before they start another one.
 *
 * Waits many short times: one long time could pass while the machine pauses, before what is closed has gone.
 */
function endForCertain(code: number, logger: Logger): void {
  let times = 0;
  setInterval(() => {
    if (++times < lingerTimes) return;
    const open = [...new Set(process.getActiveResourcesInfo())];
    logger.warn({ open }, "something keeps the process alive; ending it");
    process.exit(code);
  }, lingerMs).unref();
}

/** Lowers `max_connections` to what the limit of open files allows. The check of the configuration has warned of it. */
function withinDescriptors(config: Config): Config {
  return limitConnections(config, countWorkers(config), readDescriptorLimit()).config;
}

function logWarnings(logger: Logger, warnings: readonly Diagnostic[]): void {
  for (const warning of warnings) logger.warn(whereabouts(warning), warning.message);
}

function toReport(diagnostic: Diagnostic): ReloadDiagnostic {
  return { message: diagnostic.message, ...whereabouts(diagnostic) };
}

/** Returns whether a reload never changes the value of a key. */
function isFixed(marks: readonly RestartMark[], key: string): boolean {
  return marks.some(({ name, identity }) => name !== "" && identity === undefined && covers(name, key));
}

function whereabouts({ source, line, column, path }: Diagnostic): { at: string; path: string } {
  return { at: line === undefined ? source : `${source}:${line}:${column}`, path };
}

/** Logs one line for the operator, and the stack at level debug. */
function logFailure(logger: Logger, what: string, error: unknown): void {
  logger.error({}, `${what}: ${error instanceof Error ? error.message : error}`);
  logger.debug({ err: error }, what);
}

/** Opens the network of the main thread. Where workers serve the clients, the portable one is enough. */
async function openMainNetwork(config: Config, logger: Logger): Promise<Network> {
  return countWorkers(config) === 1 ? openConfiguredNetwork(config, logger) : portableNetwork;
}

interface DaemonParts {
  clock: SystemClock;
  metrics: Metrics;
  logger: RecentLog;
  network: Network;
  host: Host;
  hub: LocalHub;
  document: Plain;
  state: AdminState;
  /** Of a private tracker. */
  accountant: AccountantThread | undefined;
}

/** Opens the changes that operators have made with the admin API. */
async function openState(
  { state: path }: AdminOptions,
  hub: LocalHub,
  deps: Pick<DaemonParts, "clock" | "metrics" | "logger">,
): Promise<AdminState> {
  const { AdminState } = await import("../operator/state/admin-state.ts");
  const memory = await BanMemory.open((name, bytes) => hub.buffer(name, bytes));
  return new AdminState(path, { ...deps, memory });
}

/** Creates the tracker in this thread, or the supervisor of the workers. */
async function createHost(
  config: Config,
  network: Network,
  own: Pick<HostParts, "clock" | "random" | "metrics" | "logger" | "hub" | "accounting">,
): Promise<Host> {
  countRestarts(own.metrics);
  const parts = { ...own, config, isFirst: true, owner: 1, isPrivate: config.private !== undefined };
  const workers = countWorkers(config);
  const { storage } = config;
  if (workers > 1) {
    return new Supervisor({ ...parts, store: await createSharedStore(storage, parts) }, workers);
  }
  const accounting = own.accounting && { ring: own.accounting.rings[0]!, signal: own.accounting.signal };
  return new LocalHost({ ...parts, accounting, store: await createStore(storage, parts) }, network);
}

/** Makes the memory between workers and accountant; a public tracker has none, and loads none of the code. */
async function createAccounting(config: Config): Promise<AccountingMemory | undefined> {
  if (config.private === undefined) return undefined;
  const { createAccountingMemory } = await import("./accountant-thread.ts");
  return createAccountingMemory(countWorkers(config));
}

async function createAccountant(
  config: Config,
  host: Host,
  memory: AccountingMemory,
  own: Pick<DaemonParts, "metrics" | "logger">,
): Promise<AccountantThread> {
  const { AccountantThread } = await import("./accountant-thread.ts");
  const { directoryTopic, privateScope } = await import("../private/private-hook.ts");
  const topic = `${privateScope}/${directoryTopic}`;
  // Clients announce at the end of the interval, and a few minutes late where the interval varies.
  const maxGap = 2 * config.announceInterval + 300;
  const publish = (value: unknown) => host.publish({ topic, value });
  return new AccountantThread(
    { options: config.private!, maxGap, announceInterval: config.announceInterval, memory },
    { ...own, bus: host.bus, publish, scrape: () => host.scrape() },
  );
}

class Daemon {
  readonly #options: DaemonOptions;
  readonly #logger: RecentLog;
  readonly #network: Network;
  readonly #clock: SystemClock;
  readonly #host: Host;
  readonly #hub: LocalHub;
  readonly #accountant: AccountantThread | undefined;
  /** What stands in the configuration that is running, without defaults. */
  #document: Plain;
  /** Keys of the document that the last reload could not apply. */
  #needsRestart: readonly string[] = [];
  readonly #metrics: Metrics;
  readonly #configMetrics: ConfigMetrics;
  readonly #state: AdminState;
  readonly #admin: Admin | undefined;
  readonly #servers: OperatorServer[];
  /** Of the main thread; one for all readers, as each would wake the thread ten times a second. */
  readonly #lag = new EventLoopLag();
  readonly #stopMetrics: () => void;
  readonly #stopped = Promise.withResolvers<number>();
  /** `performance.now()` when the first signal to stop came. */
  #stoppingSince: number | undefined;
  #hasStarted = false;
  #isReloading = false;
  /** Who asks for another reload after the start, or after the one that is under way. */
  #wanted: NodeJS.Signals | "admin" | undefined;
  /** Those who wait for the result of that reload. */
  #waiting: PromiseWithResolvers<ReloadReport>[] = [];

  constructor(options: DaemonOptions, config: Config, parts: DaemonParts, configMetrics: ConfigMetrics) {
    const { clock, metrics, logger, network, host, hub, document, state, accountant } = parts;
    this.#options = options;
    this.#clock = clock;
    this.#logger = logger;
    this.#network = network;
    this.#host = host;
    this.#hub = hub;
    this.#accountant = accountant;
    this.#document = document;
    this.#metrics = metrics;
    this.#configMetrics = configMetrics;
    this.#state = state;
    const socket = socketPathOf(config.admin ?? socketOnly, options.env);
    if (config.admin !== undefined || socket !== undefined)
      this.#admin = this.#createAdmin(config.admin ?? socketOnly, state);
    this.#servers = this.#createServers(config, socket);
    this.#stopMetrics = registerProcessMetrics(metrics, version, this.#lag);
  }

  #createAdmin(options: AdminOptions, state: AdminState): Admin {
    return new Admin(options, {
      version,
      clock: this.#clock,
      logger: this.#logger,
      workers: () => countWorkers(this.#host.config),
      scrape: () => this.#host.scrape(),
      reload: () => this.#requestReload(),
      describeConfig: (showsPeers) => this.#describeConfig(showsPeers),
      describeWorkers: () => this.#host.describeWorkers(),
      recentLines: () => this.#logger.lines,
      swarms: createSwarms(this.#host.bus),
      callSite: this.#accountant && ((call) => this.#accountant!.callSite(call)),
      readJournal: this.#accountant && ((after, waitMs) => this.#accountant!.readJournal(after, waitMs)),
      state,
      onError: (err) => this.#logger.error({ err }, "admin API"),
    });
  }

  #createServers(
    { metricsListen, profiling, profilingHosts, admin }: Config,
    socket: string | undefined,
  ): OperatorServer[] {
    const host = this.#host;
    const deps = {
      metrics: host,
      logger: this.#logger,
      isReady: async () => ({
        ...(await host.readiness()),
        ...(this.#accountant && { accountant: await this.#accountant.readiness() }),
      }),
      network: this.#network,
      clock: this.#clock,
      lag: this.#lag,
      profiler: host instanceof Supervisor ? host : mainProfiler,
    };
    const own = admin?.addr ?? [];
    return [
      ...metricsListen.map((listen) => {
        const servesAdmin = admin !== undefined && own.length === 0 && mayServeAdmin(listen, admin, false);
        const options = { listen, profiling, profilingHosts, version };
        return new OperatorServer(options, { ...deps, admin: servesAdmin ? this.#admin : undefined });
      }),
      ...own.map(
        (listen) =>
          new OperatorServer(
            { listen, tls: admin?.tls, isAdminOnly: true, profiling: false, version },
            { ...deps, admin: this.#admin },
          ),
      ),
      ...(socket === undefined
        ? []
        : [
            new OperatorServer(
              { listen: { path: socket }, profiling, version },
              { ...deps, admin: this.#admin },
            ),
          ]),
    ];
  }

  /** Starts all of it, or stops what was started and rejects. */
  async start(): Promise<void> {
    handleSignals({ stop: this.#onStop, reload: this.#onReload });
    this.#clock.start();
    try {
      await this.#state.start();
      await this.#takeLists(this.#host.config);
      for (const server of this.#servers) {
        if (!(await this.#startServer(server))) continue;
        registerCertificates(this.#metrics, [server.url], () => server.certificateExpiry());
        for (const content of server.contents) this.#logger.info({ url: server.url }, `serving ${content}`);
      }
      if (this.#host.config.admin !== undefined) this.#admin?.start();
      await this.#accountant?.start();
      await this.#host.start();
    } catch (error) {
      await this.#accountant?.stop(0);
      await this.#stopServers();
      throw error;
    }
    this.#hasStarted = true;
    for (const url of this.#host.urls()) this.#logger.info({ url }, "serving");
    void this.#reloadAsWanted();
    setTimeout(() => void this.#releaseMemory(), settledMs).unref();
  }

  /** Starts a listener. A socket that nobody asked for may fail, with a warning. @returns whether it listens */
  async #startServer(server: OperatorServer): Promise<boolean> {
    try {
      await server.start();
      return true;
    } catch (error) {
      const { socket } = this.#host.config.admin ?? socketOnly;
      if (!server.isSocket || socket !== "auto") throw error;
      this.#logger.warn({}, `${(error as Error).message}; "chihaya reload" cannot reach this tracker`);
      return false;
    }
  }

  /** Makes the operators' edits of the lists of a configuration effective, before hooks use them. */
  async #takeLists(config: Config): Promise<void> {
    await this.#state.edits.take(await describeLists(config, this.#hub));
  }

  async #reloadHost(config: Config): Promise<void> {
    const { config: before } = this.#host;
    await this.#takeLists(config);
    try {
      await this.#host.reload(config);
    } catch (error) {
      await this.#takeLists(before);
      throw error;
    }
  }

  /** Gives back what only the start needed. Where the system refuses, the process only stays as large as it is. */
  async #releaseMemory(): Promise<void> {
    if (this.#host.config.network === "portable") return;
    try {
      for (let n = 0; n < compilingSamples && this.#host.config.admin !== undefined; n++) {
        await this.#admin?.sample();
        await wait(settledMs, undefined, { ref: false });
      }
      const libc = await loadLibc();
      libc.malloc_trim(0);
      await releaseProgramPages(libc);
    } catch (error) {
      this.#logger.debug({ err: error }, "memory of the start not released");
    }
  }

  /** Resolves with the exit code. */
  untilStopped(): Promise<number> {
    return this.#stopped.promise;
  }

  readonly #onStop = (signal: NodeJS.Signals): void => {
    const now = performance.now();
    if (!this.#hasStarted) {
      this.#logger.info({ signal }, "stopped before the start was complete");
      process.exit(0); // the system closes what is open, and no client has been served
    }
    if (this.#stoppingSince === undefined) {
      this.#stoppingSince = now;
      void this.#stop(signal);
    } else if (now - this.#stoppingSince > sameSignalMs) {
      this.#logger.warn({ signal }, "stopping at once");
      process.exit(1);
    }
  };

  readonly #onReload = (signal: NodeJS.Signals | "admin"): void => {
    this.#wanted = signal;
    if (this.#hasStarted) void this.#reloadAsWanted();
  };

  /** Signals that come during a reload have one more follow it, however many they are. */
  async #reloadAsWanted(): Promise<void> {
    if (this.#isReloading) return;
    this.#isReloading = true;
    for (let signal = this.#wanted; signal !== undefined; signal = this.#wanted) {
      this.#wanted = undefined;
      const waiting = this.#waiting;
      this.#waiting = [];
      const report = await this.#reload(signal);
      for (const { resolve } of waiting) resolve(report);
    }
    this.#isReloading = false;
  }

  /** Reloads as a signal does. Resolves when the configuration has been applied or refused. */
  #requestReload(): Promise<ReloadReport> {
    const waiting = Promise.withResolvers<ReloadReport>();
    this.#waiting.push(waiting);
    this.#onReload("admin");
    return waiting.promise;
  }

  async #describeConfig(showsPeers: boolean): Promise<RunningConfig> {
    const { renderEffective } = await import("../config/render.ts");
    const { maskNetworks } = await import("../operator/swarms/peer-page.ts");
    const whole = this.#document as { readonly [key: string]: Plain };
    const hooks = Object.entries(whole).filter(([key]) => key === "prehooks" || key === "posthooks");
    const document = showsPeers ? whole : { ...whole, ...maskNetworks(Object.fromEntries(hooks)) };
    const needs_restart = this.#needsRestart;
    return { file: this.#options.file ?? null, yaml: renderEffective(document), needs_restart };
  }

  async #stop(signal: NodeJS.Signals): Promise<void> {
    const { shutdownTimeout: deadline } = this.#host.config;
    this.#logger.info({ signal, deadline }, "stopping");
    await this.#host.stop(deadline);
    await this.#accountant?.stop(deadline);
    await this.#stopServers();
    this.#logger.info({}, "stopped");
    this.#stopped.resolve(0);
  }

  async #stopServers(): Promise<void> {
    this.#admin?.stop();
    await Promise.all(this.#servers.map((server) => server.stop()));
    await this.#state.stop();
    this.#network.close();
    this.#stopMetrics();
    this.#clock.stop();
  }

  /** Reads and validates first; what is wrong changes nothing. */
  async #reload(signal: NodeJS.Signals | "admin"): Promise<ReloadReport> {
    const file = this.#options.file ?? null;
    const refused = (errors: ReloadDiagnostic[]): ReloadReport => ({
      file,
      reloaded: false,
      applied: [],
      needs_restart: [],
      warnings: [],
      errors,
    });
    const stopped = refused([{ message: "the tracker is stopping" }]);
    if (!this.#host.isServing) return stopped;
    try {
      const loaded = await loadConfigInChildProcess(this.#options);
      if (!this.#host.isServing) return stopped;
      if (loaded.ok) {
        const { config, needsRestart } = settle(this.#host.config, loaded.config, loaded.restartMarks);
        await this.#reloadHost(withinDescriptors(config));
        const fields = needsRestart.length > 0 ? { signal, needsRestart } : { signal };
        this.#logger.info(fields, "configuration reloaded");
        const applied = changedKeys(this.#document, loaded.document).filter(
          (key) => !needsRestart.some((name) => covers(name, key)) && !isFixed(loaded.restartMarks, key),
        );
        this.#document = loaded.document;
        this.#needsRestart = needsRestart;
        this.#configMetrics.applied(loaded.hash, needsRestart.length);
        if (config.admin) this.#admin?.take(config.admin);
        logWarnings(this.#logger, loaded.warnings);
        return {
          file,
          reloaded: true,
          applied,
          needs_restart: needsRestart,
          warnings: loaded.warnings.map(toReport),
          errors: [],
        };
      }
      for (const error of loaded.errors) {
        this.#logger.error(whereabouts(error), `configuration not reloaded: ${error.message}`);
      }
      this.#configMetrics.refused();
      return refused(loaded.errors.map(toReport));
    } catch (error) {
      this.#configMetrics.refused();
      logFailure(this.#logger, "configuration not reloaded", error);
      return refused([{ message: error instanceof Error ? error.message : `${error}` }]);
    }
  }
}
