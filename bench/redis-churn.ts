/**
 * Checks that keys and memory of Redis shrink to the size of the live swarms: node bench/redis-churn.ts [--swarms 100000].
 * The peer lifetime is ten seconds. While 2,000 swarms stay, others appear, have five peers for a while and expire.
 */
import { parseArgs } from "node:util";
import { createRandom } from "../src/lib/clock.ts";
import { Step } from "../src/storage/peer-store.ts";
import { createNodeRedisPort } from "../src/storage/redis/node-redis-port.ts";
import { RedisStore } from "../src/storage/redis/redis-store.ts";
import { redisConfig } from "../test/fixtures/redis-config.ts";
import { startRedisServer } from "../test/support/redis-server.ts";
import { Announcer } from "./support/announcer.ts";

const { values } = parseArgs({ options: { swarms: { type: "string", default: "100000" } } });
const swarms = Number(values.swarms);
const living = 2000;
const livingPeers = 10;
const dyingPeers = 5;
const lifetime = 10;
const clock = { seconds: 1000, unixSeconds: 0 };
const server = await startRedisServer();
const store = new RedisStore({
  clock,
  random: createRandom(1),
  createPort: createNodeRedisPort,
  config: {
    ...redisConfig,
    broker: [server.url],
    keyPrefix: "churn:",
    readTimeout: 30,
    peerLifetime: lifetime,
    gcInterval: 1,
  },
});
await store.start();
const announcers = Array.from({ length: 128 }, () => new Announcer(30));

/** Announces peers `from` up to `to`, each for the torrent that `torrentOf` returns. */
async function announce(from: number, to: number, torrentOf: (peer: number) => number): Promise<void> {
  clock.unixSeconds = Math.floor(Date.now() / 1000);
  for (let peer = from; peer < to; ) {
    const waiting = new Set<unknown>();
    for (const announcer of announcers) {
      if (peer >= to) break;
      announcer.torrent(torrentOf(peer));
      announcer.peer(peer++);
      waiting.add(store.announce(announcer.request, announcer.response, Step.both));
    }
    await Promise.all(waiting);
  }
}

/** Every tenth of a second, announces a fiftieth of the staying peers and calls `more`. */
async function during(seconds: number, more: (step: number) => Promise<void>): Promise<void> {
  const share = (living * livingPeers) / 50;
  const started = performance.now();
  for (let step = 0; step < seconds * 10; step++) {
    const from = (step % 50) * share;
    await announce(from, from + share, (peer) => peer % living);
    await more(step);
    const rest = started + (step + 1) * 100 - performance.now();
    if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
  }
}

async function report(when: string): Promise<void> {
  const info = await server.cli("INFO", "memory");
  const keys = (await server.cli("DBSIZE")).trim();
  const [used, rss] = ["used_memory", "used_memory_rss"].map((name) =>
    (Number(new RegExp(`${name}:(\\d+)`).exec(info)![1]) / 2 ** 20).toFixed(1),
  );
  let peers = 0;
  for await (const { seeders, leechers } of store.swarms()) peers += seeders + leechers;
  console.log(`${when}: ${keys} keys, ${used} MiB (resident ${rss}); ${peers} peers`);
}

await during(lifetime, async () => undefined);
await report(`${living} swarms that live on`);
const each = Math.ceil(swarms / 400);
await during(40, (step) => {
  const first = living * livingPeers + step * each * dyingPeers;
  return announce(first, first + each * dyingPeers, (peer) => living + Math.floor(peer / dyingPeers));
});
await report(`${each * 400} swarms have come`);
for (let lifetimes = 1; lifetimes <= 4; lifetimes++) {
  await during(lifetime, async () => undefined);
  await report(`${lifetimes} lifetimes later`);
}
store.stop();
await server.stop();
