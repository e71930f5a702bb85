import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import {
  type RedisServer,
  startRedisServer,
  untilReady,
  withoutRedis,
} from "../../../test/support/redis-server.ts";
import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { toHex } from "../../bittorrent/info-hash.ts";
import { PeerList } from "../../bittorrent/peer-list.ts";
import { createRandom } from "../../lib/clock.ts";
import { peerRecord } from "../conformance/records.ts";
import { StoreTester, testInfoHash, testPeer } from "../conformance/store-tester.ts";
import { Step } from "../peer-store.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import type { RedisPort } from "./redis-port.ts";
import { RedisStore } from "./redis-store.ts";
import { layoutVersion, metaLength, webMetaLength } from "./script.ts";

const bad = testInfoHash(1);
const key = Buffer.concat([Buffer.from(`test:${layoutVersion}:`), bad]);
/** The page of IPv4 leechers that has number 0. */
const page = Buffer.from([2, 0, 0]);

/** The field `m` of a torrent. */
function metaOf(leechers: number, pages = 1, partial = 0): Buffer {
  const meta = Buffer.alloc(metaLength);
  meta.writeUInt32BE(1_700_010_000, 4);
  meta.writeUInt32BE(leechers, 12);
  meta.writeUInt32BE(partial, 24);
  for (const at of [32, 36, 38]) meta.writeUInt16BE(1, at);
  meta.writeUInt16BE(pages, 34);
  return meta;
}

/** A page of peers from 10.1.0.1:1025 on. */
function pageOf(peers: number): Buffer {
  const bytes = Buffer.alloc(4 + 10 * peers);
  bytes.writeUInt32BE(1_700_001_800);
  for (let n = 0; n < peers; n++) {
    bytes.set([10, 1, 0, n + 1, 4, n + 1], 4 + 6 * n);
    bytes.writeUInt32BE(100_000_000 * 4, 4 + 6 * peers + 4 * n);
  }
  return bytes;
}

/** Values that another program may have written in the place of a torrent, and whether an announce then fails. */
const kinds: Record<string, (string | Buffer)[]> = {
  "a string": ["SET", key, "x"],
  "a list": ["RPUSH", key, "x"],
  "a set": ["SADD", key, "x"],
  "a sorted set": ["ZADD", key, "1", "x"],
  "a stream": ["XADD", key, "*", "x", "y"],
  "a hash with a page and without m": ["HSET", key, page, pageOf(1)],
  "an m that is too short": ["HSET", key, "m", Buffer.alloc(3)],
  "an m that is too long": ["HSET", key, "m", Buffer.alloc(metaLength + 1)],
  "a page of odd length": ["HSET", key, "m", metaOf(2), page, Buffer.concat([pageOf(2), Buffer.from("?")])],
  "a page that is too long": ["HSET", key, "m", metaOf(70_000, 3000), page, pageOf(40_000)],
  "counts without a page": ["HSET", key, "m", metaOf(2)],
  "counts beyond all pages": ["HSET", key, "m", metaOf(4_000_000_000), page, pageOf(2)],
  "counts below a page": ["HSET", key, "m", metaOf(1), page, pageOf(2)],
  "more pages than peers, and none there": ["HSET", key, "m", metaOf(120, 6), page, pageOf(2)],
  "no pages": ["HSET", key, "m", metaOf(0, 0)],
  "more partial seeds than peers": ["HSET", key, "m", metaOf(2, 1, 30), page, pageOf(2)],
};

describe("a key that holds no torrent", { skip: withoutRedis }, () => {
  let server: RedisServer;
  let port: RedisPort;
  before(async () => {
    server = await startRedisServer();
    const config = { ...redisConfig, broker: [server.url] };
    port = await createNodeRedisPort(config, () => undefined);
    await port.connect();
  });
  after(async () => {
    port.close();
    await server.stop();
  });

  async function withStore(
    onFailure: "refuse" | "serve",
    run: (tester: StoreTester, store: RedisStore, events: string[]) => Promise<void>,
  ): Promise<void> {
    await server.cli("FLUSHALL");
    const environment = { clock: { seconds: 1000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
    const events: string[] = [];
    const store = new RedisStore({
      clock: environment.clock,
      random: createRandom(1),
      config: { ...redisConfig, broker: [server.url], onFailure, peerLifetime: environment.peerLifetime },
      createPort: createNodeRedisPort,
      onChange: (gone) => events.push(`outage: ${gone}`),
      onBadKey: (name) => events.push(name),
    });
    await store.start();
    try {
      await run(new StoreTester(store, environment), store, events);
    } finally {
      store.stop();
    }
  }
  const named = `test:${layoutVersion}:${toHex(bad)}`;

  for (const onFailure of ["refuse", "serve"] as const) {
    for (const [kind, command] of Object.entries(kinds)) {
      test(`${kind}, on_failure ${onFailure}: the torrent begins anew, and no other notices`, () =>
        withStore(onFailure, async (tester, store, events) => {
          const others = Array.from({ length: 99 }, (_, n) => testInfoHash(n + 2));
          await tester.announce(others[0]!, testPeer(4, 1), { event: AnnounceEvent.completed, left: 0n });
          await port.send(key, command);
          const answers = await Promise.all(
            [bad, ...others].map((torrent) => tester.announce(torrent, testPeer(4, 200))),
          );
          assert.deepEqual(
            answers.map(({ incomplete }) => incomplete),
            answers.map(() => 1),
          );
          const { snatches } = await tester.scrapeOne(others[0]!, 4);
          assert.equal(snatches, 1);
          assert.deepEqual(events, [named], "named once, and no outage");
          assert.equal((await tester.announce(bad, testPeer(4, 201))).incomplete, 2);
          assert.deepEqual(
            [events.length, store.stats.badKeys, store.stats.unanswered, store.stats.backlog],
            [1, 1, 0, 0],
          );
        }));
    }
  }

  test("statistics, listing, expiry and scrapes of others go on", () =>
    withStore("refuse", async (tester, store, events) => {
      for (const [kind, command] of Object.entries(kinds)) {
        await port.send(key, ["DEL", key]);
        await tester.announce(testInfoHash(2), testPeer(4, 1));
        await port.send(key, command);
        const { leechers, swarms } = await store.statistics();
        assert.ok(leechers <= 100_000 && swarms <= 2, `${kind}: ${leechers} leechers`);
        for await (const { infoHash } of store.swarms()) assert.ok(infoHash.length === 20);
        assert.equal(await tester.expire(), 0);
        const rows = await Promise.all([bad, testInfoHash(2)].map((torrent) => tester.scrapeOne(torrent, 4)));
        assert.equal(rows[1]!.incomplete, 1);
      }
      assert.ok(events.every((line) => line === named));
      await store.remove(bad);
      assert.equal(await port.send(key, ["EXISTS", key]), 0);
    }));

  test("a sweep of web peers goes on", () =>
    withStore("refuse", async (_, store, events) => {
      const request = new AnnounceRequest();
      Object.assign(request, { kind: "web", handle: 5, generation: 1 });
      request.infoHash.fill(2);
      const none = new Uint8Array(0);
      const response = new AnnounceResponse(new PeerList(4, none), new PeerList(6, none));
      await store.announce(request, response, Step.apply);
      const web = Buffer.alloc(webMetaLength);
      web.writeUInt32BE(1, 4);
      for (const at of [12, 14]) web.writeUInt16BE(1, at);
      const webPage = Buffer.from([6, 0, 0]);
      await port.send(key, ["HSET", key, "m", Buffer.concat([metaOf(0), web]), webPage, Buffer.alloc(9)]);
      assert.equal(await store.sweep(0), 1);
      assert.deepEqual(events, [named]);
    }));

  test("what is handed over or replayed to it arrives, and so does the rest", () =>
    withStore("serve", async (tester, store, events) => {
      await server.cli("REPLICAOF", "127.0.0.1", "1");
      for (const torrent of [bad, testInfoHash(2)]) await tester.announce(torrent, testPeer(4, 1));
      await server.cli("REPLICAOF", "NO", "ONE");
      await port.send(key, ["SET", key, "x"]);
      await untilReady(store);
      assert.equal((await tester.scrapeOne(bad, 4)).incomplete, 1);
      assert.equal((await tester.scrapeOne(testInfoHash(2), 4)).incomplete, 1);
      assert.deepEqual([events.filter((line) => line === named).length, store.stats.backlog], [1, 0]);
      await port.send(key, ["SET", key, "x"]);
      const peers = [bad, testInfoHash(2)].map((torrent) => peerRecord(torrent, testPeer(4, 9)));
      await store.records.replay({ peers });
      assert.equal((await tester.scrapeOne(bad, 4)).incomplete, 1);
      assert.equal((await tester.scrapeOne(testInfoHash(2), 4)).incomplete, 2);
    }));

  test("a key that is called as the prefix alone does not matter to a full Redis", () =>
    withStore("refuse", async (tester, store, events) => {
      await server.cli("SET", `test:${layoutVersion}:`, "x");
      await server.cli("CONFIG", "SET", "maxmemory", "1");
      await tester.announce(testInfoHash(2), testPeer(4, 1));
      await server.cli("CONFIG", "SET", "maxmemory", "0");
      assert.deepEqual([store.stats.refused, events], [1, []]);
    }));
});
