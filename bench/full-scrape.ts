/**
 * Lists all torrents over HTTP while announces come over UDP. Measures how late the event loop of the tracker is, without and with
 * readers in turn, and the memory of a reader that takes 1 KB a second.
 *
 * Usage: node bench/full-scrape.ts [--torrents 1000000] [--peers 10000000] [--rate 20000]
 *
 * The tracker has one thread, this one. Readers and load have a process each.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createTracker, MemoryStore } from "../src/index.ts";
import { Address } from "../src/ip/address.ts";
import { createRandom } from "../src/lib/clock.ts";
import type { PeerRecord } from "../src/storage/records.ts";

const { values } = parseArgs({
  options: {
    torrents: { type: "string", default: "1000000" },
    peers: { type: "string", default: "10000000" },
    rate: { type: "string", default: "20000" },
  },
});
const torrents = Number(values.torrents);
const peers = Number(values.peers);
/** Maximum lateness of the event loop, in milliseconds. */
const bound = 5;

function* records(from: number, to: number): Generator<PeerRecord> {
  const infoHash = new Uint8Array(20);
  const words = new Int32Array(infoHash.buffer);
  const flags = { partial: false, snatched: false, peerId: undefined };
  const record = { infoHash, address: new Address(), port: 6881, age: 5, seeder: false, ...flags };
  for (let n = from; n < to; n++) {
    words.fill(Math.imul(n % torrents, 0x85ebca6b));
    record.address.words[0] = n;
    record.seeder = n % 4 === 0;
    yield record;
  }
}

/** Runs a program of one line in another process. @returns its output, when it ends */
async function run(program: string, ...args: string[]): Promise<string> {
  const flags = ["--input-type=module", "-e", program, ...args];
  const child = spawn(process.execPath, flags, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (text) => {
    output += text;
  });
  await once(child, "close");
  return output.trim();
}

const read = `
  const [url, coding] = process.argv.slice(1);
  const { request } = await import("node:http");
  const start = performance.now();
  let bytes = 0;
  request(url, { headers: { "accept-encoding": coding } }, (response) => {
    response.on("data", (chunk) => (bytes += chunk.length));
    response.on("end", () => console.log(coding, (bytes / 1e6).toFixed(1), "MB in", ((performance.now() - start) / 1000).toFixed(1), "s"));
  }).end();`;
/** Reads 1 KB a second for a few seconds, then leaves. */
const readSlowly = `
  const { connect } = await import("node:net");
  const { hostname, port } = new URL(process.argv[1]);
  const socket = connect({ host: hostname, port, highWaterMark: 1024 });
  socket.write("GET /scrape HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n");
  socket.pause();
  let bytes = 0;
  const timer = setInterval(() => (bytes += socket.read(1024)?.length ?? 0), 1000);
  setTimeout(() => { clearInterval(timer); socket.destroy(); console.log(bytes, "bytes"); }, 10_000);`;

const config = { gcInterval: 180, peerLifetime: 1800, maxPeers: peers + 100_000, peerIds: false };
const clock = { seconds: 100_000, unixSeconds: 1_700_000_000 };
const store = new MemoryStore({ config, clock, random: createRandom(1) });
for (let n = 0; n < peers; n += 2048) store.records.replay({ peers: records(n, Math.min(peers, n + 2048)) });
const listen = [{ host: "127.0.0.1", port: 0 }];
const http = { listen, opentracker: { fullScrape: true } };
const tracker = createTracker({ http, udp: { listen }, store, network: "auto", clock });
await tracker.start();
const [web, udp] = tracker.urls() as [string, string];
const { seeders, leechers, torrents: stored } = store.statistics();
console.log(
  `${process.version}, ${availableParallelism()} cores; ${stored} torrents, ${seeders + leechers} peers`,
);

const cli = new URL("../src/cli/main.ts", import.meta.url).pathname;
const load = spawn(
  process.execPath,
  [cli, "bench", `${udp}/announce`, "--rate", values.rate, "--seconds", "200"],
  {
    stdio: "ignore",
  },
);
await wait(3000);

async function measure(name: string, work: () => Promise<unknown>): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const memory = process.memoryUsage();
  delay.enable();
  const result = await work();
  delay.disable();
  const after = process.memoryUsage();
  const late = [delay.percentile(50), delay.percentile(99), delay.percentile(99.9), delay.max].map((ns) =>
    (ns / 1e6 - 1).toFixed(2),
  );
  const grown = ((after.rss - memory.rss) / 2 ** 20).toFixed(1);
  console.log(
    `${name}: late p50 ${late[0]} ms, p99 ${late[1]} ms, p99.9 ${late[2]} ms, most ${late[3]} ms (at most ${bound}); RSS +${grown} MiB; ${result ?? ""}`,
  );
}

const url = `${web}/scrape`;
// The delays without a pass are measured in turn with the others: they are those of the machine, which changes.
for (const [name, work] of [
  ...["identity", "gzip", "zstd"].map(
    (coding) => [`beside a reader, ${coding}`, () => run(read, url, coding)] as const,
  ),
  ["beside a ranking", () => run(read, `${web}/stats?mode=top100`, "identity")] as const,
  ["beside a reader of 1 KB a second", () => run(readSlowly, url)] as const,
]) {
  await measure("announces alone", () => wait(8000));
  await measure(name, work);
}
load.kill();
await tracker.stop(0);
