import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import { type RedisServer, startRedisServer, withoutRedis } from "../../../test/support/redis-server.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { createRandom } from "../../lib/clock.ts";
import { endpoint, StoreTester, testInfoHash, testPeer } from "../conformance/store-tester.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import { RedisStore } from "./redis-store.ts";

const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
const environment = { clock, peerLifetime: 1800 };
const torrent = testInfoHash(1);
const seeding = { left: 0n };

describe("samples of big swarms", { skip: withoutRedis }, () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedisServer();
  });
  after(() => server.stop());

  async function withSwarm(
    seeders: number,
    leechers: number,
    peerIds: boolean,
    run: (store: RedisStore, tester: StoreTester) => Promise<void>,
  ): Promise<void> {
    const store = new RedisStore({
      clock,
      random: createRandom(1),
      createPort: createNodeRedisPort,
      config: {
        ...redisConfig,
        broker: [server.url],
        keyPrefix: `test${seeders}:${leechers}:${peerIds}:`,
        peerIds,
        sampleCache: 5,
      },
    });
    const tester = new StoreTester(store, environment);
    await store.start();
    try {
      for (let n = 0; n < seeders + leechers; n++)
        await tester.announce(torrent, testPeer(4, n), { ...(n < seeders ? seeding : {}), numWant: 0 });
      await run(store, tester);
    } finally {
      store.stop();
    }
  }

  for (const peerIds of [false, true]) {
    test(`seeders first, never the announcer, nobody twice, counts exact, peer ids ${peerIds}`, () =>
      withSwarm(20, 600, peerIds, async (store, tester) => {
        const seeders = new Set(Array.from({ length: 20 }, (_, n) => endpoint(testPeer(4, n))));
        const seen = new Set<string>();
        for (let n = 100; n < 200; n++) {
          const { peers, complete, incomplete } = await tester.announce(torrent, testPeer(4, n), {
            numWant: 30,
          });
          assert.deepEqual([peers.length, new Set(peers).size], [30, 30]);
          assert.deepEqual([complete, incomplete], [20, 600]);
          assert.ok(!peers.includes(endpoint(testPeer(4, n))));
          assert.equal(peers.slice(0, 20).filter((peer) => seeders.has(peer)).length, 20);
          for (const peer of peers) seen.add(peer);
        }
        assert.ok(store.stats.cacheHits >= 98, `${store.stats.cacheHits}`);
        assert.ok(seen.size > 150, `${seen.size} different ones`);
        const other = await tester.announce(torrent, testPeer(4, 1), { ...seeding, numWant: 30 });
        assert.ok(!other.peers.some((peer) => seeders.has(peer)), "a seeder gets leechers");
      }));
  }

  test("what is not asked is still applied", () =>
    withSwarm(300, 200, false, async (_, tester) => {
      for (let n = 300; n < 310; n++) await tester.announce(torrent, testPeer(4, n), { numWant: 30 });
      await tester.announce(torrent, testPeer(4, 310), {
        ...seeding,
        event: AnnounceEvent.completed,
        numWant: 30,
      });
      await tester.announce(torrent, testPeer(4, 311), { event: AnnounceEvent.stopped });
      await tester.announce(torrent, testPeer(4, 900), { numWant: 30 });
      assert.deepEqual(await tester.scrapeOne(torrent, 4), {
        complete: 301,
        incomplete: 199,
        snatches: 1,
        partial: 0,
      });
    }));

  test("a sample is given until it is too old, and never to who stops or wants nobody", () =>
    withSwarm(0, 500, false, async (store, tester) => {
      const announce = (n: number, changes = {}) =>
        tester.announce(torrent, testPeer(4, n), { numWant: 30, ...changes });
      await announce(1);
      assert.equal(store.stats.cacheHits, 0, "the first fills the sample");
      await announce(2);
      assert.equal(store.stats.cacheHits, 1);
      assert.deepEqual((await announce(4, { numWant: 0 })).peers, []);
      assert.deepEqual((await announce(5, { event: AnnounceEvent.stopped })).peers, []);
      assert.equal(store.stats.cacheHits, 1);
      clock.seconds += 5;
      assert.equal((await announce(6)).peers.length, 30);
      assert.equal(store.stats.cacheHits, 1);
    }));

  test("a swarm that is gone is listed no more", () =>
    withSwarm(0, 501, false, async (store, tester) => {
      for (let n = 0; n < 2; n++) await tester.announce(torrent, testPeer(4, n), { numWant: 30 });
      assert.equal(store.stats.cacheHits, 1);
      await store.remove(torrent);
      await tester.announce(torrent, testPeer(4, 1), { numWant: 0 });
      const { peers } = await tester.announce(torrent, testPeer(4, 2), { numWant: 30 });
      assert.deepEqual(peers, [endpoint(testPeer(4, 1))]);
    }));
});
