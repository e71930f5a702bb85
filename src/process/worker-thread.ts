import { extname } from "node:path";
import type { Readable } from "node:stream";
import { Worker } from "node:worker_threads";
import type { Config } from "../config/config.ts";
import { closeGate } from "../net/linux/load-gate.ts";
import type { FamilySnapshot } from "../observability/metrics.ts";
import type { WorkerState } from "../operator/api/endpoints/workers.ts";
import type { ComponentState } from "../operator/health.ts";
import { type Bus, isGone } from "./bus.ts";
import { type WorkerStart, workerService } from "./services.ts";

/** Time beyond its deadline that a worker may take to stop before it is ended. */
const graceMs = 1000;
/** Time to wait for the counters and the readiness of a worker. */
const timeoutMs = 2000;
/** Time that a worker may wait for its store. It is shorter, so that a store without a response does not hide the worker's counters. */
const refreshMs = timeoutMs / 2;

/** Creates the thread of a worker. */
export type CreateWorker = (start: WorkerStart) => Worker;

/** Creates the thread that the tracker runs. */
export const createWorker: CreateWorker = (start) => {
  // Beside this file, with the same extension.
  const url = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
  return new Worker(url, { workerData: start, name: "tracker" });
};

/** One worker thread, as the main thread sees it. */
export class WorkerThread {
  readonly number: number;
  readonly owner: number;
  readonly started: Promise<void>;
  /** Resolves when the thread has ended, with the reason. */
  readonly exited: Promise<Error>;
  urls: readonly string[] = [];
  isServing = false;
  /** The counters of the last scrape. */
  counted: readonly FamilySnapshot[] = [];
  readonly #worker: Worker;
  readonly #bus: Bus;
  readonly #gate: Int32Array | undefined;
  readonly #started: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(
    worker: Worker,
    { number, owner, network }: Pick<WorkerStart, "number" | "owner" | "network">,
    bus: Bus,
  ) {
    this.number = number;
    this.owner = owner;
    this.#worker = worker;
    this.#bus = bus;
    this.#gate = network?.gate;
    this.started = this.#started.promise;
    this.started.catch(() => undefined); // also where the supervisor does not wait for the start
    let failure: Error | undefined;
    worker.on("error", (error) => {
      failure = error as Error;
    });
    bus.addThread(number, worker);
    this.exited = new Promise((resolve) => {
      worker.once("exit", (code) => {
        this.isServing = false;
        this.counted = this.counted.filter(({ kind }) => kind !== "gauge");
        const reason = failure ?? new Error(`the worker has ended with code ${code}`);
        this.#started.reject(reason);
        resolve(reason);
      });
    });
  }

  /** Notes that the worker serves clients. */
  markStarted(urls: readonly string[]): void {
    this.urls = urls;
    this.isServing = true;
    this.#started.resolve();
  }

  /** Rejects if the worker refuses the configuration. Waits for a worker that is starting; a worker that dies refuses nothing. */
  async reload(config: Config): Promise<void> {
    try {
      await this.#bus.call(this.number, workerService, "reload", config);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  /** Returns its counters. If it does not reply in time, returns those of the last scrape, so that no count goes down. */
  async scrape(): Promise<readonly FamilySnapshot[]> {
    if (!this.isServing) return this.counted;
    try {
      this.counted = await this.#bus.call(this.number, workerService, "scrape", refreshMs, { timeoutMs });
    } catch {
      // as it was
    }
    return this.counted;
  }

  /** Returns true for each part that is ready, and the reason for each other part. */
  async readiness(): Promise<Record<string, ComponentState>> {
    if (!this.isServing) return { tracker: "restarting" };
    try {
      return await this.#bus.call(this.number, workerService, "readiness", undefined, { timeoutMs });
    } catch {
      return { tracker: "does not respond" };
    }
  }

  /** Returns the state for operators. */
  async describe(): Promise<Omit<WorkerState, "restarts">> {
    const { number } = this;
    if (!this.isServing) return { number, state: "starting", components: {} };
    try {
      const state = await this.#bus.call(number, workerService, "describe", undefined, { timeoutMs });
      return { number, state: "serving", ...state };
    } catch {
      return { number, state: this.isServing ? "unresponsive" : "starting", components: {} };
    }
  }

  profileCpu(seconds: number, signal: AbortSignal): Promise<string> {
    return this.#bus.call(this.number, workerService, "profileCpu", seconds, { signal });
  }

  snapshotHeap(): Promise<Readable> {
    return this.#worker.getHeapSnapshot();
  }

  /** Stops the worker once it serves; ends it if it takes longer than `deadline` seconds. */
  async stop(deadline: number): Promise<void> {
    this.isServing = false;
    try {
      this.#bus.notify(this.number, workerService, "stop", deadline);
    } catch {
      // Dead, or stuck: then the timer ends it.
    }
    const timer = setTimeout(() => void this.end(), deadline * 1000 + graceMs);
    await this.exited;
    clearTimeout(timer);
  }

  async end(): Promise<void> {
    if (this.#gate !== undefined) await Promise.race([closeGate(this.#gate), this.exited]);
    await this.#worker.terminate();
  }
}
