/**
 * Measures the sessions of the accountant of a private tracker: memory, processor time for each announce, garbage collection, and a
 * checkpoint that is written while nothing else is done, and read.
 *
 * Usage: node bench/private-sessions.ts [--clients 1000000] [--announces 4000000]
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { PerformanceObserver } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { AnnounceEvent } from "../src/bittorrent/event.ts";
import { createRandom } from "../src/lib/clock.ts";
import { emptyAnnounce } from "../src/private/accounting/batch.ts";
import { readCheckpoint, writeCheckpoint } from "../src/private/accounting/checkpoint.ts";
import { Journal } from "../src/private/accounting/journal.ts";
import { Sessions } from "../src/private/accounting/sessions.ts";
import { Field, Records, recordBytes, recordWords } from "../src/private/record.ts";
import { createScratchDirectory } from "./support/scratch.ts";

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "1000000" },
    announces: { type: "string", default: "4000000" },
  },
});
const [clients, announces] = [Number(values.clients), Number(values.announces)];
const limits = { maxRate: 1e12, maxGap: 4500, idle: 21 * 86_400, active: 6600 };
const rate = 5000;
const block = 4096;
const records = new Records(new ArrayBuffer(block * recordBytes), 0, block);
const announce = emptyAnnounce();
const random = createRandom(7);
const counters = new Uint32Array(clients);
const peerIdStart = Buffer.from("-qB4520-abcdefgh");
let count = 0;
let collecting = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) collecting += duration;
}).observe({ entryTypes: ["gc"] });

const empty = await memory();
const sessions = new Sessions(limits);
run(clients, (n) => n);
const full = await memory();
console.log(
  `${sessions.size} clients: ${mib(full.rss - empty.rss)} MiB resident, ${mib(full.heap - empty.heap)} MiB heap, ` +
    `${mib(full.buffers - empty.buffers)} MiB buffers`,
);
collecting = 0;
const spent = run(announces, () => random.next() % clients);
await new Promise((resolve) => setTimeout(resolve, 100)); // the observer is called later
console.log(
  `an announce: ${((1000 * spent) / announces).toFixed(2)} µs of processor time; ` +
    `garbage collection: ${((1000 * collecting) / announces).toFixed(2)} µs`,
);

const directory = join(createScratchDirectory(), "journal");
const journal = new Journal({ directory, segmentBytes: 1 << 26, keep: 1e9 });
let longest = 0;
let isWriting = true;
const turns = (async () => {
  for (let last = performance.now(); isWriting; last = performance.now()) {
    await new Promise(setImmediate);
    longest = Math.max(longest, performance.now() - last);
  }
})();
await measure("checkpoint written", () => writeCheckpoint(journal, sessions, new Map(), () => true));
isWriting = false;
await turns;
const { size } = statSync(join(directory, "checkpoint"));
console.log(`  ${mib(size)} MiB; the longest step took ${longest.toFixed(1)} ms`);
await measure("checkpoint read", async () => readCheckpoint(journal, new Sessions(limits), new Map()));
journal.close();
process.exit(0);

/** Applies announces in blocks. @returns the processor time of the rules in milliseconds */
function run(wanted: number, clientOf: (n: number) => number): number {
  let spent = 0;
  for (let done = 0; done < wanted; done += block) {
    const size = Math.min(block, wanted - done);
    for (let i = 0; i < size; i++) write(i, clientOf(done + i));
    const before = process.cpuUsage();
    for (let i = 0; i < size; i++) {
      const numbers = records.readNumbers(i, announce);
      records.complete(i, sessions.apply(numbers, numbers.seconds, records.peerId(i)));
    }
    const { user, system } = process.cpuUsage(before);
    spent += (user + system) / 1000;
  }
  return spent;
}

/** Writes an announce of a client: one in fifty is `started`, and one in ten clients downloads. */
function write(index: number, client: number): void {
  const at = index * recordWords;
  const { words, bytes } = records;
  const isStarted = counters[client] === 0 || random.next() % 50 === 0;
  counters[client]! += 65_536;
  words.fill(0, at, at + recordWords);
  words[at + Field.seconds] = 1_800_000_000 + Math.floor(count++ / rate);
  words[at + Field.user] = 1 + ((Math.imul(client, 2_654_435_761) >>> 0) % 100_000);
  words[at + Field.torrent] = 1 + client;
  words[at + Field.what] = isStarted ? AnnounceEvent.started : AnnounceEvent.none;
  words[at + Field.counters] = counters[client]! | 0;
  words[at + Field.counters + 1] = 100;
  words[at + Field.counters + 4] = client % 10 === 0 ? 1 : 0;
  bytes.set(peerIdStart, 4 * (at + Field.peerId));
  words[at + Field.peerId + 4] = client;
}

async function measure(name: string, work: () => Promise<unknown>): Promise<void> {
  const [start, before] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  const took = performance.now() - start;
  console.log(`${name}: ${took.toFixed(0)} ms, ${((user + system) / 1000).toFixed(0)} ms of processor time`);
}

async function memory(): Promise<{ rss: number; heap: number; buffers: number }> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const { rss, heapUsed: heap, arrayBuffers: buffers } = process.memoryUsage();
  return { rss, heap, buffers };
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
