import type { Readable } from "node:stream";
import type { Config } from "../config/config.ts";
import { closeDescriptors, createDescriptors } from "../net/linux/descriptors.ts";
import { type Libc, loadLibc } from "../net/linux/libc.ts";
import { createBeats } from "../net/linux/liveness.ts";
import { createLoadGate } from "../net/linux/load-gate.ts";
import { isShortage } from "../net/shortage.ts";
import { type Counter, type FamilySnapshot, type Metrics, mergeSnapshots } from "../observability/metrics.ts";
import { oncePerMinute, RateLimitedLog } from "../observability/rate-limited.ts";
import type { WorkerState } from "../operator/api/endpoints/workers.ts";
import type { ComponentState } from "../operator/health.ts";
import { mainProfiler, type Profiler } from "../operator/profiles.ts";
import { drawTracker, type SharedStore } from "../storage/define-store.ts";
import { releaseLocks } from "../storage/memory/repair.ts";
import type { Publication } from "../tracker/share-hub.ts";
import { Bus, mainThread } from "./bus.ts";
import type { Host, HostParts } from "./host.ts";
import { prepareFrontends } from "./probe-addresses.ts";
import { hubService, type LogLine, supervisorService, topicService, type WorkerStart } from "./services.ts";
import { type CreateWorker, createWorker, WorkerThread } from "./worker-thread.ts";

/** The parts of the main thread. `store` is undefined where the stores of the workers share no memory. */
interface SupervisorParts extends Omit<HostParts, "store"> {
  store: Pick<SharedStore, "memory" | "release"> | undefined;
}

/** The first owner number of a worker; 1 is the main thread's store. */
const firstOwner = 2;
/** A worker that dies within this time of its start is replaced only after the same time, in milliseconds. */
const restartPauseMs = 1000;

/** Registers the counter of restarts. A process without worker threads shows it too, so that alerts find it everywhere. */
export function countRestarts(metrics: Metrics): Counter {
  return metrics.counter("chihaya_worker_restarts_total", "Worker threads that died and were replaced");
}

/**
 * The tracker in worker threads. Each worker has its own sockets on the same addresses, its own hooks and counters. All workers
 * share the swarms, in memory or in Redis. When a worker dies, the supervisor closes the worker's descriptors, releases its
 * locks, and starts a replacement.
 *
 * The main thread never waits for a lock of the store. If it waited for a lock of a dead worker, it could not release that lock.
 * For the same reason a worker does the expiry.
 */
export class Supervisor implements Host, Profiler {
  readonly #parts: SupervisorParts;
  readonly #count: number;
  readonly #createWorker: CreateWorker;
  readonly #restarts: Counter;
  /** Restarts by worker. */
  readonly #restartsOf: number[] = [];
  readonly #members: WorkerThread[] = [];
  /** When each worker last ran. */
  readonly #beats: Int32Array;
  /** Defined where the workers may use the native engine. */
  #libc: Libc | undefined;
  /** The counters of workers that have ended. */
  #gone: readonly FamilySnapshot[] = [];
  /** The running configuration, also for replacements. */
  config: Config;
  readonly bus: Bus;
  /** Logs once what all workers report at the same time. */
  readonly #shortages: RateLimitedLog;
  readonly #tracker = drawTracker();
  #owners = firstOwner;
  #state: "idle" | "started" | "stopped" = "idle";

  constructor(parts: SupervisorParts, count: number, create: CreateWorker = createWorker) {
    this.#parts = parts;
    this.#count = count;
    this.#beats = createBeats(count);
    this.#createWorker = create;
    this.#shortages = new RateLimitedLog(parts.logger, parts.clock, oncePerMinute);
    this.#restarts = countRestarts(parts.metrics);
    this.config = parts.config;
    this.bus = new Bus({
      threads: [mainThread],
      onError: (err) => parts.logger.error({ err }, "a notification failed"),
    });
    this.#serve();
  }

  /** Serves what the workers call. */
  #serve(): void {
    const { hub } = this.#parts;
    this.bus.serve(supervisorService, {
      started: (urls, { from }) => this.#members.find(({ number }) => number === from)?.markStarted(urls),
      log: (line) => this.#log(line),
      scrape: () => this.scrape(),
    });
    this.bus.serve(hubService, {
      buffer: ({ name, bytes }) => hub.buffer(name, bytes),
      memory: ({ name, options }) => hub.memory(name, options),
      publish: (publication) => this.publish(publication),
    });
    this.bus.open();
  }

  #log({ level, fields, message }: LogLine): void {
    if (isShortage(message)) this.#shortages.warn(message, fields, message);
    else this.#parts.logger[level](fields, message);
  }

  publish(publication: Publication): void {
    this.#parts.hub.publish(publication.topic, publication.value);
    this.bus.notifyAll(topicService, "deliver", publication);
  }

  async start(): Promise<void> {
    this.config = await prepareFrontends(this.config);
    // Loaded now, because a worker may die of a lack of descriptors. If loading fails here, it fails in the workers too.
    if (this.config.network !== "portable") this.#libc = await loadLibc().catch(() => undefined);
    for (let i = 0; i < this.#count; i++) this.#members.push(this.#spawn(i));
    try {
      await Promise.all(this.#members.map((member) => member.started));
    } catch (error) {
      await Promise.all(this.#members.map((member) => member.end()));
      throw error;
    }
    this.#state = "started";
    for (let index = 0; index < this.#count; index++) this.#watch(index);
  }

  urls(): string[] {
    return [...(this.#members[0]?.urls ?? [])];
  }

  get isServing(): boolean {
    return this.#state === "started";
  }

  async readiness(): Promise<Record<string, ComponentState>> {
    if (!this.isServing) return { tracker: "not serving" };
    const all = await Promise.all(this.#members.map((member) => member.readiness()));
    return Object.fromEntries(
      all.flatMap((parts, i) =>
        Object.entries(parts).map(([part, state]) => [
          part === "tracker" ? `worker ${i + 1}` : `worker ${i + 1}: ${part}`,
          state,
        ]),
      ),
    );
  }

  async describeWorkers(): Promise<readonly WorkerState[]> {
    const states = await Promise.all(this.#members.map((member) => member.describe()));
    return states.map((state, i) => ({ ...state, restarts: this.#restartsOf[i] ?? 0 }));
  }

  async reload(config: Config): Promise<void> {
    const before = this.config;
    // A worker that is replaced during the reload starts with the new configuration: memory that hooks share may have
    // another size, and all workers need the same.
    this.config = config;
    await this.#parts.hub.reload(async () => {
      try {
        await this.#reloadAll(config);
      } catch (error) {
        this.config = before;
        await this.#reloadAll(before).catch(() => undefined);
        throw error;
      }
    });
  }

  /** Reloads all workers, also those that are started meanwhile. A worker that dies does not refuse the configuration. */
  async #reloadAll(config: Config): Promise<void> {
    const called = new Set<WorkerThread>();
    for (;;) {
      const members = this.#members.filter((member) => !called.has(member));
      if (members.length === 0) return;
      for (const member of members) called.add(member);
      const results = await Promise.allSettled(members.map((member) => member.reload(config)));
      for (const result of results) if (result.status === "rejected") throw result.reason;
    }
  }

  async stop(deadline: number): Promise<void> {
    if (this.#state !== "started") return;
    this.#state = "stopped";
    await Promise.all(this.#members.map((member) => member.stop(deadline)));
  }

  async scrape(): Promise<readonly FamilySnapshot[]> {
    return mergeSnapshots(
      await Promise.all([
        this.#gone,
        this.#parts.metrics.scrape(),
        ...this.#members.map((member) => member.scrape()),
      ]),
    );
  }

  get workers(): number {
    return this.#count;
  }

  profileCpu(worker: number, seconds: number, signal: AbortSignal): Promise<string> {
    const member = this.#members[worker - 1];
    return member ? member.profileCpu(seconds, signal) : mainProfiler.profileCpu(0, seconds, signal);
  }

  snapshotHeap(worker: number): Promise<Readable> {
    return this.#members[worker - 1]?.snapshotHeap() ?? mainProfiler.snapshotHeap(0);
  }

  #spawn(index: number): WorkerThread {
    const { store, hub, accounting } = this.#parts;
    const libc = this.#libc;
    const owner = this.#owners++;
    const network = libc && {
      ...{ descriptors: createDescriptors(), beats: this.#beats },
      ...{ gate: createLoadGate(), thread: index },
    };
    const start: WorkerStart = {
      config: this.config,
      memory: store?.memory,
      owner,
      number: index + 1,
      workers: this.#count,
      logsStartup: owner === firstOwner,
      isReplacement: owner >= firstOwner + this.#count,
      tracker: this.#tracker,
      published: hub.topics.last,
      network,
      accounting: accounting && { ring: accounting.rings[index]!, signal: accounting.signal },
    };
    const worker = this.#createWorker(start);
    if (libc && network) {
      worker.once("exit", () => {
        closeDescriptors(libc, network.descriptors);
        this.#beats[index] = 0;
      });
    }
    return new WorkerThread(worker, start, this.bus);
  }

  /** Replaces a worker when it dies, until the tracker is stopped. */
  #watch(index: number): void {
    const member = this.#members[index]!;
    const began = performance.now();
    void member.exited.then(async (error) => {
      const { store, logger, hub } = this.#parts;
      let repaired = store?.release(member.owner) ?? 0;
      for (const memory of hub.memories) repaired += releaseLocks(memory, member.owner);
      if (this.#state !== "started") return;
      this.#restarts.inc();
      this.#restartsOf[index] = (this.#restartsOf[index] ?? 0) + 1;
      logger.error({ worker: index + 1, err: error, repaired }, "a worker died; starting another");
      const age = performance.now() - began;
      if (age < restartPauseMs) await new Promise((resolve) => setTimeout(resolve, restartPauseMs));
      if (this.#state !== "started") return;
      this.#gone = mergeSnapshots([this.#gone, member.counted]);
      this.#members[index] = this.#spawn(index);
      this.#watch(index);
    });
  }
}
