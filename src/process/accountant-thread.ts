import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Logger } from "../observability/logger.ts";
import type { FamilySnapshot, Metrics } from "../observability/metrics.ts";
import type { AccountantState } from "../private/accounting/accountant.ts";
import type { DirectoryMemory } from "../private/directory.ts";
import type { PrivateOptions } from "../private/options.ts";
import type { RecordCall, SiteRow } from "../private/site-records.ts";
import type { TrackerTraffic } from "../private/sites/tracker-numbers.ts";
import type { SiteCall } from "../private/sites/tracker-routes.ts";
import type { AccountingMemory } from "../private/thread-memory.ts";
import { type Bus, defineService, type Service } from "./bus.ts";
import type { LogLine } from "./services.ts";
import { readTraffic } from "./tracker-traffic.ts";

/** Makes the memory that the accountant shares with a number of workers. */
export { createAccountingMemory } from "../private/ring.ts";

/** The data that the thread of the accountant starts with. */
export interface AccountantStart {
  options: PrivateOptions;
  /** Seconds, see `SessionLimits`. */
  maxGap: number;
  /** Seconds. */
  announceInterval: number;
  memory: AccountingMemory;
}

/** Served by the accountant once the accounts are open. */
interface AccountantMethods {
  state(): Promise<AccountantState>;
  /** Reads or changes records of the site; undefined if its software keeps them. */
  records(call: RecordCall): Promise<SiteRow[] | undefined>;
  /** Returns the traffic after a record as JSON; undefined if the site does not fetch it. */
  journal(request: { after: number; waitMs: number }): Promise<string | undefined>;
  /** Serves a call of the site that has come to an address of announces. */
  siteCall(target: string): ReturnType<SiteCall>;
  /** Credits what it can within `seconds`, and closes journal and site. */
  stop(seconds: number): Promise<void>;
}

/** Served by the main thread. */
interface AccountsMethods {
  started(): void;
  /** Returns what the clients of all threads have sent. */
  traffic(): Promise<TrackerTraffic>;
  /** Sends users and torrents to all workers. */
  publish(memory: DirectoryMemory): void;
  log(line: LogLine): void;
}

export const accountantService: Service<AccountantMethods> = defineService("accountant");
export const accountsService: Service<AccountsMethods> = defineService("accounts");

/** Creates the thread of an accountant. */
export type CreateAccountant = (start: AccountantStart) => Worker;

const createAccountant: CreateAccountant = (start) => {
  // Beside this file, with the same extension.
  const url = new URL(`./accountant${extname(import.meta.url)}`, import.meta.url);
  return new Worker(url, { workerData: start, name: "accountant" });
};

/** Milliseconds before a thread that has died is started again, and those to wait for its numbers. */
const [restartMs, timeoutMs] = [1000, 2000];
/** Milliseconds that a call of the admin API, or of the software of the site, may wait for the site. */
export const siteTimeoutMs = 10_000;
/** Seconds beyond its deadline that the thread may take to stop. */
const graceSeconds = 5;

/** The collaborators of {@link AccountantThread}. */
interface AccountantThreadDeps {
  bus: Bus;
  logger: Logger;
  metrics: Metrics;
  publish(memory: DirectoryMemory): void;
  /** Returns the metrics of all threads. */
  scrape(): Promise<readonly FamilySnapshot[]>;
}

/**
 * The thread of the accountant, as the main thread sees it. If it dies, another one continues where the journal ends; until then
 * records wait in the rings, and the ends of runs wait for their record.
 */
export class AccountantThread {
  readonly #start: AccountantStart;
  readonly #deps: AccountantThreadDeps;
  readonly #create: CreateAccountant;
  readonly #started = Promise.withResolvers<void>();
  #worker: Worker | undefined;
  #state: AccountantState | undefined;
  #isRunning = false;
  /** Whether the accounts have been opened once. Until then, a thread that ends fails the start of the tracker. */
  #hasStarted = false;
  #isStopping = false;
  #exited: Promise<void> = Promise.resolve();

  constructor(
    start: AccountantStart,
    deps: AccountantThreadDeps,
    create: CreateAccountant = createAccountant,
  ) {
    this.#create = create;
    this.#start = start;
    this.#deps = deps;
    this.#register();
    deps.bus.serve(accountsService, {
      started: () => {
        this.#hasStarted = this.#isRunning = true;
        this.#started.resolve();
      },
      traffic: async () => readTraffic(await deps.scrape()),
      publish: (memory) => deps.publish(memory),
      log: ({ level, fields, message }) => deps.logger[level](fields, message),
    });
  }

  /** Resolves when the workers can know all users and torrents. @throws Error if the accounts cannot be opened */
  start(): Promise<void> {
    this.#spawn();
    return this.#started.promise;
  }

  /** Returns true, or why announces are refused or traffic is not credited. */
  async readiness(): Promise<true | string> {
    if (!this.#isRunning) return "the accountant is restarting";
    await this.#refresh();
    return this.#state?.problem ?? true;
  }

  /** Reads or changes records of the site. @returns undefined if the software of the site keeps them */
  callSite(call: RecordCall): Promise<readonly SiteRow[] | undefined> {
    return this.#deps.bus.call("accountant", accountantService, "records", call, {
      timeoutMs: siteTimeoutMs,
    });
  }

  /**
   * Returns the traffic after a record as JSON, once there is some or after `waitMs`.
   * @returns undefined if the site does not fetch it
   */
  readJournal(after: number, waitMs: number): Promise<string | undefined> {
    return this.#deps.bus.call(
      "accountant",
      accountantService,
      "journal",
      { after, waitMs },
      { timeoutMs: waitMs + siteTimeoutMs },
    );
  }

  /** Stops the thread within `seconds`. Records that the site does not have then are in the journal. */
  async stop(seconds: number): Promise<void> {
    if (this.#isStopping || this.#worker === undefined) return;
    this.#isStopping = true;
    const worker = this.#worker;
    const timer = setTimeout(() => void worker.terminate(), 1000 * (seconds + graceSeconds));
    await this.#deps.bus.call("accountant", accountantService, "stop", seconds).catch(() => undefined);
    await this.#exited;
    clearTimeout(timer);
  }

  #spawn(): void {
    const { bus, logger } = this.#deps;
    const worker = this.#create(this.#start);
    this.#worker = worker;
    bus.addThread("accountant", worker);
    let failure: unknown = new Error("the thread has ended");
    worker.on("error", (error) => {
      failure = error;
    });
    this.#exited = new Promise((resolve) => {
      worker.once("exit", () => {
        this.#isRunning = false;
        this.#started.reject(new Error(`private: ${(failure as Error).message}`, { cause: failure }));
        resolve();
        if (this.#isStopping || !this.#hasStarted) return;
        logger.error(
          { err: failure },
          `the accountant has died; starting another: ${(failure as Error).message}`,
        );
        setTimeout(() => {
          if (!this.#isStopping) this.#spawn();
        }, restartMs);
      });
    });
  }

  async #refresh(): Promise<void> {
    try {
      this.#state = await this.#deps.bus.call("accountant", accountantService, "state", undefined, {
        timeoutMs,
      });
    } catch {
      // as it was
    }
  }

  #register(): void {
    const { metrics } = this.#deps;
    metrics.beforeScrape(() => this.#refresh());
    const read = (key: Exclude<keyof AccountantState, "problem">) => () => this.#state?.[key] ?? 0;
    metrics.counterFrom(
      "chihaya_private_records_total",
      "Records that the journal has had since it was made",
      read("recorded"),
    );
    metrics.gauge(
      "chihaya_private_lag_records",
      "Records of the journal that the database does not have yet",
      () => read("recorded")() - read("applied")(),
    );
    metrics.gauge(
      "chihaya_private_ready",
      "1 while announces are written to the journal and traffic is credited, otherwise 0",
      () => Number(this.#isRunning && this.#state !== undefined && this.#state.problem === undefined),
    );
    metrics.gauge("chihaya_private_sessions", "Clients whose counters are remembered", read("sessions"));
    metrics.gauge("chihaya_private_users", "Users of the site", read("users"));
    metrics.gauge("chihaya_private_torrents", "Torrents of the site", read("torrents"));
    metrics.counterFrom(
      "chihaya_private_quarantined_total",
      "Rows that the database did not take, and that were set aside",
      read("quarantined"),
    );
    metrics.counterFrom(
      "chihaya_private_excess_bytes_total",
      "Bytes that clients claimed beyond max_rate, and that were not credited",
      read("excessBytes"),
    );
  }
}
