import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { waitUntil } from "../../../test/e2e/wait-until.ts";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import {
  failOver,
  type RedisGroup,
  startRedisCluster,
  startRedisSentinels,
  untilReply,
  untilSynced,
} from "../../../test/support/redis-groups.ts";
import { withoutRedis } from "../../../test/support/redis-server.ts";
import { createRandom } from "../../lib/clock.ts";
import { StoreTester, testInfoHash, testPeer } from "../conformance/store-tester.ts";
import type { RedisStoreConfig } from "./config.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import { RedisStore } from "./redis-store.ts";

const torrents: Uint8Array[] = Array.from({ length: 30 }, (_, n) => testInfoHash(n));

/** Announces new peers during `restart`; none may be refused, and at the end Redis has all. */
async function announceDuring(
  group: RedisGroup,
  changes: Pick<RedisStoreConfig, "topology" | "onFailure">,
  restart: () => Promise<void>,
): Promise<void> {
  const environment = { clock: { seconds: 1000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
  const { clock, peerLifetime } = environment;
  const store = new RedisStore({
    clock,
    random: createRandom(1),
    createPort: createNodeRedisPort,
    config: {
      ...redisConfig,
      broker: group.broker,
      peerLifetime,
      gcInterval: 1_000_000,
      // A busy machine may stop this process for seconds, and the timer fires before the replies are read.
      ...(changes.onFailure === "refuse" && { readTimeout: 30 }),
      maxLocalPeers: 1_000_000,
      ...changes,
    },
  });
  const tester = new StoreTester(store, environment);
  let isOver = false;
  let announced = 0;
  const announceOn = async (): Promise<void> => {
    for (; !isOver; await new Promise((resolve) => setTimeout(resolve, 5))) {
      const peer = testPeer(4, ++announced);
      await Promise.all(torrents.map((torrent) => tester.announce(torrent, peer, { numWant: 1 })));
    }
  };
  try {
    await store.start();
    const announcing = announceOn();
    await Promise.race([restart(), announcing]); // what is refused ends it
    isOver = true;
    await announcing;
    await waitUntil(
      () => `all is handed over: ready: ${store.readiness}, backlog: ${store.stats.backlog}`,
      () => store.readiness === true && store.stats.backlog === 0,
    );
    for (const torrent of torrents)
      assert.equal((await tester.scrapeOne(torrent, 4)).incomplete, announced, "none is lost");
  } finally {
    isOver = true;
    store.stop();
    await group.stop();
  }
}

describe("the Redis servers restart one after the other", { skip: withoutRedis }, () => {
  for (const onFailure of ["serve", "refuse"] as const) {
    test(`a cluster, on_failure ${onFailure}: no announce is refused and none lost`, async () => {
      const group = await startRedisCluster();
      await announceDuring(group, { topology: "cluster", onFailure }, async () => {
        const replicas = group.servers.slice(3);
        for (const primary of group.servers.slice(0, 3)) {
          const roles = await Promise.all(replicas.map((server) => server.cli("ROLE")));
          const replica = replicas[roles.findIndex((role) => role.includes(`\n${primary.port}\n`))]!;
          await replica.restart();
          await untilSynced(replica);
          await failOver(replica, group.servers);
          await untilReply(() => primary.cli("ROLE"), /slave/);
          await untilSynced(primary);
          await primary.restart();
          await untilSynced(primary);
        }
      });
    });
  }

  test("a primary with sentinels, on_failure serve: no announce is refused and none lost", async () => {
    const group = await startRedisSentinels();
    await announceDuring(group, { topology: "sentinel", onFailure: "serve" }, async () => {
      const [primary, replica] = group.servers as [(typeof group.servers)[0], (typeof group.servers)[0]];
      const sentinel = new URL(group.broker[0]!).port;
      await replica.restart();
      await untilSynced(replica);
      await primary.cli("CLIENT", "PAUSE", "15000", "WRITE");
      await primary.cli("-p", sentinel, "SENTINEL", "FAILOVER", "chihaya");
      await untilReply(() => replica.cli("ROLE"), /master/);
      await primary.restart(["--replicaof", "127.0.0.1", `${replica.port}`]);
      await untilSynced(primary);
    });
  });
});
