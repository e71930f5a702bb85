import assert from "node:assert/strict";
import { test } from "node:test";
import { invert } from "../../../test/support/chosen-networks.ts";
import { MapStore } from "../../../test/support/map-store.ts";
import { compareWithModel } from "../../../test/support/model.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { Address } from "../../ip/address.ts";
import { createRandom } from "../../lib/clock.ts";
import { drawKeys } from "../../lib/keyed-hash.ts";
import { StoreTester, type TestPeer, testInfoHash } from "../../storage/conformance/store-tester.ts";
import { type ConformanceEnvironment, storeConformance } from "../../storage/conformance.ts";
import { type PeerStore, Step } from "../../storage/peer-store.ts";
import { type Level, NetworksLevel, PrefixLevel } from "./level.ts";
import { Locality, type LocalityOrder } from "./locality.ts";
import { secretWords } from "./neighbourhood-swarms.ts";
import { hashPeer, peerHashKeys } from "./peer-lists.ts";

interface Setup {
  levels: readonly Level[];
  remoteQuota?: number;
  order?: LocalityOrder;
}

function createEnvironment(): ConformanceEnvironment {
  return { clock: { seconds: 100_000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
}

/** A store with locality around its announce step, and what it has counted by level. */
function decorate(store: PeerStore, environment: ConformanceEnvironment, setup: Setup) {
  const { levels, remoteQuota = 0.2, order = "near-first" } = setup;
  const { clock, peerLifetime } = environment;
  const near = new MapStore({ clock, peerLifetime, random: createRandom(3) });
  const counts = [...levels, undefined].map(() => 0);
  const given = counts.map((_, i) => ({
    inc: (by = 1) => {
      counts[i]! += by;
    },
  }));
  const secret = drawKeys(secretWords);
  const locality = new Locality({ levels, store: near, secret, remoteQuota, order, given });
  const step = locality.around((...args) => store.announce(...args));
  const decorated = new Proxy(store, {
    get(target, key) {
      if (key === "announce") return step;
      if (key === "expire") near.expire(); // as it does by itself
      const value = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { store: decorated, counts, near };
}

/** A store that responds asynchronously, to one announce after the other. */
class LateStore extends MapStore {
  #last: Promise<unknown> = Promise.resolve();

  override announce(...args: Parameters<MapStore["announce"]>): Promise<void> {
    const step = this.#last.then(() => super.announce(...args));
    this.#last = step;
    return step;
  }
}

const mapStore = (environment: ConformanceEnvironment, Store = MapStore): MapStore =>
  new Store({ ...environment, random: createRandom(1) });

/** Two levels that divide the addresses of the suite into groups of 4 and of 32. */
const groups = () => [new PrefixLevel("rack", 30, 126), new PrefixLevel("room", 27, 123)];

for (const [name, setup] of Object.entries({
  "everybody near": () => ({ levels: [new PrefixLevel("all", 0, 0)] }),
  "everybody near, no quota": () => ({ levels: [new PrefixLevel("all", 0, 0)], remoteQuota: 0 }),
  "many neighbourhoods, seeders first": () => ({ levels: groups(), order: "seeders-first" as const }),
  "nobody near": () => ({ levels: [NetworksLevel.parse("rack", { a: ["192.0.2.0/24"] })] }),
})) {
  storeConformance(
    `locality, ${name}`,
    (environment) => decorate(mapStore(environment), environment, setup()).store,
    { peerIds: true, capacity: true },
  );
}
storeConformance(
  "locality around a store that responds asynchronously",
  (environment) =>
    decorate(mapStore(environment, LateStore), environment, { levels: groups(), order: "seeders-first" })
      .store,
  { peerIds: true, capacity: true },
);

for (const [name, levels] of [
  ["one level", () => [new PrefixLevel("rack", 28, 124)]],
  ["two levels", groups],
] as const) {
  test(`responses to random announces are those of the model, ${name}`, async () => {
    const environment = createEnvironment();
    const { store } = decorate(mapStore(environment), environment, {
      levels: levels(),
      order: "seeders-first",
    });
    const model = new MapStore({ ...environment, random: createRandom(2) });
    await compareWithModel(store, model, { environment, seed: 5, steps: 4000 });
  });
}

const torrent = testInfoHash(1);
const seeding = { left: 0n };

function peer(address: string, port = 6881): TestPeer {
  return { address: Address.parse(address), port, id: new Uint8Array(20) };
}

/** Peers of 10.`rack`.0.0/16, from `from` on. */
const rack = (number: number, size: number, from = 1) =>
  Array.from({ length: size }, (_, n) => peer(`10.${number}.${(n + from) >> 8}.${(n + from) & 0xff}`));

const rackOf = (endpoint: string) => Number(endpoint.split(".")[1]);

function setUp(setup: Setup, Store = MapStore) {
  const environment = createEnvironment();
  const decorated = decorate(mapStore(environment, Store), environment, setup);
  const tester = new StoreTester(decorated.store, environment);
  const join = async (peers: readonly TestPeer[], options = {}) => {
    for (const one of peers) await tester.announce(torrent, one, options);
  };
  return { ...decorated, tester, join };
}

const racks = (options: Partial<Setup> = {}): Setup => ({
  levels: [new PrefixLevel("rack", 16, 48)],
  ...options,
});

test("nobody can choose an address in the neighbourhood of others", async () => {
  const { tester, join } = setUp({ levels: [new PrefixLevel("rack", 24, 96)], remoteQuota: 0 });
  const victim = peer("2001:db8:1:2:3:4:0:7");
  const neighbours = [1, 2, 3].map((n) => peer(`2001:db8:1:2:3:4:0:${n}`));
  // Where two words of a key are `w0 ^ w2 * 0x9e3779b1` and `w1 ^ w3 ...`, the third word makes up for the first.
  const strangers = Array.from({ length: 16 }, (_, n) => {
    const stranger = peer(`2001:1db${n.toString(16)}:1:2::1`);
    const [own, theirs] = [stranger.address.words, victim.address.words];
    const wanted = theirs[0]! ^ Math.imul(theirs[2]!, 0x9e3779b1);
    own[2] = Math.imul(own[0]! ^ wanted, invert(0x9e3779b1));
    return stranger;
  });
  await join([...strangers, ...neighbours]);
  const { peers } = await tester.announce(torrent, victim, { numWant: 3 });
  assert.deepEqual(
    [...peers].sort(),
    neighbours.map(({ address, port }) => `${address}:${port}`),
  );
});

test("peers cannot be chosen that look alike to the list of neighbours", () => {
  // All have one value where port and address are folded into each other before they are multiplied.
  const peers = Array.from({ length: 64 }, (_, n) => {
    const view = new DataView(new ArrayBuffer(6));
    view.setInt32(0, 0x12345678 ^ (n << 8), true);
    view.setUint16(4, 1000 ^ n, true);
    return view;
  });
  const random = createRandom(1);
  const draws = 2000;
  let collisions = 0;
  for (let draw = 0; draw < draws; draw++) {
    const keys = Int32Array.from({ length: peerHashKeys }, () => random.next());
    const sizes = new Map<number, number>();
    for (const view of peers) {
      const hash = hashPeer(view, 6, keys);
      const size = sizes.get(hash) ?? 0;
      collisions += size;
      sizes.set(hash, size + 1);
    }
  }
  const pairs = (draws * 64 * 63) / 2;
  assert.ok(collisions / pairs < 3 / 1024, `${collisions} of ${pairs} pairs collide; 2 of 1,024 may`);
});

for (const Store of [MapStore, LateStore]) {
  test(`a list holds neighbours, and the quota of others: ${Store.name}`, async () => {
    const { tester, join, counts } = setUp(racks(), Store);
    for (let n = 1; n <= 100; n++) for (const number of [1, 2, 3, 4]) await join(rack(number, 1, n));
    counts.fill(0);
    for (let time = 0; time < 20; time++) {
      const { peers, incomplete } = await tester.announce(torrent, peer("10.2.0.7"));
      assert.equal(incomplete, 400, "counts are the whole swarm's");
      assert.equal(new Set(peers).size, 50);
      assert.deepEqual(
        peers.map((one) => rackOf(one) === 2),
        peers.map((_, i) => i < 40),
        "40 neighbours, then 10 others",
      );
    }
    assert.deepEqual(counts, [800, 200]);
  });
}

test("places that neighbours do not take go to others, and the other way round", async () => {
  const { tester, join } = setUp(racks());
  await join(rack(1, 5));
  await join(rack(2, 200));
  const few = await tester.announce(torrent, peer("10.1.0.1"));
  assert.deepEqual(few.peers.slice(0, 4).map(rackOf), [1, 1, 1, 1], "the few neighbours there are");
  assert.deepEqual([few.peers.length, new Set(few.peers).size], [50, 50]);
  const many = await tester.announce(torrent, peer("10.2.0.1"), { numWant: 150 });
  assert.equal(new Set(many.peers).size, 150, "the others are fewer than the quota");
});

test("a few others are found among many neighbours as often as chance has it, and fill no more than the quota", async () => {
  const { tester, join } = setUp(racks({ remoteQuota: 0.1 }));
  await join(rack(1, 100));
  await join(rack(2, 20));
  for (let time = 0; time < 20; time++) {
    const { peers } = await tester.announce(torrent, peer("10.1.0.1"), { numWant: 30 });
    assert.equal(new Set(peers).size, 30);
    assert.ok(peers.filter((one) => rackOf(one) === 2).length <= 3);
  }
  const { peers } = await tester.announce(torrent, peer("10.1.0.1"), { numWant: 119 });
  assert.equal(peers.filter((one) => rackOf(one) === 2).length, 20);
});

test("near first lists near seeders, near leechers, then far ones; seeders first lists all seeders before", async () => {
  for (const [order, expected] of [
    ["near-first", ["1s", "1l", "2s", "2l"]],
    ["seeders-first", ["1s", "2s", "1l", "2l"]],
  ] as const) {
    const { tester, join } = setUp(racks({ order }));
    await join([...rack(1, 2), ...rack(2, 2)], seeding);
    await join([...rack(1, 2, 101), ...rack(2, 20, 101)]);
    const { peers } = await tester.announce(torrent, peer("10.1.9.9"), { numWant: 20 });
    assert.equal(peers.length, 20);
    const kinds = peers.map((one) => `${rackOf(one)}${Number(one.split(/[.:]/)[3]) > 100 ? "l" : "s"}`);
    assert.deepEqual([...new Set(kinds)], expected, order);
    assert.deepEqual(
      kinds,
      kinds.toSorted((a, b) => expected.indexOf(a as never) - expected.indexOf(b as never)),
    );
  }
});

test("a seeder gets leechers only, near ones first", async () => {
  for (const order of ["near-first", "seeders-first"] as const) {
    const { tester, join } = setUp(racks({ order }));
    await join([...rack(1, 9), ...rack(2, 9)], seeding);
    await join([...rack(1, 9, 101), ...rack(2, 9, 101)]);
    const { peers } = await tester.announce(torrent, peer("10.1.9.9"), { ...seeding, numWant: 12 });
    assert.deepEqual(peers.map(rackOf), [...Array(9).fill(1), 2, 2, 2]);
    for (const one of peers) assert.ok(Number(one.split(/[.:]/)[3]) > 100);
  }
});

test("racks that came one after the other are not cut off", async () => {
  const { tester, join, counts } = setUp(racks());
  await join(rack(1, 250));
  await join(rack(2, 250));
  counts.fill(0);
  for (let time = 0; time < 100; time++) await tester.announce(torrent, peer("10.1.0.1"));
  assert.ok(counts[1]! > 0.8 * 1000, `${counts}`);
});

test("a list of one is a neighbour", async () => {
  const { tester, join } = setUp(racks());
  await join([...rack(1, 5), ...rack(2, 100)]);
  for (let time = 0; time < 20; time++) {
    const { peers } = await tester.announce(torrent, peer("10.1.0.1"), { numWant: 1 });
    assert.deepEqual(peers.map(rackOf), [1]);
  }
});

test("each level leaves its quota to the next one", async () => {
  const levels = [
    new PrefixLevel("rack", 24, 56),
    new PrefixLevel("room", 16, 48),
    new PrefixLevel("site", 12, 32),
  ];
  const { tester, join, counts } = setUp({ levels });
  const all = [0, 1, 2, 3, 16, 32].flatMap((second) =>
    [0, 1, 2].flatMap((third) =>
      Array.from({ length: 80 }, (_, n) => peer(`10.${second}.${third}.${n + 1}`)),
    ),
  );
  await join(all.toSorted((a, b) => a.address.bytes[3]! - b.address.bytes[3]!));
  counts.fill(0);
  for (let time = 0; time < 30; time++) {
    const { peers } = await tester.announce(torrent, peer("10.1.1.1"));
    assert.equal(new Set(peers).size, 50);
    const where = peers.map((one) => {
      const [, second, third] = one.split(".").map(Number);
      if (second === 1) return third === 1 ? 0 : 1;
      return second! < 16 ? 2 : 3;
    });
    assert.deepEqual(where.slice(0, 40), Array(40).fill(0), "40 of the rack");
    assert.ok(where.filter((one) => one >= 2).length <= 10);
  }
  const [rackCount, roomCount, siteCount, restCount] = counts;
  assert.equal(rackCount, 1200);
  assert.equal(rackCount! + roomCount! + siteCount! + restCount!, 1500);
  for (const [count, fair] of [
    [roomCount, 240],
    [siteCount, 30],
    [restCount, 30],
  ] as const) {
    assert.ok(count! > fair * 0.7 && count! < fair * 1.3, `${counts}`);
  }
});

test("an address in no network has no neighbours, and is a neighbour of no peer", async () => {
  const networks = { a: ["10.1.0.0/16", "2001:db8:1::/48"], b: ["10.2.0.0/16", "10.1.128.0/17"] };
  const { tester, join, near } = setUp({ levels: [NetworksLevel.parse("rack", networks)] });
  await join(rack(1, 20));
  await join(rack(3, 20));
  await join([peer("10.1.200.1"), ...rack(2, 20)]);
  assert.equal(near.count(), 41);
  const inside = await tester.announce(torrent, peer("10.1.200.1"), { numWant: 20 });
  assert.deepEqual(inside.peers.slice(0, 16).map(rackOf), Array(16).fill(2), "the longest prefix is b's");
  const outside = await tester.announce(torrent, peer("10.3.0.1"), { numWant: 60 });
  assert.equal(new Set(outside.peers).size, 60);
});

test("who stops is no neighbour any more; steps are taken by themselves", async () => {
  const { tester, join, near } = setUp(racks());
  await join(rack(1, 30));
  await join(rack(1, 10), { event: AnnounceEvent.stopped });
  await tester.announce(torrent, peer("10.1.0.99"), { step: Step.select });
  assert.equal(near.count(), 20);
  await tester.announce(torrent, peer("10.1.0.99"), { step: Step.apply });
  assert.equal(near.count(), 21);
  await tester.announce(torrent, peer("10.1.0.99"), { event: AnnounceEvent.completed });
  for (const { snatches } of near.summaries()) assert.equal(snatches, 0, "snatches are the whole swarm's");
});

test("neighbourhoods of other torrents, levels and families are others", async () => {
  const levels = [new PrefixLevel("a", 16, 48), new PrefixLevel("b", 16, 48)];
  const { tester, near } = setUp({ levels });
  await tester.announce(torrent, peer("10.1.0.1"));
  await tester.announce(testInfoHash(2), peer("10.1.0.1"));
  await tester.announce(torrent, peer("10.2.0.1"));
  await tester.announce(torrent, peer("2001:db8::1"));
  await tester.announce(torrent, peer("2001:db8:1::1"));
  assert.equal(near.count(), 10);
  assert.equal(near.torrents.size, 10);
});

test("a neighbourhood stays the same when others are listed anew, and is another with other networks", () => {
  const before = NetworksLevel.parse("rack", { a: ["10.1.0.0/16"], b: ["10.2.0.0/16"] });
  const after = NetworksLevel.parse("rack", { b: ["10.2.0.0/16"], c: ["10.3.0.0/16"], a: ["10.4.0.0/16"] });
  const key = (level: Level, address: string) => {
    level.enter(Address.parse(address));
    return [...level.key];
  };
  assert.deepEqual(key(after, "10.2.0.1"), key(before, "10.2.0.1"));
  assert.notDeepEqual(key(after, "10.4.0.1"), key(before, "10.1.0.1"));
  const half = new PrefixLevel("rack", 17, 64);
  assert.notDeepEqual(key(half, "10.1.0.1"), key(new PrefixLevel("rack", 16, 64), "10.1.0.1"));
});

test("neighbours that only the store knows are listed too, once", async () => {
  const environment = createEnvironment();
  const whole = mapStore(environment);
  const { store, counts } = decorate(whole, environment, racks());
  const [decorated, direct] = [store, whole].map((one) => new StoreTester(one, environment));
  for (const one of rack(1, 10)) await direct!.announce(torrent, one);
  for (const one of rack(1, 10, 6)) await decorated!.announce(torrent, one);
  for (const one of rack(2, 30)) await direct!.announce(torrent, one);
  counts.fill(0);
  const { peers } = await decorated!.announce(torrent, peer("10.1.0.15"));
  assert.equal(new Set(peers).size, 44);
  assert.equal(peers.filter((one) => rackOf(one) === 1).length, 14);
});
