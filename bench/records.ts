/**
 * Walks over a full memory store while another thread announces. Measures time and CPU time of the steps, and the latency of
 * announces with and without a walk. Then replays a million peers into another store. One peer in five is in one torrent.
 *
 * Usage: node bench/records.ts [--peers 10000000] [--rate 50000] [--replay 1000000]
 *
 * A step is the work between two turns of the event loop: it creates a page and reads all its records. A step may have to
 * wait for a processor, so the limit applies to the CPU time of the longest step.
 */
import { availableParallelism } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { AnnounceRequest, AnnounceResponse } from "../src/bittorrent/announce.ts";
import { PeerList } from "../src/bittorrent/peer-list.ts";
import { Address } from "../src/ip/address.ts";
import { createRandom } from "../src/lib/clock.ts";
import { Histogram } from "../src/load/histogram.ts";
import type { StoreMemory } from "../src/storage/memory/layout.ts";
import { MemoryStore } from "../src/storage/memory/memory-store.ts";
import { Step } from "../src/storage/peer-store.ts";
import type { PeerRecord, RecordPage } from "../src/storage/records.ts";

const clock = { seconds: 100_000, unixSeconds: 0 };
/** Words that the threads share: whether to stop, and whether a walk is running. */
const Shared = { stop: 0, walking: 1 } as const;
/** Maximum duration of a step, in milliseconds. */
const bound = 5;

interface AnnouncerData {
  memory: StoreMemory;
  shared: Int32Array;
  peers: number;
  rate: number;
}

function createStore(maxPeers: number, memory?: StoreMemory): MemoryStore {
  const config = { gcInterval: 180, peerLifetime: 1800, maxPeers, peerIds: false };
  const random = createRandom(1);
  if (memory === undefined) return new MemoryStore({ config, clock, random });
  return new MemoryStore({ config, clock, random, memory, owner: 2 });
}

/** Returns the torrent of peer `n` of `peers`: every fifth peer is in one torrent, the others in swarms of very different sizes. */
function torrentOf(n: number, peers: number): number {
  if (n % 5 === 0) return 0;
  const share = (Math.imul(n, 0x9e3779b1) >>> 0) / 2 ** 32;
  return 1 + Math.floor((share ** 2 * peers) / 5);
}

function setPeer(infoHash: Int32Array, address: Address, n: number, peers: number): void {
  const torrent = torrentOf(n, peers);
  infoHash.fill(Math.imul(torrent, 0x85ebca6b));
  infoHash[0] = torrent;
  address.family = 4;
  address.words[0] = n;
}

/** Announces random peers at a steady rate, some of them new, and measures the latency of each. */
async function announce({ memory, shared, peers, rate }: AnnouncerData): Promise<void> {
  const store = createStore(memory.maxPeers, memory);
  const request = new AnnounceRequest();
  const list = (family: 4 | 6) => new PeerList(family, new Uint8Array(1800));
  const response = new AnnounceResponse(list(4), list(6));
  request.port = 6881;
  request.numWant = 30;
  const latencies = [new Histogram(), new Histogram()];
  const random = createRandom(9);
  let made = 0;
  const started = performance.now();
  while (Atomics.load(shared, Shared.stop) === 0) {
    for (const due = ((performance.now() - started) * rate) / 1000; made < due; made++) {
      const n = random.next() % (peers + peers / 100);
      setPeer(request.infoHashWords, request.address, Math.floor(n), peers);
      request.left = BigInt(n & 3);
      response.reset(0, 0);
      response.peers4.limit = 30;
      const walking = Atomics.load(shared, Shared.walking);
      const before = performance.now();
      store.announce(request, response, Step.both);
      latencies[walking]!.record((performance.now() - before) * 1000);
    }
    await wait(1);
  }
  for (const [i, name] of ["without a walk", "beside a walk"].entries()) {
    const { p50, p99, p999, max } = latencies[i]!.summary();
    console.log(
      `announces ${name}: ${latencies[i]!.count}, p50 ${p50} µs, p99 ${p99} µs, p99.9 ${p999} µs, most ${max} µs`,
    );
  }
}

/** Returns the CPU time of this thread in milliseconds. */
function threadCpu(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

const count = (n: number) => n.toLocaleString("en-US");

/** Measurements of the steps of one walk. */
class Steps {
  readonly #times = new Histogram();
  #cpu = 0;
  #longestCpu = 0;

  /** Runs and measures one step. */
  run<T>(step: () => T): T {
    const cpu = threadCpu();
    const before = performance.now();
    const result = step();
    this.#times.record((performance.now() - before) * 1000);
    const used = threadCpu() - cpu;
    this.#cpu += used;
    this.#longestCpu = Math.max(this.#longestCpu, used);
    return result;
  }

  print(name: string, units: string, of: number): void {
    const [p50, p99, longest] = [
      this.#times.percentile(0.5),
      this.#times.percentile(0.99),
      this.#times.max,
    ].map((time) => (time / 1000).toFixed(2));
    console.log(
      `${name}: ${count(of)} ${units} in ${count(this.#times.count)} steps: p50 ${p50} ms, p99 ${p99} ms, longest ${longest} ms, ` +
        `${this.#longestCpu.toFixed(2)} ms of CPU (at most ${bound}); CPU for each ${((this.#cpu / of) * 1000).toFixed(3)} µs`,
    );
  }
}

/** Walks to the end with a turn of the event loop after each step. @returns torrents, peers, snatches */
async function walkAll(name: string, method: (cursor?: string) => RecordPage): Promise<number[]> {
  const steps = new Steps();
  const sums = [0, 0, 0] as [number, number, number];
  let cursor: string | undefined;
  do {
    cursor = steps.run(() => {
      const page = method(cursor);
      for (const { snatches } of page.torrents) {
        sums[0]++;
        sums[2] += snatches;
      }
      for (const { age } of page.peers) sums[1] += age >= 0 ? 1 : 0;
      return page.next;
    });
    await new Promise((resolve) => setImmediate(resolve));
  } while (cursor !== undefined);
  const ofPeers = sums[1] > 0;
  steps.print(name, ofPeers ? "peers" : "torrents", sums[ofPeers ? 1 : 0]);
  return sums;
}

function* recordsFrom(from: number, to: number, peers: number): Generator<PeerRecord> {
  const infoHash = new Uint8Array(20);
  const infoHashWords = new Int32Array(infoHash.buffer);
  const flags = { seeder: false, partial: false, snatched: false };
  const record: PeerRecord = {
    infoHash,
    address: new Address(),
    port: 6881,
    peerId: undefined,
    age: 5,
    ...flags,
  };
  for (let n = from; n < to; n++) {
    setPeer(infoHashWords, record.address, n, peers);
    record.seeder = n % 4 === 0;
    yield record;
  }
}

function fill(store: MemoryStore, peers: number): void {
  for (let n = 0; n < peers; n += 2048) {
    const last = Math.min(peers, n + 2048);
    store.records.replay({ peers: recordsFrom(n, last, peers) });
  }
  // Some torrents have snatches, and a few of these have no peers.
  for (let torrent = 0; torrent < peers / 50; torrent++) {
    const infoHash = new Uint8Array(20);
    new Int32Array(infoHash.buffer).set([
      torrent * 11,
      ...new Array(4).fill(Math.imul(torrent * 11, 0x85ebca6b)),
    ]);
    store.records.replay({ torrents: [{ infoHash, snatches: 1 + (torrent % 7) }] });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      peers: { type: "string", default: "10000000" },
      rate: { type: "string", default: "50000" },
      replay: { type: "string", default: "1000000" },
    },
  });
  const peers = Number(values.peers);
  console.log(`${process.version}, ${availableParallelism()} cores`);
  const store = createStore(peers + peers / 50);
  fill(store, peers);
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const data: AnnouncerData = { memory: store.memory, shared, peers, rate: Number(values.rate) };
  const announcer = new Worker(new URL(import.meta.url), { workerData: data });
  const ended = new Promise((resolve, reject) => announcer.once("exit", resolve).once("error", reject));
  const walks: [name: string, method: (cursor?: string) => RecordPage][] = [
    ["export", (cursor) => store.records.export(cursor)],
    ["torrents", (cursor) => store.records.torrents(cursor)],
  ];
  for (let round = 0; round < 3; round++) {
    for (const [name, method] of walks) {
      await wait(2000);
      Atomics.store(shared, Shared.walking, 1);
      await walkAll(name, method);
      Atomics.store(shared, Shared.walking, 0);
    }
  }
  Atomics.store(shared, Shared.stop, 1);
  await ended;

  const some = Number(values.replay);
  const from = createStore(2 * some);
  fill(from, some);
  const to = createStore(2 * some);
  const steps = new Steps();
  let cursor: string | undefined;
  do {
    const page = from.records.export(cursor);
    steps.run(() => to.records.replay(page));
    cursor = page.next;
    await new Promise((resolve) => setImmediate(resolve));
  } while (cursor !== undefined);
  steps.print("replay", "peers", some);
  const both = [from, to].map(async (each) => {
    const [torrents, , snatches] = await walkAll("counted", (at) => each.records.export(at));
    return JSON.stringify({ ...each.statistics(), torrents, snatches });
  });
  const [before, after] = await Promise.all(both);
  console.log(
    `exported ${before}\nreplayed ${after}\n${before === after ? "equal counts" : "COUNTS DIFFER"}`,
  );
  if (before !== after) process.exitCode = 1;
}

if (isMainThread) await main();
else await announce(workerData as AnnouncerData);
