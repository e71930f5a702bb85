import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import {
  type RedisServer,
  startRedisServer,
  untilReady,
  withoutRedis,
} from "../../../test/support/redis-server.ts";
import { createRandom } from "../../lib/clock.ts";
import { peerRecord } from "../conformance/records.ts";
import { StoreTester, testInfoHash, testPeer } from "../conformance/store-tester.ts";
import { checkRedis } from "./check-redis.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import { RedisStore, storageUnavailable } from "./redis-store.ts";

const torrent = testInfoHash(1);
const hour = 3600;

describe("clocks of trackers and Redis", { skip: withoutRedis }, () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedisServer();
  });
  after(() => server.stop());

  /** A store whose clock stands, so many seconds ahead of that of Redis. */
  function createStore(ahead: number, onFailure: "refuse" | "serve" = "refuse", url: string = server.url) {
    const environment = {
      clock: { seconds: 1000, unixSeconds: Math.floor(Date.now() / 1000) + ahead },
      peerLifetime: 1800,
    };
    const changes: (string | undefined)[] = [];
    const warnings: string[] = [];
    const store = new RedisStore({
      clock: environment.clock,
      random: createRandom(1),
      config: {
        ...redisConfig,
        broker: [url],
        onFailure,
        peerLifetime: environment.peerLifetime,
        maxClockSkew: 600,
      },
      createPort: async (config, onError) =>
        checkRedis(await createNodeRedisPort(config, onError), (warning) => warnings.push(warning)),
      onChange: (gone) => changes.push(gone),
    });
    return { store, tester: new StoreTester(store, environment), changes, warnings };
  }

  for (const ahead of [hour, -hour]) {
    const where = ahead > 0 ? "ahead" : "behind";

    test(`a tracker that starts an hour ${where} refuses, and says why once`, async () => {
      await server.cli("FLUSHALL");
      const right = createStore(0);
      const wrong = createStore(ahead);
      try {
        await right.store.start();
        await right.tester.announce(torrent, testPeer(4, 1));
        await wrong.store.start();
        assert.match(`${wrong.store.readiness}`, new RegExp(`\\d+ s ${where}.* max_clock_skew is 600s`));
        await assert.rejects(wrong.tester.announce(torrent, testPeer(4, 2)), storageUnavailable);
        const peers = [peerRecord(torrent, testPeer(4, 9))];
        const torrents = [{ infoHash: torrent, snatches: 9 }];
        await assert.rejects(wrong.store.records.replay({ peers }), /max_clock_skew/);
        await assert.rejects(wrong.store.records.replay({ torrents }), /max_clock_skew/);
        assert.equal((await right.tester.scrapeOne(torrent, 4)).incomplete, 1);
        wrong.tester.advance(-ahead);
        await untilReady(wrong.store);
        assert.equal((await wrong.tester.announce(torrent, testPeer(4, 2))).incomplete, 2);
        assert.deepEqual([wrong.changes.length, wrong.changes[1]], [2, undefined]);
      } finally {
        right.store.stop();
        wrong.store.stop();
      }
    });

    test(`a clock that jumps to an hour ${where} removes no peers of others`, async () => {
      await server.cli("FLUSHALL");
      const right = createStore(0);
      const wrong = createStore(0, "serve");
      try {
        for (const { store } of [right, wrong]) await store.start();
        for (const n of [1, 2]) await right.tester.announce(torrent, testPeer(4, n));
        assert.equal((await wrong.tester.announce(torrent, testPeer(4, 3))).incomplete, 3);
        wrong.tester.advance(ahead);
        assert.equal((await wrong.tester.announce(torrent, testPeer(4, 4))).incomplete, 1, "of local memory");
        assert.match(`${wrong.store.readiness}`, /max_clock_skew/);
        await assert.rejects(async () => wrong.store.expire(), /max_clock_skew/);
        assert.equal((await right.tester.scrapeOne(torrent, 4)).incomplete, 3);
        wrong.tester.advance(-ahead);
        await untilReady(wrong.store);
        const expected = ahead > 0 ? 4 : 3; // an announce of an hour ago has expired
        assert.equal((await right.tester.scrapeOne(torrent, 4)).incomplete, expected);
        right.tester.advance(590);
        await right.tester.announce(torrent, testPeer(4, 1));
        assert.equal((await right.tester.scrapeOne(torrent, 4)).incomplete, expected);
      } finally {
        right.store.stop();
        wrong.store.stop();
      }
    });
  }

  test("a user that may not read the time is warned about once, and announces", async () => {
    const commands = "evalsha eval hget hset hdel del unlink expire scan ping info".split(" ");
    const user = ["on", ">secret", "~test:*", "-@all", ...commands.map((name) => `+${name}`)];
    assert.match(await server.cli("ACL", "SETUSER", "timeless", ...user), /OK/);
    const url = server.url.replace("//", "//timeless:secret@");
    const { store, tester, warnings } = createStore(hour, "refuse", url);
    try {
      await store.start();
      await tester.announce(testInfoHash(2), testPeer(4, 1));
      assert.equal(store.readiness, true);
      assert.equal(warnings.filter((warning) => warning.includes("TIME")).length, 1);
    } finally {
      store.stop();
    }
  });
});
