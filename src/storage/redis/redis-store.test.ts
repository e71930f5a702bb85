import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import { MapStore } from "../../../test/support/map-store.ts";
import { compareWithModel } from "../../../test/support/model.ts";
import { checkOwnPeers } from "../../../test/support/own-peers.ts";
import { type RedisServer, startRedisServer, withoutRedis } from "../../../test/support/redis-server.ts";
import { createRandom } from "../../lib/clock.ts";
import { peerRecord } from "../conformance/records.ts";
import { type AnnounceOptions, StoreTester, testInfoHash, testPeer } from "../conformance/store-tester.ts";
import { type ConformanceEnvironment, storeConformance } from "../conformance.ts";
import { Step } from "../peer-store.ts";
import type { RedisStoreConfig } from "./config.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import { RedisStore, type RedisStoreOptions } from "./redis-store.ts";

const config: Omit<RedisStoreConfig, "broker"> = {
  ...redisConfig,
  gcInterval: 1_000_000, // who expires when depends on the pages: the suite asks for it
  maxLocalPeers: 10_000,
};

describe("redis store", { skip: withoutRedis }, () => {
  let server: RedisServer;
  let stores = 0;
  before(async () => {
    server = await startRedisServer();
  });
  after(() => server.stop());

  function createStore(
    { clock, peerLifetime }: ConformanceEnvironment,
    changes: Partial<RedisStoreConfig> = {},
    more: Partial<RedisStoreOptions> = {},
  ): RedisStore {
    return new RedisStore({
      clock,
      random: createRandom(++stores),
      config: { ...config, broker: [server.url], keyPrefix: `test${stores}:`, peerLifetime, ...changes },
      createPort: createNodeRedisPort,
      ...more,
    });
  }

  storeConformance("redis store", (environment) => createStore(environment));
  storeConformance("redis store of a private tracker", (environment) =>
    createStore(environment, { tags: true }),
  );
  storeConformance(
    "redis store with peer ids",
    (environment) => createStore(environment, { peerIds: true }),
    {
      peerIds: true,
    },
  );

  for (const [name, peers, torrents, steps] of [
    ["many small swarms", 40, 12, 600],
    ["swarms of many pages", 1500, 2, 2000],
  ] as const) {
    test(`does what the model does: ${name}`, async () => {
      for (const seed of [1, 2]) {
        const environment = { clock: { seconds: 50_000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
        const store = createStore(environment, { peerIds: seed === 2 });
        const model = new MapStore({ ...environment, random: createRandom(seed) });
        await store.start();
        try {
          await compareWithModel(store, model, { environment, seed, steps, peers, torrents });
        } finally {
          store.stop();
        }
      }
    });
  }

  for (const peerIds of [false, true]) {
    for (const kind of [4, 6, "web"] as const) {
      const name = `${kind === "web" ? "web peers" : `IPv${kind}`}${peerIds ? " with peer ids" : ""}`;
      test(`no peer gets peers of its own user: ${name}`, async () => {
        const environment = { clock: { seconds: 50_000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
        for (const peers of [12, 400]) {
          const store = createStore(environment, { peerIds, tags: true });
          await store.start();
          try {
            await checkOwnPeers(store, kind, { steps: 1500, peers });
          } finally {
            store.stop();
          }
        }
      });
    }
  }

  test("a peer keeps its user through replays and roles, and a user with one peer gets nobody", async () => {
    const environment = { clock: { seconds: 50_000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
    const store = createStore(environment, { tags: true });
    const tester = new StoreTester(store, environment);
    const torrent = testInfoHash(1);
    await store.start();
    try {
      const count = async (n: number, tag: number, options: AnnounceOptions = {}) =>
        (await tester.announce(torrent, testPeer(4, n), { ...options, tag })).peers.length;
      assert.deepEqual(
        [await count(1, 1), await count(2, 1), await count(3, 0), await count(4, 0)],
        [0, 0, 2, 3],
      );
      assert.equal(await count(2, 2), 3, "a peer whose user has changed");
      const { select } = Step;
      for (const seeder of [false, true]) {
        tester.advance(10);
        await store.records.replay({ peers: [peerRecord(torrent, testPeer(4, 2), { age: 0, seeder })] });
        assert.equal(
          await count(5, 2, { step: select }),
          3,
          `after a replay, ${seeder ? "seeder" : "leecher"}`,
        );
        assert.equal(await count(5, 3, { step: select }), 4);
      }
      await count(2, 2);
      await count(2, 2, { left: 0n });
      assert.equal(await count(5, 2, { step: select }), 3, "in another role");
    } finally {
      store.stop();
    }
  });
});
