import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startRedisCluster, startRedisSentinels } from "../../../test/support/redis-groups.ts";
import { withoutRedis } from "../../../test/support/redis-server.ts";
import { createRandom } from "../../bittorrent/clock.ts";
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

let stores = 0;

function createStore(environment: ConformanceEnvironment, changes: Partial<RedisStoreConfig>): RedisStore {
  const { clock, peerLifetime } = environment;
  return new RedisStore({
    clock,
    random: createRandom(++stores),
    config: {
      broker: [],
      topology: "single",
      sentinelMaster: "chihaya",
      keyPrefix: `test${stores}:`,
      connectTimeout: 5,
      readTimeout: 5,
      peerLifetime,
      gcInterval: 1_000_000,
      peerIds: false,
      onFailure: "refuse",
      maxLocalPeers: 1000,
      ...changes,
    },
    createPort: createNodeRedisPort,
  });
}

function newEnvironment(): ConformanceEnvironment {
  return { clock: { seconds: 1000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
}

/** Announces until it is answered. */
async function untilAnnounced(tester: StoreTester, torrent: Uint8Array, n: number): Promise<number> {
  for (;;) {
    try {
      return (await tester.announce(torrent, testPeer(4, n))).incomplete;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
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
      const store = createStore(environment, { ...changes, readTimeout: 1 });
      const tester = new StoreTester(store, environment);
      await store.start();
      const torrents = Array.from({ length: 30 }, (_, n) => testInfoHash(n));
      await Promise.all(torrents.map((torrent) => tester.announce(torrent, testPeer(4, 1))));
      await cluster.servers[0]!.stop();
      for (const torrent of torrents)
        assert.equal(await untilAnnounced(tester, torrent, 2), 2, "none is lost");
      store.stop();
    } finally {
      await cluster.stop();
    }
  });

  test("sentinels lead to the new primary when the old one dies", async () => {
    const group = await startRedisSentinels();
    const environment = newEnvironment();
    const store = createStore(environment, { topology: "sentinel", broker: group.broker, readTimeout: 1 });
    const tester = new StoreTester(store, environment);
    try {
      await store.start();
      const torrent = testInfoHash(1);
      await tester.announce(torrent, testPeer(4, 1));
      await group.servers[0]!.cli("WAIT", "1", "1000");
      await group.servers[0]!.stop();
      assert.equal(await untilAnnounced(tester, torrent, 2), 2);
    } finally {
      store.stop();
      await group.stop();
    }
  });
});
