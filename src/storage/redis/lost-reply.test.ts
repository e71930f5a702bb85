import assert from "node:assert/strict";
import { test } from "node:test";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import { startRedisServer, untilReady, withoutRedis } from "../../../test/support/redis-server.ts";
import { createRandom } from "../../lib/clock.ts";
import { StoreTester, testInfoHash, testPeer } from "../conformance/store-tester.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import { RedisStore } from "./redis-store.ts";

test("a command that never ends holds up no later announce", { skip: withoutRedis }, async () => {
  const server = await startRedisServer();
  const environment = { clock: { seconds: 1000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
  let losesNext = false;
  const store = new RedisStore({
    clock: environment.clock,
    random: createRandom(1),
    config: { ...redisConfig, broker: [server.url], readTimeout: 1 },
    createPort: async (config, onError) => {
      const port = await createNodeRedisPort(config, onError);
      const send = port.send.bind(port);
      port.send = (key, args) => {
        if (!losesNext) return send(key, args);
        losesNext = false;
        return new Promise(() => undefined);
      };
      return port;
    },
  });
  const tester = new StoreTester(store, environment);
  try {
    await store.start();
    losesNext = true;
    await assert.rejects(tester.announce(testInfoHash(1), testPeer(4, 1)));
    await untilReady(store);
    let incomplete = 0;
    while (incomplete === 0) {
      // A busy machine may lose Redis once more within a second.
      await tester.announce(testInfoHash(1), testPeer(4, 2)).then(
        (response) => {
          incomplete = response.incomplete;
        },
        () => untilReady(store),
      );
    }
    assert.equal(incomplete, 1);
  } finally {
    store.stop();
    await server.stop();
  }
});
