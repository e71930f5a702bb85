import assert from "node:assert/strict";
import { test } from "node:test";
import { MapStore } from "../../../test/support/map-store.ts";
import { Address } from "../../ip/address.ts";
import { createRandom } from "../../lib/clock.ts";
import { MemoryStore } from "../../storage/memory/memory-store.ts";
import type { PeerStore } from "../../storage/peer-store.ts";
import { peerOrderKeys } from "./peer-page.ts";
import { SwarmReader } from "./swarm-reader.ts";

const clock = { seconds: 10_000, unixSeconds: 0 };
const infoHash = new Uint8Array(20).fill(7);
const keys = Int32Array.from({ length: peerOrderKeys }, (_, n) => Math.imul(n + 1, 0x9e3779b1));

function memoryStore(peerIds = true): MemoryStore {
  const config = { gcInterval: 180, peerLifetime: 1800, maxPeers: 20_000, peerIds };
  return new MemoryStore({ clock, random: createRandom(1), config });
}

function fill(store: PeerStore, first: number, count: number, peerId: (n: number) => string): void {
  const flags = { seeder: false, partial: false, snatched: false, age: 5 };
  const peers = Array.from({ length: count }, (_, i) => {
    const n = first + i;
    const address = Address.parse(
      n % 3 === 0 ? `2001:db8:0:${n.toString(16)}::1` : `198.${51 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`,
    );
    return {
      infoHash,
      address,
      port: 1 + n,
      peerId: Buffer.from(peerId(n).padEnd(20, "-"), "latin1"),
      ...flags,
    };
  });
  void store.records!.replay({ peers });
}

/** Reads all pages. @param between  runs after each page */
async function readAll(store: PeerStore, limit: number, between: (page: number) => void = () => undefined) {
  const reader = new SwarmReader(store);
  const found: string[] = [];
  let pages = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await reader.peers({ infoHash, cursor, limit, isWhole: true, keys });
    found.push(...page.peers.map(({ address, port }) => `${address}:${port}`));
    assert.ok(page.peers.length <= limit + 1);
    pages++;
    if (page.next === undefined) return { found, pages };
    cursor = page.next;
    between(pages);
  }
}

for (const count of [1, 99, 100, 101, 2049, 9000]) {
  test(`the pages of ${count} peers have each peer once`, async () => {
    for (const store of [
      memoryStore(),
      new MapStore({ clock, random: createRandom(1), peerLifetime: 1800 }),
    ]) {
      fill(store, 1, count, () => "-qB4520-");
      const { found, pages } = await readAll(store, 100);
      assert.equal(found.length, count);
      assert.equal(new Set(found).size, count);
      assert.ok(pages >= count / 100);
    }
  });
}

test("no peer that stays is left out while others come", async () => {
  const store = memoryStore();
  fill(store, 1, 1000, () => "-qB4520-");
  const { found } = await readAll(store, 100, (page) => {
    if (page < 9) fill(store, 1000 * page + 1, 1000, () => "-qB4520-");
  });
  const ports = new Set(found.map((endpoint) => Number(endpoint.split(":").at(-1))));
  for (let n = 1; n <= 1000; n++) assert.ok(ports.has(1 + n), `peer ${n}`);
});

test("without the scope, addresses are networks, and cursors do not have them either", async () => {
  const store = memoryStore();
  fill(store, 1, 300, () => "-qB4520-");
  const reader = new SwarmReader(store);
  const page = await reader.peers({ infoHash, cursor: undefined, limit: 100, isWhole: false, keys });
  for (const { address, port, peerId, client } of page.peers) {
    assert.match(address, /^(198\.51\.[01]\.0\/24|2001:db8::\/48)$/);
    assert.deepEqual([port, peerId, client], [undefined, undefined, "qBittorrent"]);
  }
  assert.doesNotMatch(Buffer.from(page.next!, "base64url").toString(), /198\.|2001:/);
});

test("cursors of strangers are refused", async () => {
  const store = memoryStore();
  fill(store, 1, 3, () => "");
  const reader = new SwarmReader(store);
  const write = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  for (const cursor of [
    "x",
    "",
    write(7),
    write([1, 2, 3]),
    write(["x", null, null]),
    write([null, null]),
    write(["__proto__", "", 1]),
  ])
    await assert.rejects(
      reader.peers({ infoHash, cursor, limit: 10, isWhole: true, keys }),
      { code: "bad-cursor" },
      cursor,
    );
});

test("clients by name and version, whatever the peer ids hold", async () => {
  const store = memoryStore();
  const ids = [
    "-qB4520-",
    "-qB4520-",
    "-qB4510-",
    "-qB<b>x-",
    "-TR\x00\x1b[2-",
    "<script>alert(1)</sc",
    "-ZZ1234-",
  ];
  fill(store, 1, 70, (n) => ids[n % 7]!);
  const sample = await new SwarmReader(store).sampleClients(1000);
  assert.deepEqual(sample, {
    known: true,
    peers: 70,
    clients: [
      { name: "qBittorrent", peers: 40, versions: { 4520: 20, 4510: 10 } },
      { name: "other", peers: 20, versions: {} },
      { name: "Transmission", peers: 10, versions: {} },
    ],
  });
});

test("a store without peer ids says so", async () => {
  const store = memoryStore(false);
  fill(store, 1, 5, () => "-qB4520-");
  assert.deepEqual(await new SwarmReader(store).sampleClients(1000), { known: false, peers: 0, clients: [] });
});

test("a sample ends, and has at most some versions", async () => {
  const store = memoryStore();
  fill(store, 1, 9000, (n) => `-qB${n.toString(36).padStart(4, "0")}-`);
  const { peers, clients } = await new SwarmReader(store).sampleClients(3000);
  assert.ok(peers >= 3000 && peers < 6000, `${peers}`);
  assert.equal(Object.keys(clients[0]!.versions).length, 20);
});

test("failures have codes: a store without records, one whose program is away", async () => {
  class Plain extends MapStore {
    override readonly records = undefined as never;
  }
  const given = { clock, random: createRandom(1), peerLifetime: 1800 };
  await assert.rejects(new SwarmReader(new Plain(given)).find([infoHash]), { code: "unsupported" });
  await new SwarmReader(new Plain(given)).remove(infoHash);

  class Away extends MapStore {
    readiness: true | string = true;
    override remove(): Promise<void> {
      return Promise.reject(new Error("socket closed"));
    }
  }
  const away = new Away(given);
  const unavailable = { code: "storage-unavailable" };
  await assert.rejects(new SwarmReader(away).remove(infoHash), unavailable);
  away.readiness = "redis: gone";
  await assert.rejects(new SwarmReader(away).find([infoHash]), { ...unavailable, message: "redis: gone" });
});
