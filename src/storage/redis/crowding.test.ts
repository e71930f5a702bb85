import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import { type RedisServer, startRedisServer, withoutRedis } from "../../../test/support/redis-server.ts";
import { Address } from "../../ip/address.ts";
import { createRandom } from "../../lib/clock.ts";
import { StoreTester, type TestPeer, testInfoHash, testPeer } from "../conformance/store-tester.ts";
import { secretLength } from "./batch.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import type { RedisPort } from "./redis-port.ts";
import { RedisStore } from "./redis-store.ts";
import { layoutVersion, pageCapacity, pageTarget } from "./script.ts";

const prime = 67_108_859;
const peerLength = 22;

/** The hash of the script for an IPv6 endpoint, for an attacker who knows the salt of the torrent. */
function hashWith(salt: Buffer): (endpoint: Buffer) => number {
  const [first, second] = [salt.readUInt32BE(0), salt.readUInt32BE(4)];
  const start = Math.floor(first / 2 ** 26) * 64 + Math.floor(second / 2 ** 26);
  const multipliers = [first % prime, second % prime];
  while (multipliers.length < 6) multipliers.push((multipliers.at(-2)! * multipliers.at(-1)! + 1) % prime);
  return (endpoint) => {
    const sum = multipliers.reduce((all, factor, n) => all + factor * endpoint.readUIntBE(3 * n, 3), start);
    return ((sum % prime) * (sum % prime)) % prime;
  };
}

/** A peer of one /64, whose last bytes a client chooses. */
function endpointOf(high: number, low: number, port: number): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeUInt32BE(0x20010db8);
  bytes.writeUInt32BE(high >>> 0, 8);
  bytes.writeUInt32BE(low >>> 0, 12);
  bytes.writeUInt16BE(port & 0xffff || 1, 16);
  return bytes;
}

function peerOf(endpoint: Buffer): TestPeer {
  const address = new Address();
  address.set(6, endpoint, 0);
  return { address, port: endpoint.readUInt16BE(16), id: new Uint8Array(20) };
}

describe("pages of the redis store under chosen endpoints", { skip: withoutRedis }, () => {
  const environment = { clock: { seconds: 1000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
  const changes: unknown[] = [];
  let server: RedisServer;
  let port: RedisPort;
  let store: RedisStore;
  let tester: StoreTester;
  before(async () => {
    server = await startRedisServer();
    const config = { ...redisConfig, broker: [server.url], peerLifetime: environment.peerLifetime };
    port = await createNodeRedisPort(config, () => undefined);
    await port.connect();
    store = new RedisStore({
      clock: environment.clock,
      random: createRandom(1),
      config,
      createPort: createNodeRedisPort,
      secret: Buffer.alloc(secretLength, 1),
      onChange: (gone) => changes.push(gone),
      onBadKey: (key, problem) => changes.push(key, problem),
    });
    await store.start();
    tester = new StoreTester(store, environment);
  });
  after(async () => {
    store.stop();
    port.close();
    await server.stop();
  });
  const keyOf = (torrent: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from(`test:${layoutVersion}:`), torrent]);

  /** Peers in each page of IPv6 leechers. */
  async function pagesOf(torrent: Uint8Array): Promise<number[]> {
    const key = keyOf(torrent);
    const fields = (await port.send(key, ["HGETALL", key])) as Buffer[];
    return fields
      .filter((_, n) => n % 2 === 1 && fields[n - 1]![0] === 4 && fields[n - 1]!.length === 3)
      .map((page) => (page.length - 4) / peerLength);
  }

  async function announceAll(torrent: Uint8Array, endpoints: readonly Buffer[]): Promise<void> {
    for (let at = 0; at < endpoints.length; at += 512) {
      const some = endpoints.slice(at, at + 512);
      await Promise.all(some.map((one) => tester.announce(torrent, peerOf(one), { numWant: 0 })));
    }
  }

  test("endpoints that differ in few bits spread like any others", async () => {
    // For a hash that multiplies every word by one odd salt with this low byte, all of them share a page.
    const torrent = testInfoHash(1);
    const endpoints = Array.from({ length: 8192 }, (_, n) => {
      const [first, second] = [n & 255, n >> 8];
      const product = (first * 77) & 255;
      const low = 0x1abcdef0 + second * 2 ** 24 - product * 2 ** 24 - product * 256;
      return endpointOf(0x12345678 + first * 2 ** 24, low, 50_000 - (((second * 77) & 255) << 8));
    });
    await announceAll(torrent, endpoints);
    const pages = await pagesOf(torrent);
    assert.equal(
      pages.reduce((sum, peers) => sum + peers, 0),
      (await tester.scrapeOne(torrent, 6)).incomplete,
    );
    assert.ok(Math.max(...pages) < 4 * pageTarget, `the fullest page has ${Math.max(...pages)} peers`);
    await store.remove(torrent);
  });

  test("a page that a client crowds loses its oldest peers, and nobody else notices", async () => {
    const [torrent, other] = [testInfoHash(2), testInfoHash(3)];
    await tester.announce(torrent, testPeer(6, 1));
    await tester.announce(other, testPeer(6, 1));
    const key = keyOf(torrent);
    const meta = (await port.send(key, ["HGET", key, "m"])) as Buffer;
    const hash = hashWith(meta.subarray(40));
    const chosen: Buffer[] = [];
    for (let n = 0; chosen.length < 1500; n++) {
      const endpoint = endpointOf(n, 1, 6881);
      if (hash(endpoint) % 256 === 3) chosen.push(endpoint);
    }
    await announceAll(torrent, chosen);
    tester.advance(1);
    await announceAll(torrent, chosen.slice(0, 100));
    const count = async (): Promise<number> => (await tester.scrapeOne(torrent, 6)).incomplete;
    const pages = await pagesOf(torrent);
    assert.ok(pages.includes(pageCapacity), "one page is full");
    assert.ok(Math.max(...pages) === pageCapacity, `the fullest page has ${Math.max(...pages)} peers`);
    assert.equal(
      pages.reduce((sum, peers) => sum + peers, 0),
      await count(),
    );
    const { peers } = await tester.announce(torrent, testPeer(6, 1), { numWant: 1000 });
    assert.equal(peers.length, (await count()) - 1);
    assert.equal(new Set(peers).size, peers.length);

    tester.advance(environment.peerLifetime - 1);
    await announceAll(torrent, chosen.slice(0, 10));
    tester.advance(2);
    await Promise.all([
      tester.announce(torrent, testPeer(6, 2), { numWant: 1000 }),
      tester.announce(other, testPeer(6, 2)),
    ]);
    await tester.expire();
    assert.equal(await count(), 11);
    assert.deepEqual(changes, []);
    await store.remove(torrent);
  });

  test("two crowded pages that become one keep the newest peers", async () => {
    const torrent = testInfoHash(4);
    await tester.announce(torrent, testPeer(6, 1));
    const key = keyOf(torrent);
    const meta = (await port.send(key, ["HGET", key, "m"])) as Buffer;
    const hash = hashWith(meta.subarray(40));
    const others: Buffer[] = [];
    const chosen: Buffer[] = [];
    for (let n = 0; chosen.length < 900 || others.length < 12_000; n++) {
      const endpoint = endpointOf(n, 2, 6881);
      if (hash(endpoint) % 128 === 3) {
        if (chosen.length < 900) chosen.push(endpoint);
      } else if (others.length < 12_000) others.push(endpoint);
    }
    await announceAll(torrent, others);
    await announceAll(torrent, chosen);
    tester.advance(environment.peerLifetime - 100);
    await announceAll(torrent, chosen);
    tester.advance(200);
    for (let n = 0; n < 30; n++) await tester.announce(torrent, testPeer(6, 1), { numWant: 50 });
    await tester.expire();
    const pages = await pagesOf(torrent);
    assert.ok(Math.max(...pages) <= pageCapacity, `${pages}`);
    assert.equal(
      pages.reduce((sum, peers) => sum + peers, 0),
      (await tester.scrapeOne(torrent, 6)).incomplete,
    );
    assert.deepEqual(changes, []);
    await store.remove(torrent);
  });
});
