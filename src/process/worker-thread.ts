import { extname } from "node:path";
import type { Readable } from "node:stream";
import { Worker } from "node:worker_threads";
import type { FamilySnapshot } from "../observability/metrics.ts";
import type { ComponentState } from "../operator/health.ts";
import type { ShareGive, ShareTell } from "../tracker/share-hub.ts";
import type { Ask, Reply, Tell, WorkerStart } from "./worker-messages.ts";

/** How much longer than its deadline a worker may take to stop before it is ended. */
const graceMs = 1000;
/** How long to wait for what a worker has counted, or whether it is ready. */
const answerMs = 2000;

/** What a worker says that is not for its {@link WorkerThread}. */
export interface WorkerListener {
  log(...line: LogLine): void;
  /** @param give  sends to that worker */
  share(message: ShareTell, give: (message: ShareGive) => void): void;
}

/** Makes the thread of a worker. */
export type CreateWorker = (start: WorkerStart) => Worker;

/** Makes it as the tracker runs it. */
export const createWorker: CreateWorker = (start) => {
  // Beside this file, under whichever extension it runs.
  const url = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
  return new Worker(url, { workerData: start, name: "tracker" });
};

/** One worker thread. */
export class WorkerThread {
  readonly owner: number;
  readonly started: Promise<void>;
  /** Resolves when the thread is gone, with why if it says. */
  readonly exited: Promise<Error | undefined>;
  urls: string[] = [];
  isServing = false;
  /** What it had counted when it was asked last. */
  counted: readonly FamilySnapshot[] = [];
  readonly #worker: Worker;
  readonly #asked: Map<number, PromiseWithResolvers<unknown>> = new Map();
  #isGone = false;
  #nextId = 1;

  constructor(worker: Worker, owner: number, listener: WorkerListener) {
    this.owner = owner;
    this.#worker = worker;
    const started = Promise.withResolvers<void>();
    this.started = started.promise;
    this.started.catch(() => undefined); // whoever waits for it hears of it
    let failure: Error | undefined;
    worker.on("error", (error) => {
      failure = error as Error;
    });
    worker.on("message", (message: Tell) => {
      if (message.tell === "log") listener.log(message.level, message.fields, message.message);
      else if (message.tell === "reply") this.#settle(message);
      else if (message.tell !== "started") listener.share(message, (give) => this.give(give));
      else {
        this.urls = message.urls;
        this.isServing = true;
        started.resolve();
      }
    });
    this.exited = new Promise((resolve) => {
      worker.once("exit", (code) => {
        this.isServing = false;
        this.#isGone = true;
        this.counted = this.counted.filter(({ kind }) => kind !== "gauge");
        const why = failure ?? new Error(`the worker has ended with code ${code}`);
        started.reject(why);
        for (const asked of this.#asked.values()) asked.resolve(undefined);
        this.#asked.clear();
        resolve(why);
      });
    });
  }

  /** Asks once it serves. Rejects with what the worker says is wrong; resolves with undefined if it dies first. */
  async ask(question: Question): Promise<unknown> {
    await this.started.catch(() => undefined);
    if (this.#isGone) return undefined;
    const id = this.#nextId++;
    const asked = Promise.withResolvers<unknown>();
    this.#asked.set(id, asked);
    this.#worker.postMessage({ ...question, id } satisfies Ask);
    return asked.promise;
  }

  /** What it has counted; where it does not answer in time, what it said before, so that no count goes down. */
  async scrape(): Promise<readonly FamilySnapshot[]> {
    const answer = await this.#askSoon({ ask: "scrape" });
    if (answer !== undefined) this.counted = answer as readonly FamilySnapshot[];
    return this.counted;
  }

  /** Each of its parts with true, or why it is not ready. */
  async readiness(): Promise<Record<string, ComponentState>> {
    if (!this.isServing) return { tracker: "restarting" };
    return ((await this.#askSoon({ ask: "readiness" })) ?? { tracker: "does not answer" }) as Record<
      string,
      ComponentState
    >;
  }

  /** Sends what it need not answer; also while it starts. */
  give(message: ShareGive): void {
    this.#worker.postMessage(message);
  }

  /** Resolves with undefined where it does not answer in time. */
  async #askSoon(question: Question): Promise<unknown> {
    if (!this.isServing) return undefined;
    const asked = this.ask(question).catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, answerMs);
    });
    const answer = await Promise.race([asked, late]);
    clearTimeout(timer);
    return answer;
  }

  async profileCpu(seconds: number, signal: AbortSignal): Promise<string> {
    const end = () => this.ask({ ask: "end profile" }).catch(() => undefined);
    signal.addEventListener("abort", end);
    const profile = await this.ask({ ask: "profile", seconds });
    signal.removeEventListener("abort", end);
    if (typeof profile !== "string") throw new Error("the worker died");
    return profile;
  }

  snapshotHeap(): Promise<Readable> {
    return this.#worker.getHeapSnapshot();
  }

  async stop(deadline: number): Promise<void> {
    this.isServing = false;
    this.ask({ ask: "stop", deadline }).catch(() => undefined);
    const timer = setTimeout(() => void this.end(), deadline * 1000 + graceMs);
    await this.exited;
    clearTimeout(timer);
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #settle(reply: Reply): void {
    const asked = this.#asked.get(reply.id);
    this.#asked.delete(reply.id);
    if ("error" in reply) asked?.reject(new Error(reply.error));
    else asked?.resolve(reply.value);
  }
}

type LogLine = [level: "debug" | "info" | "warn" | "error", fields: Record<string, unknown>, message: string];
type Question = Ask extends infer Each ? (Each extends { id: number } ? Omit<Each, "id"> : never) : never;
