import { Worker } from "node:worker_threads";
import { createRandom } from "../../src/lib/clock.ts";
import { reserveMemory, type StoreMemory } from "../../src/storage/memory/layout.ts";
import { MemoryStore, type MemoryStoreConfig } from "../../src/storage/memory/memory-store.ts";

/** Options of one thread of a stress test. */
export interface StressStart {
  memory: StoreMemory;
  config: MemoryStoreConfig;
  /** Identifies the thread in locks, and its peers, so that the thread knows which peers must be stored at the end. */
  owner: number;
  seed: number;
  torrents: number;
  /** Number of peers of this thread in each torrent, for each family. */
  peers: number;
  /** Number of announces and scrapes; 0 for no end. */
  steps: number;
  /** Whether this thread also expires peers in small steps. */
  expires: boolean;
  /** Words that all threads share: {@link Shared}. */
  shared: Int32Array;
}

/** Words that the threads of a stress test share, besides the memory. From `steps` on: the number of steps of each owner. */
export const Shared = { seconds: 0, stop: 1, steps: 16, words: 4096 } as const;

/** The state that a thread expects at the end. Both arrays are indexed by torrents. */
export interface StressReport {
  /** Seeders and leechers of this thread, by family. */
  members: { 4: [seeders: number, leechers: number][]; 6: [seeders: number, leechers: number][] };
  snatches: number[];
}

/** One thread of a stress test. */
export class StressThread {
  readonly start: StressStart;
  readonly worker: Worker;
  /** Resolves at the end of the thread; rejects with the mistake that it found. */
  readonly report: Promise<StressReport | undefined>;

  constructor(start: StressStart) {
    this.start = start;
    this.worker = new Worker(new URL("./stress-worker.ts", import.meta.url), { workerData: start });
    this.report = new Promise((resolve, reject) => {
      let report: StressReport | undefined;
      this.worker.once("message", (message: StressReport) => {
        report = message;
      });
      this.worker.once("error", reject);
      this.worker.once("exit", () => resolve(report));
    });
  }

  /** Number of steps so far. */
  get steps(): number {
    return Atomics.load(this.start.shared, Shared.steps + this.start.owner) >>> 0;
  }

  /** Resolves after that many further steps; rejects if the thread ends before. */
  async advance(steps: number): Promise<void> {
    const goal = this.steps + steps;
    let over = false;
    void this.report.finally(() => {
      over = true;
    });
    while (this.steps < goal) {
      if (over) throw new Error(`the thread ended after ${this.steps} steps`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** The swarms of a stress test. */
export interface StressShape {
  torrents: number;
  peers: number;
  maxPeers?: number;
  peerIds?: boolean;
}

export interface StressMemory {
  memory: StoreMemory;
  shared: Int32Array;
  store: MemoryStore;
  /** Of that store. */
  clock: { seconds: number; unixSeconds: number };
  /** Starts a further thread. @param steps  0 for no end */
  begin(steps: number, expires?: boolean): StressThread;
}

/** Reserves memory for a stress test, and creates a store over it for the test itself. */
export function stressMemory(
  { torrents, peers, maxPeers = 1_000_000, peerIds = false }: StressShape,
  seed: number,
): StressMemory {
  const config: MemoryStoreConfig = { gcInterval: 180, peerLifetime: 20, maxPeers, peerIds };
  const memory = reserveMemory(maxPeers, config, config.peerLifetime);
  const shared = new Int32Array(new SharedArrayBuffer(Shared.words * 4));
  shared[Shared.seconds] = 1000;
  let owners = 2;
  const begin = (steps: number, expires = false): StressThread => {
    const owner = owners++;
    const start = { memory, config, owner, seed: seed + owner, torrents, peers, steps, expires, shared };
    return new StressThread(start);
  };
  const clock = { seconds: 1000, unixSeconds: 0 };
  const store = new MemoryStore({ config, clock, random: createRandom(seed), memory });
  return { memory, shared, begin, store, clock };
}
