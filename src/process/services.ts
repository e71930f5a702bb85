import type { Config } from "../config/config.ts";
import type { NetworkMemory } from "../net/linux/network.ts";
import type { LogFields, Logger } from "../observability/logger.ts";
import type { FamilySnapshot } from "../observability/metrics.ts";
import type { ComponentState } from "../operator/health.ts";
import type { SwarmMethods } from "../operator/swarms/swarm-methods.ts";
import type { WorkerAccounting } from "../private/thread-memory.ts";
import type { ProcessHub, Publication } from "../tracker/share-hub.ts";
import { defineService, type Service } from "./bus.ts";

/** The data that a worker thread starts with. */
export interface WorkerStart {
  /** The running configuration. */
  config: Config;
  /** What the stores of all workers share, if anything. */
  memory: unknown;
  /** Identifies the thread in the locks of shared memory; no two threads ever have the same number. */
  owner: number;
  /** The worker's number, from 1. A replacement has the same number. Worker 1 does the work that happens once for all. */
  number: number;
  /** How many workers there are. */
  workers: number;
  /** Whether the worker logs its start; the lines of all workers would be the same. */
  logsStartup: boolean;
  /** Whether the worker takes the place of one that has died. */
  isReplacement: boolean;
  /** See `StoreDeps.tracker`. */
  tracker: number;
  /** The last publication of each topic. */
  published: ReadonlyMap<string, unknown>;
  /** For the worker's network; undefined where the native engine does not run. */
  network: NetworkMemory | undefined;
  /** The worker's part of the memory of the accountant of a private tracker. */
  accounting: WorkerAccounting | undefined;
}

/** The state of a thread that serves clients. */
export interface ThreadState {
  components: Record<string, ComponentState>;
  /** The share of a core that the thread uses; undefined if the system does not say. */
  cpu: number | undefined;
  uptimeSeconds: number;
}

/** Served by each worker once it serves clients. */
interface WorkerMethods {
  /** Takes a configuration, or rejects and changes nothing. */
  reload(config: Config): Promise<void>;
  /** Returns the metrics of the thread, and waits at most `limitMs` for the values that it has to fetch. */
  scrape(limitMs: number): Promise<readonly FamilySnapshot[]>;
  /** Returns true for each part that is ready, and the reason for each other part. */
  readiness(): Promise<Record<string, ComponentState>>;
  describe(): Promise<ThreadState>;
  /** Returns the content of a `.cpuprofile` file. */
  profileCpu(seconds: number): Promise<string>;
  /** Stops within `deadline` seconds. The response is the end of the thread. */
  stop(deadline: number): void;
}

/** Served by the main thread. */
interface SupervisorMethods {
  /** A worker serves clients at these URLs. */
  started(urls: string[]): void;
  log(line: LogLine): void;
  /** Returns the metrics of all threads. */
  scrape(): Promise<readonly FamilySnapshot[]>;
}

/** One line for the log of the process. */
export interface LogLine {
  level: keyof Logger;
  fields: LogFields;
  message: string;
}

/** Served by each worker from the beginning of its start. */
interface TopicMethods {
  deliver(publication: Publication): void;
}

export const workerService: Service<WorkerMethods> = defineService("worker");
/** What operators see and change in the store; served by each worker from the beginning of its start. */
export const swarmService: Service<SwarmMethods> = defineService("swarms");
export const supervisorService: Service<SupervisorMethods> = defineService("supervisor");
/** What the hooks of all workers share; served by the main thread. */
export const hubService: Service<ProcessHub> = defineService("hub");
export const topicService: Service<TopicMethods> = defineService("topics");
