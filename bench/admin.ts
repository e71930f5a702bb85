/**
 * Lists and searches torrents by the admin API while clients announce over UDP at a fixed rate. Measures the delays of the event
 * loop of the worker that makes the passes, and the latency of the announces. Then measures the steps of passes, and of the removal
 * of a swarm of a million peers, over a store in this process.
 *
 * Usage: node bench/admin.ts [--torrents 1000000] [--peers 10000000] [--rate 20000] [--seconds 15] [--swarm 1000000]
 *
 * A rate of 0 leaves out the tracker, a swarm of 0 the steps in this process.
 *
 * The tracker has one worker, so the same thread announces, makes the passes and writes the responses. It has a processor of its
 * own; the load and the client of the API share another.
 */
import { join } from "node:path";
import { setImmediate as setTurn, setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import koffi from "koffi";
import { Address } from "../src/ip/address.ts";
import { createRandom } from "../src/lib/clock.ts";
import { drawKeys } from "../src/lib/keyed-hash.ts";
import type { PopulationShape } from "../src/load/population.ts";
import { peerOrderKeys } from "../src/operator/swarms/peer-page.ts";
import { SwarmReader } from "../src/operator/swarms/swarm-reader.ts";
import { chihaya } from "./support/contestants.ts";
import { fillStore } from "./support/filled-store.ts";
import { createLoad } from "./support/measure.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad } from "./support/server.ts";

/** Requests by the name of the phase. The number makes each a request of its own, which no kept list answers. */
const requests: Readonly<Record<string, (n: number) => string>> = {
  nothing: () => "",
  "top 100 by peers": (n) => `/torrents?sort=peers&limit=100&min_peers=${n}`,
  "top 1000 by seeders": (n) => `/torrents?sort=seeders&limit=1000&min_peers=${n}`,
  "search by 2 digits": (n) =>
    `/torrents?info_hash=${(n % 256).toString(16).padStart(2, "0")}&limit=1000&min_peers=${n >> 8}`,
};

/** Peers that announce; the store has the others from its start. */
const loadPeers = 100_000;

/** The tracker measures the delays of its event loop over this time. */
const lagPeriodMs = 61_000;

interface AskerData {
  base: string;
  phase: string;
  stop: Int32Array;
}

/** What a phase has shown. */
interface Asked {
  passes: number[];
  lagMs: number;
}

/** Sends requests one after another, and reads the delay of the worker's loop five times a second. */
async function ask({ base, phase, stop }: AskerData): Promise<void> {
  const asked: Asked = { passes: [], lagMs: 0 };
  const read = async (path: string): Promise<unknown> => {
    const response = await fetch(`${base}${path}`);
    const body: unknown = await response.json();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(body)}`);
    return body;
  };
  const isOver = () => Atomics.load(stop, 0) !== 0;
  const lag = async () => {
    const { workers } = (await read("/workers")) as { workers: { loop_lag_max_ms: number }[] };
    return Math.max(...workers.map(({ loop_lag_max_ms }) => loop_lag_max_ms));
  };
  const watch = async () => {
    while (!isOver()) {
      await wait(200);
      asked.lagMs = Math.max(asked.lagMs, await lag());
    }
  };
  const request = async () => {
    for (let n = 0; !isOver(); n++) {
      const path = requests[phase]!(n);
      const started = performance.now();
      if (path === "") await wait(100);
      else {
        await read(path);
        asked.passes.push(performance.now() - started);
      }
    }
  };
  await Promise.all([watch(), request()]);
  parentPort!.postMessage(asked);
}

/**
 * Runs `work` and logs the turns of the event loop meanwhile that did something: the time that each took, in which the thread may
 * have waited for a processor, and the processor time of each.
 */
async function measureTurns(what: string, work: () => Promise<unknown>): Promise<void> {
  const turns = { wall: [] as number[], cpu: [] as number[] };
  let isOver = false;
  let before = performance.now();
  let cpuBefore = cpuMs();
  const tick = (): void => {
    const now = performance.now();
    const cpu = cpuMs();
    if (now - before > 0.05) {
      turns.wall.push(now - before);
      turns.cpu.push(cpu - cpuBefore);
    }
    before = now;
    cpuBefore = cpu;
    if (!isOver) setImmediate(tick);
  };
  setImmediate(tick);
  const started = performance.now();
  await work();
  isOver = true;
  const took = performance.now() - started;
  const describe = (times: number[]) => {
    times.sort((a, b) => a - b);
    const [p50, p99, max] = [0.5, 0.99, 1].map((q) => times[Math.ceil(q * times.length) - 1]!.toFixed(2));
    return `p50 ${p50} p99 ${p99} max ${max} ms`;
  };
  console.log(
    `${what}: ${took.toFixed(0)} ms; ${turns.wall.length} turns of the event loop, ${describe(turns.wall)}; processor time ${describe(turns.cpu)}`,
  );
}

const clockGetTime = koffi.load("libc.so.6").func("int clock_gettime(int clock, _Out_ void *time)");
/** `CLOCK_THREAD_CPUTIME_ID`. Node.js's own reading is as coarse as the kernel's ticks. */
const threadClock = 3;
const timespec = new BigInt64Array(2);

/** Returns the processor time of this thread in milliseconds. */
function cpuMs(): number {
  clockGetTime(threadClock, timespec);
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6;
}

/** Measures the steps in this thread. */
async function measureSteps(shape: PopulationShape, swarm: number): Promise<void> {
  const store = fillStore(shape, shape.peers + swarm, { seconds: 10_000, unixSeconds: 0 }, createRandom(1));
  const infoHash = new Uint8Array(20).fill(7);
  const address = Address.parse("198.51.100.1");
  const flags = { seeder: false, partial: false, snatched: false, age: 0 };
  for (let n = 0; n < swarm; n++) {
    address.words[0] = n;
    store.records.replay({ peers: [{ infoHash, address, port: 6881, peerId: undefined, ...flags }] });
  }
  const reader = new SwarmReader(store);
  const all = { order: "peers", minPeers: 0, prefix: "", after: undefined, limit: 1000 } as const;
  for (const round of [1, 2, 3]) {
    await measureTurns(`pass ${round}, top 1000`, () => reader.top([all]));
    await measureTurns(`pass ${round}, 8 lists`, () =>
      reader.top(Array.from({ length: 8 }, (_, n) => ({ ...all, prefix: n.toString(16) }))),
    );
  }
  const keys = drawKeys(peerOrderKeys);
  await measureTurns("100 pages of peers of the big swarm", async () => {
    let cursor: string | undefined;
    for (let page = 0; page < 100; page++) {
      ({ next: cursor } = await reader.peers({ infoHash, cursor, limit: 100, isWhole: true, keys }));
      await setTurn();
    }
  });
  await measureTurns(`removal of ${swarm} peers`, () => reader.remove(infoHash));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      torrents: { type: "string", default: "1000000" },
      peers: { type: "string", default: "10000000" },
      rate: { type: "string", default: "20000" },
      seconds: { type: "string", default: "15" },
      swarm: { type: "string", default: "1000000" },
    },
  });
  const shape = { torrents: Number(values.torrents), peers: Number(values.peers) };
  const swarm = Number(values.swarm);
  if (Number(values.rate) > 0) {
    pinLoad();
    const module = JSON.stringify(join(import.meta.dirname, "support/filled-store.ts"));
    const store = `    module: ${module}\n    config:\n      torrents: ${shape.torrents}\n      peers: ${shape.peers}`;
    const contestant = chihaya({ network: "linux", workers: 1, settings: "  admin: {}", store });
    const server = await contestant.start(createScratchDirectory(), shape);
    console.log(`${await server.metric("chihaya_storage_peers")} peers`);
    const load = await createLoad(server, "udp", { ...shape, peers: loadPeers });
    for (const phase of Object.keys(requests)) {
      await wait(lagPeriodMs);
      const stop = new Int32Array(new SharedArrayBuffer(4));
      const base = `http://127.0.0.1:${server.ports.metrics}/api/v1`;
      const asker = new Worker(new URL(import.meta.url), {
        workerData: { base, phase, stop } satisfies AskerData,
      });
      const reply = new Promise<Asked>((resolve, reject) =>
        asker.once("message", resolve).once("error", reject),
      );
      await wait(500);
      const before = server.cpuMs();
      const { rate, latency, lost } = load.run({
        seconds: Number(values.seconds),
        rate: Number(values.rate),
      });
      const busy = (server.cpuMs() - before) / 1000 / Number(values.seconds);
      Atomics.store(stop, 0, 1);
      const { passes, lagMs } = await reply;
      const { p50, p99, p999, max } = latency.summary();
      const mean = passes.reduce((sum, each) => sum + each, 0) / passes.length;
      const done = passes.length > 0 ? `${passes.length} passes of ${mean.toFixed(0)} ms; ` : "";
      console.log(
        `${phase}: ${done}loop late by ${lagMs.toFixed(2)} ms at most; ${Math.round(rate)} announces/s, lost ${lost}, ` +
          `p50 ${p50} p99 ${p99} p99.9 ${p999} max ${max} µs; ${(100 * busy).toFixed(0)} % of a core, ${server.rssMiB().toFixed(0)} MiB`,
      );
    }
    load.close();
    await server.stop();
  }
  if (swarm > 0) await measureSteps(shape, swarm);
}

await (isMainThread ? main() : ask(workerData as AskerData));
