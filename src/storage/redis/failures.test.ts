import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { findFreePort } from "../../../test/e2e/ports.ts";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import {
  type RedisServer,
  startRedisServer,
  untilReady,
  withoutRedis,
} from "../../../test/support/redis-server.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { createRandom } from "../../lib/clock.ts";
import { endpoint, StoreTester, testInfoHash, testPeer } from "../conformance/store-tester.ts";
import { Step } from "../peer-store.ts";
import type { RedisStoreConfig } from "./config.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import { RedisStore, storageUnavailable } from "./redis-store.ts";

const torrent = testInfoHash(1);
const seeding = { left: 0n };

/** A store that records when Redis becomes unavailable and available. */
class Bench {
  readonly environment = { clock: { seconds: 1000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
  readonly changes: (string | undefined)[] = [];
  readonly store: RedisStore;
  readonly tester: StoreTester;

  constructor(broker: string, changes: Partial<RedisStoreConfig> = {}) {
    const { clock, peerLifetime } = this.environment;
    this.store = new RedisStore({
      clock,
      random: createRandom(1),
      config: {
        ...redisConfig,
        broker: [broker],
        connectTimeout: 2,
        readTimeout: 2,
        peerLifetime,
        ...changes,
      },
      createPort: createNodeRedisPort,
      onChange: (gone) => this.changes.push(gone),
    });
    this.tester = new StoreTester(this.store, this.environment);
  }

  /** Resolves when Redis is available. */
  untilBack(): Promise<void> {
    return untilReady(this.store);
  }
}

async function withServer(
  changes: Partial<RedisStoreConfig>,
  run: (bench: Bench, server: RedisServer, restart: () => Promise<RedisServer>) => Promise<void>,
  settings: readonly string[] = [],
): Promise<void> {
  let server = await startRedisServer(settings);
  const bench = new Bench(server.url, changes);
  await bench.store.start();
  try {
    await run(bench, server, async () => {
      server = await startRedisServer(settings, server.port);
      return server;
    });
  } finally {
    bench.store.stop();
    await server.stop();
  }
}

describe("redis store without Redis", { skip: withoutRedis }, () => {
  test("the store refuses while Redis is down, and continues with an empty Redis", () =>
    withServer({}, async (bench, server, restart) => {
      const { store, tester } = bench;
      await tester.announce(torrent, testPeer(4, 1));
      await server.stop();
      await assert.rejects(tester.announce(torrent, testPeer(4, 2)), storageUnavailable);
      await assert.rejects(tester.announce(torrent, testPeer(4, 2)), storageUnavailable, "at once");
      await assert.rejects(tester.scrapeOne(torrent, 4), storageUnavailable);
      assert.match(`${store.readiness}`, /^redis: /);
      await restart();
      await bench.untilBack();
      assert.deepEqual(
        (await tester.announce(torrent, testPeer(4, 3))).incomplete,
        1,
        "the script is given again",
      );
      assert.equal(bench.changes.length, 2);
    }));

  test("the store serves from local memory, and delivers the announces that Redis has missed", () =>
    withServer({ onFailure: "serve" }, async (bench, server, restart) => {
      const { tester } = bench;
      await server.stop();
      for (let n = 1; n <= 300; n++)
        await tester.announce(torrent, testPeer(4, n), n % 3 === 0 ? seeding : {});
      await tester.announce(torrent, testPeer(4, 2), { event: AnnounceEvent.completed, left: 0n });
      await tester.announce(torrent, testPeer(4, 2), seeding);
      await tester.announce(torrent, testPeer(4, 4), { event: AnnounceEvent.stopped });
      const { peers, complete } = await tester.announce(torrent, testPeer(4, 1), { numWant: 400 });
      assert.deepEqual([peers.length, complete], [298, 101], "of local memory");
      await restart();
      await bench.untilBack();
      assert.deepEqual(await tester.scrapeOne(torrent, 4), {
        complete: 101,
        incomplete: 198,
        snatches: 1,
        partial: 0,
      });
    }));

  test("a delivered announce does not replace a later one in Redis", () =>
    withServer({ onFailure: "serve" }, async (bench, server) => {
      const other = new Bench(server.url);
      await other.store.start();
      other.tester.advance(10);
      await other.tester.announce(torrent, testPeer(4, 1), seeding);
      other.store.stop();
      await server.cli("REPLICAOF", "127.0.0.1", "1");
      await bench.tester.announce(torrent, testPeer(4, 1));
      await bench.tester.announce(torrent, testPeer(4, 2));
      await server.cli("REPLICAOF", "NO", "ONE");
      await bench.untilBack();
      const row = await bench.tester.scrapeOne(torrent, 4);
      assert.deepEqual([row.complete, row.incomplete], [1, 1]);
    }));

  test("a Redis that does not respond in time is unavailable until it responds", () =>
    withServer({}, async (bench, server) => {
      await bench.tester.announce(torrent, testPeer(4, 1));
      process.kill(server.process.pid, "SIGSTOP");
      // Redis applies it later.
      await assert.rejects(bench.tester.announce(testInfoHash(2), testPeer(4, 1)), storageUnavailable);
      process.kill(server.process.pid, "SIGCONT");
      await bench.untilBack();
      assert.equal((await bench.tester.announce(torrent, testPeer(4, 1))).incomplete, 1);
    }));

  test("a connection whose path has died without a word is replaced", () =>
    withServer({}, async (_, server) => {
      const sockets: Socket[] = [];
      const proxy = createServer((incoming) => {
        const outgoing = connect(server.port, "127.0.0.1");
        incoming.pipe(outgoing).pipe(incoming);
        for (const socket of [incoming, outgoing]) socket.on("error", () => undefined);
        sockets.push(incoming, outgoing);
      }).listen(0, "127.0.0.1");
      await once(proxy, "listening");
      const { port } = proxy.address() as AddressInfo;
      const bench = new Bench(`redis://127.0.0.1:${port}`);
      await bench.store.start();
      for (const socket of sockets) socket.unpipe().pause();
      await assert.rejects(bench.tester.announce(torrent, testPeer(4, 1)), storageUnavailable);
      await bench.untilBack();
      await bench.tester.announce(torrent, testPeer(4, 2));
      bench.store.stop();
      proxy.close();
      for (const socket of sockets) socket.destroy();
    }));

  test("scripts that Redis has lost are sent again", () =>
    withServer({}, async ({ tester, changes }, server) => {
      await tester.announce(torrent, testPeer(4, 1));
      await server.cli("SCRIPT", "FLUSH");
      assert.equal((await tester.announce(torrent, testPeer(4, 2))).incomplete, 2);
      assert.deepEqual(changes, []);
    }));

  test("a full Redis leaves out new peers and nothing else", () =>
    withServer({}, async ({ store, tester, changes }, server) => {
      for (const n of [1, 2, 3]) await tester.announce(torrent, testPeer(4, n));
      await server.cli("CONFIG", "SET", "maxmemory", "1");
      const response = await tester.announce(torrent, testPeer(4, 4));
      assert.deepEqual([response.incomplete, response.peers.length], [3, 3], "the response is complete");
      assert.equal((await store.statistics()).refused, 1);
      await tester.announce(testInfoHash(2), testPeer(4, 5));
      assert.equal((await store.statistics()).refused, 2, "also in a torrent of its own");
      await tester.announce(torrent, testPeer(4, 1), { event: AnnounceEvent.completed, left: 0n });
      await tester.announce(torrent, testPeer(4, 2), { event: AnnounceEvent.stopped });
      const row = { complete: 1, incomplete: 1, snatches: 1, partial: 0 };
      assert.deepEqual(await tester.scrapeOne(torrent, 4), row);
      tester.advance(1700);
      await tester.announce(torrent, testPeer(4, 3));
      tester.advance(300);
      await tester.announce(torrent, testPeer(4, 4));
      assert.deepEqual(await tester.scrapeOne(torrent, 4), { ...row, complete: 0 }, "who is back lives on");
      assert.equal((await store.statistics()).refused, 3);
      await server.cli("CONFIG", "SET", "maxmemory", "0");
      assert.equal((await tester.announce(torrent, testPeer(4, 4))).incomplete, 2);
      assert.deepEqual(changes, []);
    }));

  test("a full Redis takes no peers even if others leave at the same time", () =>
    withServer({}, async ({ store, tester }, server) => {
      const snatched = testInfoHash(3);
      await tester.announce(testInfoHash(2), testPeer(4, 1));
      await tester.announce(snatched, testPeer(4, 1), { event: AnnounceEvent.completed, left: 0n });
      await server.cli("CONFIG", "SET", "maxmemory", "1");
      const stopped = { event: AnnounceEvent.stopped };
      for (const [n, left] of [testInfoHash(2), snatched].entries()) {
        await Promise.all([
          tester.announce(left, testPeer(4, 1), stopped),
          tester.announce(torrent, testPeer(4, 2)),
        ]);
        assert.equal((await tester.scrapeOne(left, 4)).complete, 0);
        assert.equal((await store.statistics()).refused, n + 1);
      }
      assert.equal((await tester.scrapeOne(snatched, 4)).snatches, 1);
    }));

  test("a full Redis still removes expired peers", () =>
    withServer({}, async ({ tester, changes }, server) => {
      const [second, third] = [testInfoHash(2), testInfoHash(3)];
      for (const one of [torrent, second]) {
        for (let n = 1; n <= 200; n++) await tester.announce(one, testPeer(4, n));
      }
      await tester.announce(third, testPeer(4, 1));
      tester.advance(1000);
      for (const one of [torrent, second]) await tester.announce(one, testPeer(4, 1));
      await server.cli("CONFIG", "SET", "maxmemory", "1");
      tester.advance(1000);
      const { peers, incomplete } = await tester.announce(torrent, testPeer(4, 2), { step: Step.select });
      assert.deepEqual([peers, incomplete], [[endpoint(testPeer(4, 1))], 1]);
      assert.equal((await tester.scrapeOne(torrent, 4)).incomplete, 1);
      assert.equal(await tester.expire(), 200);
      assert.equal((await tester.scrapeOne(second, 4)).incomplete, 1);
      assert.equal((await tester.scrapeOne(third, 4)).incomplete, 0);
      assert.deepEqual(changes, []);
    }));

  test("a full Redis applies delivered announces except those of new peers", () =>
    withServer({ onFailure: "serve" }, async (bench, server) => {
      const { store, tester } = bench;
      for (const n of [1, 2]) await tester.announce(torrent, testPeer(4, n));
      tester.advance(10);
      await server.cli("REPLICAOF", "127.0.0.1", "1");
      await tester.announce(torrent, testPeer(4, 1), { event: AnnounceEvent.completed, left: 0n });
      await tester.announce(torrent, testPeer(4, 2), { event: AnnounceEvent.stopped });
      await tester.announce(torrent, testPeer(4, 3));
      await server.cli("CONFIG", "SET", "maxmemory", "1");
      await server.cli("REPLICAOF", "NO", "ONE");
      await bench.untilBack();
      assert.deepEqual(await tester.scrapeOne(torrent, 4), {
        complete: 1,
        incomplete: 0,
        snatches: 1,
        partial: 0,
      });
      assert.deepEqual([store.stats.refused, store.stats.backlog], [1, 0]);
    }));

  test("a replica that takes no writes counts as gone", () =>
    withServer({}, async (bench, server) => {
      await bench.tester.announce(torrent, testPeer(4, 1));
      await server.cli("REPLICAOF", "127.0.0.1", "1");
      await assert.rejects(bench.tester.announce(torrent, testPeer(4, 2)), storageUnavailable);
      await server.cli("REPLICAOF", "NO", "ONE");
      await bench.untilBack();
      await bench.tester.announce(torrent, testPeer(4, 2));
    }));

  test("a start without Redis names the address and the cause, but no password", async () => {
    const port = await findFreePort();
    const { store } = new Bench(`redis://user:secret@127.0.0.1:${port}/0`, { connectTimeout: 0.3 });
    await assert.rejects(
      async () => store.start(),
      (error: Error) =>
        /127\.0\.0\.1:\d+\/0: .*ECONNREFUSED/.test(error.message) && !error.message.includes("secret"),
    );
  });
});
