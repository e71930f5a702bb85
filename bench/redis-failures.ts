/**
 * Measures what clients notice if Redis fails under load, and how many peers are lost: node bench/redis-failures.ts
 * [--rate 500] [--only name]. Every announce has a new peer. Two stores, one for each `onFailure`, share one Redis. The
 * number of lost peers is negative if Redis has applied announces that were refused because its reply did not arrive.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createRandom } from "../src/lib/clock.ts";
import { Step } from "../src/storage/peer-store.ts";
import type { RedisStoreConfig } from "../src/storage/redis/config.ts";
import { createNodeRedisPort } from "../src/storage/redis/node-redis-port.ts";
import { RedisStore } from "../src/storage/redis/redis-store.ts";
import { redisConfig } from "../test/fixtures/redis-config.ts";
import { startRedisCluster, startRedisSentinels } from "../test/support/redis-groups.ts";
import { type RedisServer, startRedisServer } from "../test/support/redis-server.ts";
import { Announcer } from "./support/announcer.ts";

const { values } = parseArgs({
  options: { rate: { type: "string", default: "500" }, only: { type: "string" } },
});
const rate = Number(values.rate);
const torrents = 200;
const clock = {
  get seconds(): number {
    return Math.floor(performance.now() / 1000);
  },
  get unixSeconds(): number {
    return Math.floor(Date.now() / 1000);
  },
};
const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A store under load, with the results of its clients. */
class Load {
  readonly store: RedisStore;
  readonly latencies: number[] = [];
  accepted = 0;
  refused = 0;
  firstRefusedMs = 0;
  lastRefusedMs = 0;
  #next = 0;

  constructor(onFailure: "refuse" | "serve", changes: Partial<RedisStoreConfig>) {
    this.store = new RedisStore({
      clock,
      random: createRandom(1),
      createPort: createNodeRedisPort,
      config: {
        ...redisConfig,
        broker: [],
        keyPrefix: `${onFailure}:`,
        connectTimeout: 2,
        readTimeout: 1,
        peerLifetime: 1860,
        onFailure,
        maxLocalPeers: 1_000_000,
        ...changes,
      },
    });
  }

  async announce(): Promise<void> {
    const announcer = new Announcer(30);
    announcer.torrent(this.#next % torrents);
    announcer.peer(this.#next++);
    const started = performance.now();
    try {
      await this.store.announce(announcer.request, announcer.response, Step.both);
      this.accepted++;
    } catch {
      this.refused++;
      this.firstRefusedMs ||= performance.now();
      this.lastRefusedMs = performance.now();
    }
    this.latencies.push(performance.now() - started);
  }
}

async function run(
  name: string,
  changes: Partial<RedisStoreConfig>,
  fail: () => unknown,
  seconds = 4,
): Promise<void> {
  const loads = (["refuse", "serve"] as const).map((onFailure) => new Load(onFailure, changes));
  for (const { store } of loads) await store.start();
  const waiting: Promise<void>[] = [];
  const timer = setInterval(() => {
    for (const load of loads) for (let n = 0; n < rate / 50; n++) waiting.push(load.announce());
  }, 20);
  await after(2000);
  const failed = performance.now();
  await fail();
  const ready = loads.map(async ({ store }) => {
    let last = 0;
    for (const until = failed + seconds * 1000; performance.now() < until || store.readiness !== true; ) {
      if (store.readiness !== true) last = performance.now() - failed;
      await after(10);
    }
    return last;
  });
  const lasting = await Promise.all(ready);
  await after(1000);
  clearInterval(timer);
  await Promise.all(waiting);
  for (const [n, load] of loads.entries()) {
    const { seeders, leechers, refused: leftOut } = await load.store.statistics();
    const sorted = load.latencies.toSorted((a, b) => a - b);
    const figures = [
      `${load.accepted} answered`,
      `${load.refused} refused in ${((load.lastRefusedMs - load.firstRefusedMs) / 1000).toFixed(1)} s`,
      `not ready for ${(lasting[n]! / 1000).toFixed(1)} s`,
      `slowest ${(sorted.at(-1)! / 1000).toFixed(2)} s, median ${sorted[sorted.length >> 1]!.toFixed(1)} ms`,
      `lost ${load.accepted - leftOut - seeders - leechers}`,
      `left out ${leftOut}`,
    ];
    console.log(`${name}, ${n === 0 ? "refuse" : "serve"}: ${figures.join("; ")}`);
    load.store.stop();
  }
}

async function kill(server: RedisServer): Promise<void> {
  const pid = /process_id:(\d+)/.exec(await server.cli("INFO", "server"))![1];
  process.kill(Number(pid), "SIGKILL");
  while (server.process.ended === undefined) await after(5);
}

/** Kills Redis and starts it again two seconds later. */
async function killAndRestart(name: string, settings: readonly string[]): Promise<void> {
  let server = await startRedisServer(settings);
  await run(name, { broker: [server.url] }, async () => {
    await kill(server);
    await after(2000);
    server = await startRedisServer(settings, server.port);
  });
  await server.stop();
}

async function onSingle(
  name: string,
  fail: (server: RedisServer) => unknown,
  seconds?: number,
): Promise<void> {
  const server = await startRedisServer();
  await run(name, { broker: [server.url] }, () => fail(server), seconds);
  await server.stop();
}

const scenarios: Record<string, (name: string) => Promise<void>> = {
  "kill -9, nothing on disk": (name) => killAndRestart(name, []),
  "kill -9, append-only file": async (name) => {
    const directory = mkdtempSync(join(tmpdir(), "chihaya-aof-"));
    await killAndRestart(name, ["--appendonly", "yes", "--dir", directory]);
    rmSync(directory, { recursive: true, force: true });
  },
  "sentinel failover": async (name) => {
    const group = await startRedisSentinels(500);
    await run(name, { topology: "sentinel", broker: group.broker }, () => kill(group.servers[0]!), 8);
    await group.stop();
  },
  "cluster primary killed": async (name) => {
    const cluster = await startRedisCluster(1000);
    await run(name, { topology: "cluster", broker: cluster.broker }, () => kill(cluster.servers[0]!), 8);
    await cluster.stop();
  },
  "CLIENT PAUSE of 10 s": (name) =>
    onSingle(name, (server) => server.cli("CLIENT", "PAUSE", "10000", "ALL"), 12),
  "maxmemory reached for 3 s": (name) =>
    onSingle(name, async (server) => {
      await server.cli("CONFIG", "SET", "maxmemory", "1");
      await after(3000);
      await server.cli("CONFIG", "SET", "maxmemory", "0");
    }),
  "SCRIPT FLUSH": (name) => onSingle(name, (server) => server.cli("SCRIPT", "FLUSH"), 2),
};
for (const [name, scenario] of Object.entries(scenarios))
  if (values.only === undefined || name.includes(values.only)) await scenario(name);
