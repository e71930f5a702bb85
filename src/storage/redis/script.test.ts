import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import { type RedisServer, startRedisServer, withoutRedis } from "../../../test/support/redis-server.ts";
import { AnnounceRequest } from "../../bittorrent/announce.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { copy20 } from "../../bittorrent/info-hash.ts";
import { createRandom } from "../../lib/clock.ts";
import { peerRecord } from "../conformance/records.ts";
import {
  type ConformanceEnvironment,
  StoreTester,
  type TestPeer,
  testInfoHash,
  testPeer,
} from "../conformance/store-tester.ts";
import { Batch, secretLength } from "./batch.ts";
import type { RedisStoreConfig } from "./config.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import type { RedisPort } from "./redis-port.ts";
import { RedisStore } from "./redis-store.ts";
import { announceScript, layoutVersion, metaLength, pageTarget } from "./script.ts";

const torrent = testInfoHash(1);

/** The field `m` of a torrent of IPv4 seeders. */
function metaOf(environment: ConformanceEnvironment, seeders: number, pages: number): Buffer {
  const meta = Buffer.alloc(metaLength);
  meta.writeUInt32BE(environment.clock.unixSeconds + 3 * environment.peerLifetime, 4);
  meta.writeUInt32BE(seeders, 8);
  for (const at of [34, 36, 38]) meta.writeUInt16BE(1, at);
  meta.writeUInt16BE(pages, 32);
  return meta;
}

/** The field of a page of IPv4 seeders, and the page. */
function pageOf(index: number, unixSeconds: readonly number[]): Buffer[] {
  const name = Buffer.from([1, index >> 8, index & 255]);
  const page = Buffer.alloc(4 + 10 * unixSeconds.length);
  for (const [n, seconds] of unixSeconds.entries()) {
    page.writeUIntBE(index * 8 + n + 1, 4 + 6 * n, 6);
    page.writeUInt32BE((seconds - 1_600_000_000) * 4, 4 + 6 * unixSeconds.length + 4 * n);
  }
  return [name, page];
}

describe("scripts of the redis store", { skip: withoutRedis }, () => {
  const environment = { clock: { seconds: 1000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
  let server: RedisServer;
  let port: RedisPort;
  let store: RedisStore;
  let tester: StoreTester;
  const key = Buffer.concat([Buffer.from(`test:${layoutVersion}:`), torrent]);
  const send = (name: string, ...args: (string | Buffer)[]): Promise<unknown> =>
    port.send(key, [name, key, ...args]);

  before(async () => {
    server = await startRedisServer();
    const config: RedisStoreConfig = {
      ...redisConfig,
      broker: [server.url],
      peerLifetime: environment.peerLifetime,
    };
    port = await createNodeRedisPort(config, () => undefined);
    await port.connect();
    store = new RedisStore({
      config,
      clock: environment.clock,
      random: createRandom(1),
      createPort: createNodeRedisPort,
    });
    await store.start();
    tester = new StoreTester(store, environment);
  });
  after(async () => {
    store.stop();
    port.close();
    await server.stop();
  });

  const replay = async (peer: TestPeer, age: number, infoHash = torrent): Promise<unknown> =>
    store.records.replay({ peers: [peerRecord(infoHash, peer, { age })] });

  test("a peer of a replay expires a lifetime after its own announce", async () => {
    const alone = testInfoHash(2);
    await tester.announce(torrent, testPeer(4, 1));
    await replay(testPeer(4, 2), 1700);
    await replay(testPeer(4, 2), 1700, alone);
    assert.equal((await tester.announce(torrent, testPeer(4, 1))).incomplete, 2);
    tester.advance(101);
    assert.equal((await tester.announce(torrent, testPeer(4, 1))).incomplete, 1);
    assert.equal((await tester.announce(alone, testPeer(4, 1))).incomplete, 1);
    await store.remove(torrent);
    await store.remove(alone);
  });

  for (const family of [4, 6] as const) {
    for (const size of [1, 2, 12, 130, 700]) {
      test(`known peers of IPv${family} in a swarm of ${size} stay, and see all others that they can use`, async () => {
        const swarm = testInfoHash(20 + size);
        const peers = Array.from({ length: size }, (_, n) => ({
          peer: testPeer(family, n + 1),
          left: BigInt(n % 3),
        }));
        const seeders = Math.ceil(size / 3);
        const nameOf = ({ address, port }: TestPeer): string => `${address}:${port}`;
        const ofSeeders = new Set(peers.filter(({ left }) => left === 0n).map(({ peer }) => nameOf(peer)));
        const announceAll = async (): Promise<void> => {
          const answers = await Promise.all(
            peers.map(({ peer, left }) => tester.announce(swarm, peer, { left, numWant: 30 })),
          );
          for (const [n, { peers: list, seeders: first }] of answers.entries()) {
            const { peer, left } = peers[n]!;
            const usable = left === 0n ? size - seeders : size - 1;
            const expected = size === 1 ? 1 : Math.min(30, usable); // a peer that is alone gets itself
            assert.equal(new Set(list).size, list.length);
            if (size > 1) assert.ok(!list.includes(nameOf(peer)), "the announcer is not in its list");
            if (left === 0n) assert.ok(!list.some((one) => size > 1 && ofSeeders.has(one)));
            else assert.ok(list.every((one, i) => ofSeeders.has(one) === i < first) || size === 1);
            assert.equal(list.length, expected);
          }
        };
        for (const { peer, left } of peers) await tester.announce(swarm, peer, { left, numWant: 0 });
        for (let lifetime = 0; lifetime < 8; lifetime++) {
          await announceAll();
          tester.advance(environment.peerLifetime - 100);
        }
        const { complete, incomplete, snatches } = await tester.scrapeOne(swarm, family);
        assert.deepEqual([complete, incomplete, snatches], [seeders, size - seeders, 0]);
        await store.remove(swarm);
      });
    }
  }

  test("a known peer completes once, pauses once and changes its role", async () => {
    const peer = testPeer(4, 1);
    const announce = (event: AnnounceEvent, left: bigint) => tester.announce(torrent, peer, { event, left });
    const row = () => tester.scrapeOne(torrent, 4);
    await announce(AnnounceEvent.started, 1n);
    for (let n = 0; n < 2; n++) await announce(AnnounceEvent.paused, 1n);
    assert.equal((await row()).partial, 1);
    for (let n = 0; n < 2; n++) await announce(AnnounceEvent.none, 1n);
    assert.equal((await row()).partial, 0);
    for (let n = 0; n < 3; n++) await announce(AnnounceEvent.completed, 0n);
    await announce(AnnounceEvent.none, 0n);
    assert.deepEqual(await row(), { complete: 1, incomplete: 0, snatches: 1, partial: 0 });
    for (let n = 0; n < 2; n++) await announce(AnnounceEvent.stopped, 0n);
    assert.equal((await row()).complete, 0);
    await store.remove(torrent);
  });

  test("an announce of the future that is replayed counts as one of now", async () => {
    const request = new AnnounceRequest();
    copy20(torrent, 0, request.infoHash);
    request.address.copyFrom(testPeer(4, 2).address);
    request.port = testPeer(4, 2).port;
    request.left = 1n;
    const batch = new Batch({ peerIds: false });
    batch.addPast(request, environment.clock.unixSeconds + 100_000, false);
    const head = { gcInterval: 60, seed: 1, secret: Buffer.alloc(secretLength), mostAhead: 0, mostBehind: 0 };
    const bytes = batch.seal({ ...head, clock: environment.clock, peerLifetime: environment.peerLifetime });
    await port.send(bytes, ["EVAL", announceScript, "0", bytes, `test:${layoutVersion}:`]);
    assert.equal((await tester.scrapeOne(torrent, 4)).incomplete, 1);
    tester.advance(environment.peerLifetime + 1);
    assert.equal((await tester.announce(torrent, testPeer(4, 1))).incomplete, 1);
    await store.remove(torrent);
  });

  test("stamps and times of search that no tracker can have written do not keep peers", async () => {
    const now = environment.clock.unixSeconds;
    const [name, page] = pageOf(0, [now + 100_000, now + 50, now]) as [Buffer, Buffer];
    page.writeUInt32BE(0xffffffff);
    await send("HSET", "m", metaOf(environment, 3, 1), name, page);
    await tester.announce(torrent, testPeer(4, 1));
    assert.equal((await tester.scrapeOne(torrent, 4)).complete, 2);
    tester.advance(environment.peerLifetime + 100);
    await tester.announce(torrent, testPeer(4, 1));
    assert.equal((await tester.scrapeOne(torrent, 4)).complete, 0);
    await store.remove(torrent);
  });

  test("a swarm of any size is cleared of who has expired", async () => {
    const now = environment.clock.unixSeconds;
    const pages = 20_000;
    const fields: Buffer[] = [];
    for (let i = 0; i < pages; i++) fields.push(...pageOf(i, i % 2 ? [now - 7200] : [now - 7200, now]));
    await send("HSET", "m", metaOf(environment, 1.5 * pages, pages), ...fields);
    assert.equal(await store.expire(), pages);
    assert.equal((await tester.scrapeOne(torrent, 4)).complete, pages / 2);
    assert.ok(Number(await send("HLEN")) <= pages / 2 + 1);
    await store.remove(torrent);
  });

  test("a table that has lost nearly all of its peers at once has soon few pages", async () => {
    const now = environment.clock.unixSeconds;
    const pages = 3000;
    const fields: Buffer[] = [];
    for (let i = 0; i < pages; i++) fields.push(...pageOf(i, [now - 7200, now - 7200]));
    await send("HSET", "m", metaOf(environment, 2 * pages, pages), ...fields);
    for (let n = 0; n < 20; n++) await tester.announce(torrent, testPeer(4, 1), { numWant: 30 });
    assert.equal((await tester.scrapeOne(torrent, 4)).complete, 0);
    const meta = (await send("HGET", "m")) as Buffer;
    assert.equal(meta.readUInt16BE(32), 1);
    await store.remove(torrent);
  });

  test("a table has at most as many pages as two bytes can count", async () => {
    await send("HSET", "m", metaOf(environment, 65_535 * pageTarget, 65_535));
    await tester.announce(torrent, testPeer(4, 1), { left: 0n, numWant: 0 });
    const meta = (await send("HGET", "m")) as Buffer;
    assert.equal(meta.readUInt32BE(8), 65_535 * pageTarget + 1);
    assert.equal(meta.readUInt16BE(32), 65_535);
    await store.remove(torrent);
  });
});
