import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import { type RedisServer, startRedisServer, withoutRedis } from "../../../test/support/redis-server.ts";
import { toHex } from "../../bittorrent/info-hash.ts";
import { Address } from "../../ip/address.ts";
import { createRandom } from "../../lib/clock.ts";
import { StoreTester, testInfoHash } from "../conformance/store-tester.ts";
import { MemoryStore } from "../memory/memory-store.ts";
import { type PeerRecord, type RecordPage, replayAll, walk } from "../records.ts";
import { secretLength } from "./batch.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import { RedisStore } from "./redis-store.ts";

const torrent = testInfoHash(1);

/** How many torrents and peers a walk meets, and the snatches. */
async function countAll(step: (cursor?: string) => Promise<RecordPage>): Promise<number[]> {
  const counts = [0, 0, 0] as [number, number, number];
  for await (const page of walk(step)) {
    for (const { snatches } of page.torrents) {
      counts[0]++;
      counts[2] += snatches;
    }
    counts[1] += [...page.peers].length;
  }
  return counts;
}

/** Peer `n` of a torrent, with an address of its own. */
function numbered(n: number, changes: Partial<PeerRecord> = {}): PeerRecord {
  const address = new Address();
  address.set(4, Uint8Array.of(10, n >> 16, (n >> 8) & 255, n & 255), 0);
  const flags = { seeder: false, partial: false, snatched: false };
  return { infoHash: torrent, address, port: 6881, peerId: undefined, age: 0, ...flags, ...changes };
}

describe("records of the Redis store", { skip: withoutRedis }, () => {
  let server: RedisServer;
  let stores = 0;
  const environment = { clock: { seconds: 50_000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
  before(async () => {
    server = await startRedisServer();
  });
  after(() => server.stop());

  async function startStore(): Promise<RedisStore> {
    const store = new RedisStore({
      clock: environment.clock,
      random: createRandom(++stores),
      config: { ...redisConfig, broker: [server.url], keyPrefix: `records${stores}:`, peerLifetime: 1800 },
      createPort: createNodeRedisPort,
      secret: Buffer.alloc(secretLength, 1),
    });
    await store.start();
    return store;
  }

  async function replay(store: RedisStore, from: number, to: number, seeder = false): Promise<void> {
    for (let n = from; n < to; n += 2000) {
      const length = Math.min(2000, to - n);
      await store.records.replay({ peers: Array.from({ length }, (_, i) => numbered(n + i, { seeder })) });
    }
  }

  test("a big torrent comes once, peer by peer, while its tables grow and shrink and roles change", async () => {
    const store = await startStore();
    const tester = new StoreTester(store, environment);
    const announce = async (n: number, options: object): Promise<unknown> => {
      const { address, port } = numbered(n);
      return tester.announce(torrent, { address, port, id: new Uint8Array(20) }, { numWant: 0, ...options });
    };
    try {
      // Few seeders and many leechers: pages of the smaller table are shared by several cells.
      await replay(store, 0, 200, true);
      await replay(store, 200, 12_000);
      for (const method of ["peers", "export"] as const) {
        const seen = new Map<string, number>();
        let pages = 0;
        const step = (cursor?: string): Promise<RecordPage> =>
          method === "peers" ? store.records.peers(torrent, cursor) : store.records.export(cursor);
        for await (const page of walk(step)) {
          let peers = 0;
          for (const { address } of page.peers) {
            seen.set(`${address}`, (seen.get(`${address}`) ?? 0) + 1);
            peers++;
          }
          assert.ok(peers < 3500, `${peers} peers in a page`);
          pages++;
          // What is below 4,000 stays, in one role or the other.
          for (let n = 0; n < 150; n++) {
            await announce((n * 31 + pages * 7) % 4000, { left: BigInt(n % 2) });
            if (method === "peers") await announce(4000 + pages * 500 + n, { event: 3 });
          }
          if (method === "export" && pages === 2) await replay(store, 20_000, 32_000);
        }
        assert.ok(pages >= 4, `${pages} pages`);
        for (let n = 0; n < 4000; n++) assert.equal(seen.get(`${numbered(n).address}`), 1, `${method} ${n}`);
      }
    } finally {
      store.stop();
    }
  });

  test("peers and snatches travel from the memory store and back", async () => {
    const create = () =>
      new MemoryStore({
        clock: environment.clock,
        random: createRandom(1),
        config: { gcInterval: 180, peerLifetime: 1800, maxPeers: 20_000, peerIds: false },
      });
    const [from, to, store] = [create(), create(), await startStore()];
    try {
      const infoHashes = Array.from({ length: 300 }, (_, n) => testInfoHash(100 + n));
      const torrents = infoHashes.map((infoHash, n) => ({ infoHash, snatches: n % 3 }));
      const peers = Array.from({ length: 9000 }, (_, n) =>
        numbered(n, {
          infoHash: infoHashes[n % 250]!,
          seeder: n % 2 === 0,
          partial: n % 3 === 0,
          age: n % 1700,
        }),
      );
      assert.equal(from.records.replay({ torrents, peers }).taken, 9000);
      const lines = async (step: (cursor?: string) => RecordPage | Promise<RecordPage>) => {
        const all: string[] = [];
        for await (const page of walk(step)) {
          for (const { infoHash, ...counts } of page.torrents)
            all.push(toHex(infoHash) + JSON.stringify(counts));
          for (const { infoHash, address, port, seeder, partial, age } of page.peers)
            all.push(`${toHex(infoHash)} ${address}:${port} ${seeder} ${partial} ${age}`);
        }
        return all.sort();
      };
      const expected = await lines((cursor) => from.records.export(cursor));
      const copied = { taken: 9000, expired: 0, refused: 0 };
      assert.deepEqual(
        await replayAll(
          store.records,
          walk((cursor) => from.records.export(cursor)),
        ),
        copied,
      );
      assert.deepEqual([...new Set(await lines((cursor) => store.records.export(cursor)))], expected);
      assert.equal(
        (
          await replayAll(
            to.records,
            walk((cursor) => store.records.export(cursor)),
          )
        ).expired,
        0,
      );
      assert.deepEqual(await lines((cursor) => to.records.export(cursor)), expected);
    } finally {
      store.stop();
    }
  });

  test("a full Redis refuses peers and loses no snatches that it has", async () => {
    const store = await startStore();
    try {
      await store.records.replay({ torrents: [{ infoHash: torrent, snatches: 4 }], peers: [numbered(1)] });
      await server.cli("CONFIG", "SET", "maxmemory", "1");
      const torrents = [{ infoHash: torrent, snatches: 9 }];
      const result = await store.records.replay({ torrents, peers: [numbered(1), numbered(2), numbered(3)] });
      assert.deepEqual(result, { taken: 1, expired: 0, refused: 2 });
      await server.cli("CONFIG", "SET", "maxmemory", "0");
      assert.deepEqual(await countAll((cursor) => store.records.export(cursor)), [1, 1, 4]);
    } finally {
      await server.cli("CONFIG", "SET", "maxmemory", "0");
      store.stop();
    }
  });

  test("keys that hold no torrent are passed over, and made-up cells are refused", async () => {
    const store = await startStore();
    try {
      await store.records.replay({ peers: [numbered(1)] });
      const [key] = (await server.cli("--raw", "KEYS", `records${stores}:*`)).split("\n") as [string];
      const prefix = key.slice(0, key.indexOf(":", `records${stores}:`.length) + 1);
      await server.cli("HSET", `${prefix}${"x".repeat(20)}`, "m", "garbage");
      await server.cli("SET", `${prefix}${"y".repeat(20)}`, "no hash");
      assert.deepEqual(await countAll((cursor) => store.records.torrents(cursor)), [1, 0, 0]);
      assert.deepEqual(await countAll((cursor) => store.records.export(cursor)), [1, 1, 0]);
      assert.deepEqual([...(await store.records.peers(new Uint8Array(20).fill(0x79))).peers], []);
      for (const cursor of [
        "redis.0",
        "redis.3.0",
        "redis.8.8",
        "redis.1048577.0",
        "redis.99999999999999999999.5",
      ])
        await assert.rejects(store.records.peers(torrent, cursor), RangeError, cursor);
      for (const cursor of ["redis.7.0", "redis.0.0.3.1.AAAA", `redis.0.0.4.1.${"A".repeat(26)}`])
        await assert.rejects(store.records.export(cursor), RangeError, cursor);
    } finally {
      store.stop();
    }
  });
});
