import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { waitUntil } from "../../../test/e2e/wait-until.ts";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import {
  failOver,
  startRedisCluster,
  startRedisSentinels,
  untilReplicated,
  untilReply,
  untilSynced,
} from "../../../test/support/redis-groups.ts";
import { untilReady, withoutRedis } from "../../../test/support/redis-server.ts";
import { createRandom } from "../../lib/clock.ts";
import {
  type ConformanceEnvironment,
  StoreTester,
  testInfoHash,
  testPeer,
} from "../conformance/store-tester.ts";
import { conformanceGroups, runConformanceGroup } from "../conformance.ts";
import type { RedisStoreConfig } from "./config.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import { RedisStore } from "./redis-store.ts";
import { layoutVersion } from "./script.ts";

let stores = 0;

function createStore(environment: ConformanceEnvironment, changes: Partial<RedisStoreConfig>): RedisStore {
  const { clock, peerLifetime } = environment;
  return new RedisStore({
    clock,
    random: createRandom(++stores),
    config: {
      ...redisConfig,
      broker: [],
      keyPrefix: `test${stores}:`,
      peerLifetime,
      gcInterval: 1_000_000,
      ...changes,
    },
    createPort: createNodeRedisPort,
  });
}

function newEnvironment(): ConformanceEnvironment {
  return { clock: { seconds: 1000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
}

/** Announces until there is a response. */
async function untilAnnounced(tester: StoreTester, torrent: Uint8Array, n: number): Promise<number> {
  let incomplete = 0;
  let problem: unknown;
  await waitUntil(
    () => `a response to an announce: ${problem}`,
    async () => {
      try {
        ({ incomplete } = await tester.announce(torrent, testPeer(4, n)));
        return true;
      } catch (error) {
        problem = error;
        return false;
      }
    },
  );
  return incomplete;
}

describe("redis store over several servers", { skip: withoutRedis }, () => {
  test("a cluster keeps the contract, and goes on when a primary dies", async () => {
    const cluster = await startRedisCluster();
    const changes = { topology: "cluster", broker: cluster.broker } as const;
    try {
      for (const group of conformanceGroups) {
        if (group.needs !== undefined) continue;
        for (const family of [4, 6] as const) {
          await runConformanceGroup(group, family, (environment) => createStore(environment, changes));
        }
      }
      const environment = newEnvironment();
      const store = createStore(environment, changes);
      const tester = new StoreTester(store, environment);
      await store.start();
      const torrents = Array.from({ length: 30 }, (_, n) => testInfoHash(n));
      await Promise.all(torrents.map((torrent) => tester.announce(torrent, testPeer(4, 1))));
      await untilReplicated(cluster);
      await cluster.servers[0]!.stop();
      for (const torrent of torrents)
        assert.equal(await untilAnnounced(tester, torrent, 2), 2, "none is lost");
      store.stop();
    } finally {
      await cluster.stop();
    }
  });

  test("local memory serves for a dead primary, and the new primary gets all announces", async () => {
    const cluster = await startRedisCluster();
    const changes = { topology: "cluster", broker: cluster.broker } as const;
    const environment = newEnvironment();
    const store = createStore(environment, { ...changes, onFailure: "serve" });
    const tester = new StoreTester(store, environment);
    try {
      await store.start();
      const torrents = Array.from({ length: 30 }, (_, n) => testInfoHash(n));
      const announceAll = (n: number) =>
        Promise.all(torrents.map((torrent) => tester.announce(torrent, testPeer(4, n))));
      await announceAll(1);
      await untilReplicated(cluster);
      await cluster.servers[0]!.stop();
      await announceAll(2); // none is refused
      assert.match(`${store.readiness}`, /^redis: /);
      const [before] = [store.stats.backlog];
      assert.ok(before > 0 && before < torrents.length, `${before} announces wait for one primary of three`);
      await untilReady(store);
      assert.equal(store.stats.backlog, 0);
      for (const torrent of torrents) assert.equal((await tester.scrapeOne(torrent, 4)).incomplete, 2);
    } finally {
      store.stop();
      await cluster.stop();
    }
  });

  test("a primary that hangs is done without once another has taken over, and used when it is primary again", async () => {
    const cluster = await startRedisCluster();
    const changes = { topology: "cluster", broker: cluster.broker, readTimeout: 2 } as const;
    const environment = newEnvironment();
    const store = createStore(environment, { ...changes, onFailure: "serve" });
    const tester = new StoreTester(store, environment);
    const [first] = cluster.servers;
    const pid = Number(/process_id:(\d+)/.exec(await first!.cli("INFO", "server"))![1]);
    try {
      await store.start();
      const torrents = Array.from({ length: 30 }, (_, n) => testInfoHash(n));
      const announceAll = (n: number) =>
        Promise.all(torrents.map((torrent) => tester.announce(torrent, testPeer(4, n))));
      const untilAllHave = async (count: number): Promise<void> => {
        let counts: number[] = [];
        await waitUntil(
          () =>
            `all torrents have ${count} peers: ${counts}; ready: ${store.readiness}, backlog: ${store.stats.backlog}`,
          async () => {
            const rows = await Promise.all(torrents.map((torrent) => tester.scrapeOne(torrent, 4)));
            counts = rows.map(({ incomplete }) => incomplete);
            return store.readiness === true && counts.every((found) => found === count);
          },
        );
      };
      await announceAll(1);
      await untilReplicated(cluster);
      process.kill(pid, "SIGSTOP");
      await announceAll(2); // none is refused
      assert.match(`${store.readiness}`, /no response in time/);
      await untilAllHave(2);
      process.kill(pid, "SIGCONT");
      await untilReply(() => first!.cli("ROLE"), /slave/);
      await untilSynced(first!);
      await announceAll(3);
      await failOver(first!, cluster.servers);
      await announceAll(4);
      await untilAllHave(4);
    } finally {
      process.kill(pid, "SIGCONT");
      store.stop();
      await cluster.stop();
    }
  });

  test("a torrent that moves to another server is found there, before and after all know", async () => {
    const cluster = await startRedisCluster();
    const environment = newEnvironment();
    const store = createStore(environment, {
      topology: "cluster",
      broker: cluster.broker,
      keyPrefix: "moving:",
    });
    const tester = new StoreTester(store, environment);
    const primaries = cluster.servers.slice(0, 3);
    try {
      await store.start();
      const torrent = Uint8Array.from(Buffer.from("torrent-that-moves-1"));
      const key = `moving:${layoutVersion}:torrent-that-moves-1`;
      const announce = async (n: number) => (await tester.announce(torrent, testPeer(4, n))).incomplete;
      assert.equal(await announce(1), 1);
      const slot = (await primaries[0]!.cli("CLUSTER", "KEYSLOT", key)).trim();
      const counts = await Promise.all(primaries.map(({ cli }) => cli("CLUSTER", "COUNTKEYSINSLOT", slot)));
      const from = primaries[counts.findIndex((count) => count.trim() === "1")]!;
      const to = primaries.find((server) => server !== from)!;
      const [fromId, toId] = [
        (await from.cli("CLUSTER", "MYID")).trim(),
        (await to.cli("CLUSTER", "MYID")).trim(),
      ];
      await to.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", fromId);
      await from.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", toId);
      assert.equal(await announce(2), 2, "it has not left yet");
      assert.match(await from.cli("MIGRATE", "127.0.0.1", `${to.port}`, key, "0", "5000"), /OK/);
      assert.equal(await announce(3), 3, "ASK");
      assert.equal((await store.statistics()).swarms, 0, "what is on its way is passed over");
      for (const server of [to, from]) await server.cli("CLUSTER", "SETSLOT", slot, "NODE", toId);
      assert.equal(await announce(4), 4, "MOVED");
      assert.equal((await store.statistics()).leechers, 4);
      assert.equal(store.readiness, true);
    } finally {
      store.stop();
      await cluster.stop();
    }
  });

  test("sentinels lead to the new primary when the old one dies", async () => {
    const group = await startRedisSentinels();
    const environment = newEnvironment();
    const store = createStore(environment, { topology: "sentinel", broker: group.broker });
    const tester = new StoreTester(store, environment);
    try {
      await store.start();
      const torrent = testInfoHash(1);
      await tester.announce(torrent, testPeer(4, 1));
      await untilReplicated(group);
      await group.servers[0]!.stop();
      assert.equal(await untilAnnounced(tester, torrent, 2), 2);
    } finally {
      store.stop();
      await group.stop();
    }
  });
});
