import { randomBytes } from "node:crypto";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Config } from "../config/config.ts";
import { lacksIPv6 } from "../frontend/bind-all.ts";
import type { ListenAddress } from "../net/listen-address.ts";
import { portableNetwork } from "../net/network.ts";
import { type FamilySnapshot, mergeSnapshots } from "../observability/metrics.ts";
import { releaseLocks } from "../storage/memory/repair.ts";
import type { Host, HostParts } from "./host.ts";
import type { Ask, Reply, Tell, WorkerStart } from "./worker-messages.ts";

/** The first owner number of a worker; 1 is the main thread's store. */
const firstOwner = 2;
/** A worker that dies younger than this is restarted only after as long, in milliseconds. */
const restartPauseMs = 1000;
/** How much longer than its deadline a worker may take to stop before it is ended. */
const graceMs = 1000;

/**
 * The tracker in worker threads: each has its own sockets on the same addresses, hooks and counters; all share
 * the swarms. A worker that dies is replaced, and the locks it held are given back.
 */
export class Supervisor implements Host {
  readonly #parts: HostParts;
  readonly #count: number;
  readonly #members: Member[] = [];
  #config: Config;
  /** What was chosen at the start for as long as it runs: ports that the system gave, a key that nobody set. */
  #chosen: Config;
  #owners = firstOwner;
  #state: "idle" | "started" | "stopped" = "idle";

  constructor(parts: HostParts, count: number) {
    this.#parts = parts;
    this.#count = count;
    this.#config = this.#chosen = parts.config;
  }

  async start(): Promise<void> {
    this.#config = this.#chosen = await claimAddresses(withPrivateKey(this.#config));
    this.#parts.store.start();
    for (let i = 0; i < this.#count; i++) this.#members.push(this.#spawn());
    try {
      await Promise.all(this.#members.map((member) => member.started));
    } catch (error) {
      await Promise.all(this.#members.map((member) => member.end()));
      this.#parts.store.stop();
      throw error;
    }
    this.#state = "started";
    for (let index = 0; index < this.#count; index++) this.#watch(index);
  }

  urls(): string[] {
    return this.#members[0]?.urls ?? [];
  }

  get isServing(): boolean {
    return this.#state === "started";
  }

  readiness(): Record<string, boolean | string> {
    if (!this.isServing) return { tracker: "not serving" };
    return Object.fromEntries(
      this.#members.map((member, i) => [`worker ${i + 1}`, member.isServing || "restarting"]),
    );
  }

  async reload(config: Config): Promise<string[]> {
    const next = withSameAddresses(withPrivateKey(config, this.#chosen), this.#chosen);
    const serving = this.#members.filter((member) => member.isServing);
    const tellAll = (told: Config) => serving.map((member) => member.ask({ ask: "reload", config: told }));
    try {
      const [later] = await Promise.all(tellAll(next));
      this.#config = next;
      this.#parts.store.configure(config.storage.config);
      return (later as string[] | undefined) ?? [];
    } catch (error) {
      await Promise.allSettled(tellAll(this.#config));
      throw error;
    }
  }

  async stop(deadline: number): Promise<void> {
    if (this.#state !== "started") return;
    this.#state = "stopped";
    await Promise.all(this.#members.map((member) => member.stop(deadline)));
    this.#parts.store.stop();
  }

  async scrape(): Promise<readonly FamilySnapshot[]> {
    const serving = this.#members.filter((member) => member.isServing);
    const snapshots = await Promise.all([
      this.#parts.metrics.scrape(),
      ...serving.map((member) => member.ask({ ask: "scrape" }).catch(() => [])),
    ]);
    return mergeSnapshots(snapshots as (readonly FamilySnapshot[])[]);
  }

  #spawn(): Member {
    const { store, logger } = this.#parts;
    const owner = this.#owners++;
    const start: WorkerStart = {
      config: this.#config,
      memory: store.memory,
      owner,
      speaks: owner === firstOwner,
    };
    return new Member(start, (level, fields, message) => logger[level](fields, message));
  }

  /** Replaces a worker when it dies, for as long as the tracker is meant to run. */
  #watch(index: number): void {
    const member = this.#members[index]!;
    const began = performance.now();
    void member.exited.then(async (error) => {
      const { store, logger, metrics } = this.#parts;
      const repaired = releaseLocks(store.memory, member.owner);
      if (this.#state !== "started") return;
      metrics.counter("chihaya_worker_restarts_total", "Worker threads that died and were replaced").inc();
      logger.error({ worker: index + 1, err: error, repaired }, "a worker died; starting another");
      const age = performance.now() - began;
      if (age < restartPauseMs) await new Promise((resolve) => setTimeout(resolve, restartPauseMs));
      if (this.#state !== "started") return;
      this.#members[index] = this.#spawn();
      this.#watch(index);
    });
  }
}

/** One worker thread. */
class Member {
  readonly owner: number;
  readonly started: Promise<void>;
  /** Resolves when the thread is gone, with why if it says. */
  readonly exited: Promise<Error | undefined>;
  urls: string[] = [];
  isServing = false;
  readonly #worker: Worker;
  readonly #asked: Map<number, PromiseWithResolvers<unknown>> = new Map();
  #nextId = 1;

  constructor(start: WorkerStart, log: (...line: LogLine) => void) {
    this.owner = start.owner;
    // Beside this file, under whichever extension it runs.
    const url = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
    const worker = new Worker(url, { workerData: start, name: "tracker" });
    this.#worker = worker;
    const started = Promise.withResolvers<void>();
    this.started = started.promise;
    this.started.catch(() => undefined); // whoever waits for it hears of it
    let failure: Error | undefined;
    worker.on("error", (error) => {
      failure = error as Error;
    });
    worker.on("message", (message: Tell) => {
      if (message.tell === "log") log(message.level, message.fields, message.message);
      else if (message.tell === "reply") this.#settle(message);
      else {
        this.urls = message.urls;
        this.isServing = true;
        started.resolve();
      }
    });
    this.exited = new Promise((resolve) => {
      worker.once("exit", (code) => {
        this.isServing = false;
        const gone = failure ?? new Error(`the worker has ended with code ${code}`);
        started.reject(gone);
        for (const { reject } of this.#asked.values()) reject(gone);
        this.#asked.clear();
        resolve(gone);
      });
    });
  }

  /** Rejects with what the worker says is wrong, or when it dies first. */
  ask(question: Question): Promise<unknown> {
    const id = this.#nextId++;
    const asked = Promise.withResolvers<unknown>();
    this.#asked.set(id, asked);
    this.#worker.postMessage({ ...question, id } satisfies Ask);
    return asked.promise;
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

/** Connection ids must be valid in all workers: where no key is set, they share the one that was made first. */
function withPrivateKey(config: Config, before?: Config): Config {
  const { udp } = config;
  if (udp?.privateKey !== "") return config;
  return {
    ...config,
    udp: { ...udp, privateKey: before?.udp?.privateKey ?? randomBytes(32).toString("hex") },
  };
}

/**
 * Makes sure that nobody else has the addresses, which workers could not tell: sockets that share a port also
 * share it with another tracker that shares it. Ports that the system chooses are chosen here.
 */
async function claimAddresses(config: Config): Promise<Config> {
  const onError = () => undefined;
  const claimUdp = async ({ host, port }: ListenAddress): Promise<ListenAddress> => {
    const handler = { handleBatch() {}, afterBatch() {} };
    const socket = await portableNetwork.bindDatagram({ host, port, handler, onError });
    await socket.close();
    return { host, port: socket.port };
  };
  const claimTcp = async ({ host, port }: ListenAddress): Promise<ListenAddress> => {
    const handler = { opened() {}, received() {}, ended() {}, closed() {}, drained() {} };
    const listener = await portableNetwork.listenStream({ host, port, handler, onError });
    await listener.close();
    return { host, port: listener.port };
  };
  const claimAll = (addresses: readonly ListenAddress[], claim: typeof claimUdp) =>
    Promise.all(
      addresses.map((address) =>
        claim(address).catch((error) => {
          if (lacksIPv6(address, error)) return address; // whether it may be missing is for the frontends
          throw error;
        }),
      ),
    );
  const { http, udp } = config;
  return {
    ...config,
    http: http && {
      ...http,
      listen: await claimAll(http.listen, claimTcp),
      listenTls: await claimAll(http.listenTls, claimTcp),
    },
    udp: udp && { ...udp, listen: await claimAll(udp.listen, claimUdp) },
  };
}

/** Gives addresses whose port the system has chosen that port again. */
function withSameAddresses(config: Config, running: Config): Config {
  const same = (next: readonly ListenAddress[], now: readonly ListenAddress[] = []) =>
    next.map((address, i) =>
      address.port === 0 && now[i]?.host === address.host ? { ...address, port: now[i].port } : address,
    );
  const { http, udp } = config;
  return {
    ...config,
    http: http && {
      ...http,
      listen: same(http.listen, running.http?.listen),
      listenTls: same(http.listenTls, running.http?.listenTls),
    },
    udp: udp && { ...udp, listen: same(udp.listen, running.udp?.listen) },
  };
}
