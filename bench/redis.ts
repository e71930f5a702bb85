/**
 * Measures the cost of an announce for 30 peers in the tracker and in Redis, with the store `redis`: node bench/redis.ts
 * [--torrents 10000] [--peers 1000000] [--announces 200000] [--users 0] [--url redis://...]. With users, the
 * tracker is private. Without a URL, starts a redis-server.
 */
import { parseArgs } from "node:util";
import { createRandom } from "../src/lib/clock.ts";
import { MemoryStore } from "../src/storage/memory/memory-store.ts";
import { type PeerStore, Step } from "../src/storage/peer-store.ts";
import { createNodeRedisPort } from "../src/storage/redis/node-redis-port.ts";
import { RedisStore } from "../src/storage/redis/redis-store.ts";
import { redisConfig } from "../test/fixtures/redis-config.ts";
import { startRedisServer } from "../test/support/redis-server.ts";
import { Announcer, hotShare, hotTorrents } from "./support/announcer.ts";

const { values } = parseArgs({
  options: {
    torrents: { type: "string", default: "10000" },
    peers: { type: "string", default: "1000000" },
    announces: { type: "string", default: "200000" },
    turn: { type: "string", default: "64" },
    users: { type: "string", default: "0" },
    url: { type: "string" },
  },
});
const torrents = Number(values.torrents);
const peers = Number(values.peers);
const announces = Number(values.announces);
const users = Number(values.users);
const server = values.url === undefined ? await startRedisServer() : undefined;
const clock = { seconds: 1000, unixSeconds: 1_790_000_000 };
const random = createRandom(1);
const shared = { gcInterval: 180, peerLifetime: 1860, peerIds: false, tags: users > 0 };
const redis = new RedisStore({
  clock,
  random,
  createPort: createNodeRedisPort,
  config: {
    ...redisConfig,
    ...shared,
    broker: [server?.url ?? values.url!],
    keyPrefix: "bench:",
    readTimeout: 30,
  },
});
const memory = new MemoryStore({ clock, random, config: { ...shared, maxPeers: peers * 2 } });

const hot = hotTorrents(torrents);
const announcers = Array.from({ length: Number(values.turn) }, () => new Announcer(30));

/** Each peer always announces the same torrent. */
function choose(announcer: Announcer, peer: number): void {
  const mixed = Math.imul(peer ^ (peer >>> 15), 0x2c1b3c6d) >>> 0;
  const other = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39) >>> 0;
  const isHot = torrents > 1 && mixed / 2 ** 32 < hotShare;
  announcer.torrent(torrents === 1 ? 0 : isHot ? other % hot : hot + (other % (torrents - hot)));
  announcer.peer(peer);
  announcer.request.tag = users > 0 ? 1 + (peer % users) : 0;
}

/** Sends one announce of each announcer within one turn of the event loop. */
async function turn(store: PeerStore, step: Step, peer: () => number): Promise<void> {
  const waiting: Promise<void>[] = [];
  for (const announcer of announcers) {
    choose(announcer, peer());
    const answer = store.announce(announcer.request, announcer.response, step);
    if (answer) waiting.push(answer);
  }
  if (waiting.length > 0) await Promise.all(new Set(waiting));
}

async function engineMicroseconds(): Promise<number> {
  const text = await server!.cli("INFO", "cpu");
  return [...text.matchAll(/used_cpu_(?:sys|user)_main_thread:([\d.]+)/g)].reduce(
    (sum, [, value]) => sum + 1e6 * Number(value),
    0,
  );
}

async function measure(name: string, store: PeerStore, step: Step): Promise<void> {
  const engine = server ? await engineMicroseconds() : 0;
  const cpu = process.cpuUsage();
  const started = performance.now();
  for (let done = 0; done < announces; done += announcers.length) {
    await turn(store, step, () => random.next() % peers);
    clock.unixSeconds = 1_790_000_000 + Math.floor((done / announces) * 60);
  }
  const used = process.cpuUsage(cpu);
  const figures = {
    tracker: (used.user + used.system) / announces,
    engine: server ? ((await engineMicroseconds()) - engine) / announces : Number.NaN,
    wall: (1000 * (performance.now() - started)) / announces,
  };
  const text = Object.entries(figures).map(([part, value]) => `${part} ${value.toFixed(1)}`);
  console.log(`${name.padEnd(30)} ${text.join("  ")} µs an announce`);
}

let next = 0;
for (const store of [memory, redis]) {
  await store.start();
  const started = performance.now();
  for (next = 0; next < peers; ) await turn(store, Step.apply, () => Math.min(next++, peers - 1));
  console.log(`filled in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}
if (server) {
  const used = /used_memory:(\d+)/.exec(await server.cli("INFO", "memory"))![1];
  console.log(`${(Number(used) / peers).toFixed(1)} bytes of the engine a peer`);
}
for (let round = 0; round < 2; round++) {
  await measure("memory", memory, Step.both);
  await measure("redis", redis, Step.both);
  await measure("redis, apply only", redis, Step.apply);
  await measure("redis, select only", redis, Step.select);
}
console.log(await redis.statistics(), redis.stats);
redis.stop();
memory.stop();
await server?.stop();
