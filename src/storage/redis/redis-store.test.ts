import { after, before, describe, test } from "node:test";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import { MapStore } from "../../../test/support/map-store.ts";
import { compareWithModel } from "../../../test/support/model.ts";
import { type RedisServer, startRedisServer, withoutRedis } from "../../../test/support/redis-server.ts";
import { createRandom } from "../../lib/clock.ts";
import { type ConformanceEnvironment, storeConformance } from "../conformance.ts";
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
});
