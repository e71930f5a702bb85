import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkMemory } from "../../../test/support/check-memory.ts";
import { MapStore } from "../../../test/support/map-store.ts";
import { compareWithModel } from "../../../test/support/model.ts";
import { checkOwnPeers } from "../../../test/support/own-peers.ts";
import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { PeerList } from "../../bittorrent/peer-list.ts";
import { Address } from "../../ip/address.ts";
import { createRandom } from "../../lib/clock.ts";
import { storeConformance } from "../conformance.ts";
import { Step } from "../peer-store.ts";
import { Expiry } from "./expiry.ts";
import {
  ArenaControl,
  arenaWords,
  Control,
  headerOffsets,
  listWords,
  mostPeers,
  Page,
  pagePeers,
  peerWords,
  reserveMemory,
  type StoreMemory,
} from "./layout.ts";
import { MemoryStore, type MemoryStoreConfig } from "./memory-store.ts";
import { TorrentSwarms } from "./torrent-swarms.ts";

const config: MemoryStoreConfig = { gcInterval: 180, peerLifetime: 1800, maxPeers: 10_000, peerIds: false };

for (const [name, peerIds, tags] of [
  ["memory store", false, false],
  ["memory store with peer ids", true, false],
  ["memory store with peer ids and tags", true, true],
] as const) {
  storeConformance(
    name,
    ({ clock, peerLifetime, capacity }) =>
      new MemoryStore({
        clock,
        random: createRandom(1),
        config: { ...config, peerLifetime, maxPeers: capacity ?? 10_000, peerIds, tags },
      }),
    { peerIds, capacity: true },
  );
}

/** Announces to a store of its own, with numbers for torrents and peers. */
class Announcer {
  readonly clock = { seconds: 10_000, unixSeconds: 0 };
  readonly store: MemoryStore;
  readonly request = new AnnounceRequest();
  readonly response: AnnounceResponse;

  constructor(changes: Partial<MemoryStoreConfig> = {}, pages?: number) {
    const all = { ...config, ...changes };
    const memory: StoreMemory = reserveMemory(all.maxPeers, all, all.peerLifetime + all.gcInterval);
    const peers4 =
      pages === undefined
        ? memory.peers4
        : new SharedArrayBuffer((1 + pages) * pagePeers * peerWords(4, all) * 4);
    this.store = new MemoryStore({
      clock: this.clock,
      random: createRandom(1),
      config: all,
      memory: { ...memory, peers4 },
      expires: true,
    });
    const bytes = new Uint8Array(4096);
    this.response = new AnnounceResponse(new PeerList(4, bytes), new PeerList(6, bytes));
  }

  announce(torrent: number, peer: number, event: AnnounceEvent = AnnounceEvent.none, left = 1n): void {
    const { request } = this;
    request.infoHashWords.fill(torrent);
    request.address.copyFrom(
      Address.parse(
        peer < 0
          ? `2001:db8::${(-peer).toString(16)}`
          : `10.${peer >> 16}.${(peer >> 8) & 255}.${peer & 255}`,
      ),
    );
    request.port = 1024 + (Math.abs(peer) % 5);
    request.event = event;
    request.left = left;
    this.store.announce(request, this.response, Step.apply);
  }
}

/** Pages of the IPv4 peers that hold any block. */
function pagesInUse(memory: StoreMemory): number {
  const pages = new Int32Array(memory.pages4);
  let inUse = 0;
  for (let at = 0; at < pages.length; at += Page.words) {
    if (pages.subarray(at + Page.used, at + Page.words).some((word) => word !== 0)) inUse++;
  }
  return inUse;
}

describe("memory store", () => {
  for (const [name, peers, torrents, steps] of [
    ["many small swarms", 40, 12, 3000],
    ["swarms that cross the classes with and without an index", 1500, 2, 12_000],
  ] as const) {
    test(`does what the model does: ${name}`, async () => {
      for (const seed of [1, 2, 3]) {
        const environment = { clock: { seconds: 50_000, unixSeconds: 0 }, peerLifetime: 1800 };
        const store = new MemoryStore({
          clock: environment.clock,
          random: createRandom(seed),
          config: { ...config, peerLifetime: environment.peerLifetime },
        });
        const model = new MapStore({ ...environment, random: createRandom(seed) });
        await compareWithModel(store, model, { environment, seed, steps, peers, torrents });
        checkMemory(store.memory);
      }
    });
  }

  test("finds every torrent while the table grows by single buckets", () => {
    const announcer = new Announcer();
    for (let torrent = 1; torrent <= 5000; torrent++) announcer.announce(torrent, 1);
    assert.equal(announcer.store.statistics().swarms, 5000);
    assert.equal(new Int32Array(announcer.store.memory.control)[Control.buckets], 5000);
    assert.deepEqual(checkMemory(announcer.store.memory), { torrents: 5000, peers: 5000 });
    for (let torrent = 1; torrent <= 5000; torrent++) announcer.announce(torrent, 1, AnnounceEvent.stopped);
    assert.deepEqual(checkMemory(announcer.store.memory), { torrents: 0, peers: 0 });
  });

  test("uses freed blocks again: churn does not eat the arena", () => {
    const announcer = new Announcer();
    const control = new Int32Array(announcer.store.memory.control);
    const tops: number[] = [];
    for (let round = 0; round < 20; round++) {
      for (let peer = 1; peer <= 2000; peer++) announcer.announce(1 + (peer % 7), peer);
      for (let peer = 1; peer <= 2000; peer++)
        announcer.announce(1 + (peer % 7), peer, AnnounceEvent.stopped);
      tops.push(control[Control.arenas + ArenaControl.top]!);
    }
    assert.equal(tops.at(-1), tops[0]);
    assert.deepEqual(checkMemory(announcer.store.memory), { torrents: 0, peers: 0 });
  });

  test("gives the pages of big swarms to small ones", () => {
    const announcer = new Announcer({ maxPeers: 1100 }, 6);
    for (let peer = 1; peer <= 1100; peer++) announcer.announce(1, peer);
    for (let peer = 1; peer <= 1100; peer++) announcer.announce(1, peer, AnnounceEvent.stopped);
    for (let round = 0; round < 3; round++) {
      for (let torrent = 1; torrent <= 1100; torrent++) announcer.announce(torrent, round);
      checkMemory(announcer.store.memory);
      announcer.clock.seconds += config.peerLifetime;
      assert.equal(announcer.store.expire(), 1100);
    }
    assert.equal(announcer.store.statistics().refused, 0);
  });

  test("keeps a swarm whole whose header gets lists of pages and loses them again", () => {
    const most = (headerOffsets + 2 * listWords + 1) * pagePeers;
    const announcer = new Announcer({ maxPeers: most });
    const sizes = [1, 2, 3].flatMap((n) => [headerOffsets + (n - 2) * listWords, n * listWords]);
    const marks = new Set(sizes.flatMap((pages) => [pages * pagePeers, pages * pagePeers + 1]));
    for (let peer = 1; peer <= most; peer++) {
      announcer.announce(1, peer, AnnounceEvent.none, BigInt(peer % 3));
      if (marks.has(peer)) checkMemory(announcer.store.memory);
    }
    assert.deepEqual(checkMemory(announcer.store.memory), { torrents: 1, peers: most });
    for (let peer = most; peer > 0; peer--) {
      announcer.announce(1, peer, AnnounceEvent.stopped);
      if (marks.has(peer) || peer === 100_000 || peer === 1000) checkMemory(announcer.store.memory);
    }
    assert.deepEqual(checkMemory(announcer.store.memory), { torrents: 0, peers: 0 });
    assert.equal(pagesInUse(announcer.store.memory), 0);
  });

  for (const pages of [3, 40, headerOffsets + 140, headerOffsets + 145]) {
    test(`loses nothing but the peers that it refuses where ${pages} pages are all`, () => {
      const announcer = new Announcer({ maxPeers: 400_000 }, pages);
      const { store } = announcer;
      let peers = 0;
      const control = new Int32Array(store.memory.control);
      while (control[Control.refused] === 0) announcer.announce(1, ++peers);
      const stored = { torrents: 1, peers: peers - 1 };
      assert.deepEqual(checkMemory(store.memory), stored);
      assert.ok(peers > (pages * pagePeers) / 2, `${peers} peers`);
      for (let more = 1; more <= 600; more++) announcer.announce(1, peers + more);
      for (let peer = 1; peer < peers; peer += 7) announcer.announce(1, peer, AnnounceEvent.none, 0n);
      assert.ok(checkMemory(store.memory).peers >= stored.peers);
      for (let peer = 1; peer <= peers + 600; peer++) announcer.announce(1, peer, AnnounceEvent.stopped);
      assert.deepEqual(checkMemory(store.memory), { torrents: 0, peers: 0 });
      assert.equal(pagesInUse(store.memory), 0);
    });
  }

  test("needs no more memory after long churn than the swarms that live", () => {
    const random = createRandom(7);
    const announcer = new Announcer({ maxPeers: 400_000 });
    const sizes = new Array<number>(300).fill(0);
    const resize = (torrent: number, size: number, on: Announcer, from: number) => {
      for (let peer = from + 1; peer <= size; peer++) on.announce(torrent, peer);
      for (let peer = from; peer > size; peer--) on.announce(torrent, peer, AnnounceEvent.stopped);
    };
    for (let step = 0; step < 6000; step++) {
      const torrent = random.next() % sizes.length;
      const size = random.next() % 2 ** (random.next() % 11);
      resize(torrent + 1, size, announcer, sizes[torrent]!);
      sizes[torrent] = size;
    }
    checkMemory(announcer.store.memory);
    const fresh = new Announcer({ maxPeers: 400_000 });
    sizes.forEach((size, torrent) => {
      resize(torrent + 1, size, fresh, 0);
    });
    const [used, needed] = [announcer, fresh].map(({ store }) => pagesInUse(store.memory)) as [
      number,
      number,
    ];
    assert.ok(used <= 1.25 * needed, `${used} pages instead of ${needed}`);
  });

  test("expires in steps what one pass expires", () => {
    const clock = { seconds: 10_000, unixSeconds: 0 };
    const memory = reserveMemory(10_000, config, config.peerLifetime);
    const announcer = new Announcer();
    const store = new MemoryStore({ clock, random: createRandom(1), config, memory });
    Object.assign(announcer, { store, clock });
    for (let peer = 1; peer <= 3000; peer++)
      announcer.announce(peer % 4, peer, AnnounceEvent.none, BigInt(peer % 2));
    for (let peer = 1; peer <= 500; peer++) announcer.announce(7, -peer);
    clock.seconds += 1000;
    for (let peer = 1; peer <= 3000; peer += 3) announcer.announce(peer % 4, peer);
    clock.seconds += 900;

    const expiry = new Expiry(new TorrentSwarms(memory, createRandom(2), 2));
    expiry.begin();
    let steps = 0;
    let removed: number | undefined;
    while (removed === undefined) {
      removed = expiry.step(100, clock.seconds, config.peerLifetime);
      steps++;
    }
    assert.equal(removed, 2000 + 500);
    assert.ok(steps > 30, `${steps} steps`);
    assert.deepEqual(checkMemory(memory), { torrents: 4, peers: 1000 });
    assert.equal(store.expire(), 0);
  });

  test("removes a big swarm in steps, between which the event loop has its turns", async () => {
    const announcer = new Announcer();
    const { store } = announcer;
    for (let peer = 1; peer <= 9000; peer++) announcer.announce(1, peer);
    announcer.announce(2, 1);
    const removal = store.remove(new Uint8Array(new Int32Array(5).fill(1).buffer));
    let isOver = false;
    const left: number[] = [];
    const count = (): void => {
      left.push(store.statistics().leechers);
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    await removal;
    isOver = true;
    const steps = left.slice(1).map((leechers, i) => left[i]! - leechers);
    assert.ok(Math.max(...steps) <= 1024, `${steps}`);
    assert.equal(store.statistics().leechers, 1);
    assert.deepEqual(checkMemory(store.memory), { torrents: 1, peers: 1 });
  });

  test("keeps a torrent for its snatches one lifetime after its last peer", () => {
    const announcer = new Announcer();
    announcer.announce(1, 1, AnnounceEvent.completed);
    announcer.announce(1, 1, AnnounceEvent.stopped);
    assert.deepEqual(
      [...announcer.store.swarms()].map(({ snatches }) => snatches),
      [1],
    );
    announcer.clock.seconds += config.peerLifetime - 1;
    announcer.store.expire();
    assert.equal([...announcer.store.swarms()].length, 1);
    announcer.clock.seconds += 1;
    announcer.store.expire();
    assert.equal([...announcer.store.swarms()].length, 0);
  });

  test("takes a new lifetime, and refuses one that needs a restart", () => {
    const announcer = new Announcer();
    announcer.announce(1, 1);
    announcer.store.prepare({ ...config, peerLifetime: 60 })();
    announcer.clock.seconds += 60;
    assert.equal(announcer.store.expire(), 1);
    const tooLong = { ...config, peerLifetime: 10_000_000 };
    assert.throws(
      () => announcer.store.prepare(tooLong),
      /peer_lifetime and gc_interval .* restart to change/,
    );
  });

  test("does not take a newer clock of another thread for an ancient announce", () => {
    const announcer = new Announcer();
    announcer.clock.seconds += 2;
    announcer.announce(1, 1);
    announcer.clock.seconds -= 2;
    assert.equal(announcer.store.expire(), 0);
  });

  test("counts times beyond their range without losing living peers", () => {
    const announcer = new Announcer({ peerLifetime: 100_000 });
    announcer.announce(1, 1);
    for (let hour = 0; hour < 27; hour++) {
      announcer.clock.seconds += 3600;
      assert.equal(announcer.store.expire(), 0, `after ${hour + 1} hours`);
    }
    announcer.clock.seconds += 3600;
    assert.equal(announcer.store.expire(), 1);
  });

  test("keeps the snatches of a torrent that another thread's newer clock saw become empty", () => {
    const announcer = new Announcer();
    announcer.announce(1, 1, AnnounceEvent.completed);
    announcer.clock.seconds += 1;
    announcer.announce(1, 1, AnnounceEvent.stopped);
    announcer.clock.seconds -= 1;
    announcer.store.expire();
    assert.equal([...announcer.store.swarms()].length, 1);
  });

  test("tells times apart for as long as peers may stay between two passes", () => {
    const gcInterval = 16_384; // were a step of time a second, an age would look the same in every pass
    const announcer = new Announcer({ gcInterval });
    announcer.announce(1, 1);
    announcer.clock.seconds += gcInterval;
    assert.equal(announcer.store.expire(), 1);
    assert.throws(() => announcer.store.prepare({ ...config, gcInterval: 100_000 }), RangeError);
    announcer.announce(1, 1);
    announcer.clock.seconds += gcInterval;
    assert.equal(announcer.store.expire(), 1, "the times are still different");
  });

  test("has offsets below 2^31 with any options", () => {
    assert.ok(arenaWords(6, mostPeers, { peerIds: true, tags: true }) < 2 ** 31);
    assert.throws(() => reserveMemory(mostPeers + 1, config, 1800), RangeError);
  });

  test("only the store with `expires` expires peers by itself", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const announcer = new Announcer();
    const { clock, store } = announcer;
    const { memory } = store;
    announcer.announce(1, 1);
    clock.seconds += config.peerLifetime;
    const other = new MemoryStore({ clock, random: createRandom(2), config, memory, owner: 2 });
    other.start();
    t.mock.timers.tick(config.gcInterval * 1000);
    assert.equal(store.statistics().leechers, 1);
    other.stop();
    const third = new MemoryStore({
      clock,
      random: createRandom(2),
      config,
      memory,
      owner: 3,
      expires: true,
    });
    third.start();
    t.mock.timers.tick(config.gcInterval * 1000);
    assert.equal(store.statistics().leechers, 0);
    third.stop();
  });

  test("releases its lock if a list is shorter than its length", () => {
    const announcer = new Announcer();
    const { store, request, response } = announcer;
    for (let peer = 1; peer <= 20; peer++) announcer.announce(1, peer);
    request.numWant = response.peers4.limit = 20;
    response.peers4.at = 4090;
    assert.throws(() => store.announce(request, response, Step.both), RangeError);
    assert.deepEqual(checkMemory(store.memory), { torrents: 1, peers: 20 });
  });

  test("two stores over one memory are one store", () => {
    const announcer = new Announcer();
    announcer.announce(1, 1, AnnounceEvent.none, 0n);
    const { clock, store, request, response } = announcer;
    const other = new MemoryStore({ clock, random: createRandom(2), config, memory: store.memory, owner: 2 });
    request.address.copyFrom(Address.parse("10.9.9.9"));
    request.numWant = 5;
    request.left = 1n;
    response.reset(0, 0);
    response.peers4.limit = 5;
    other.announce(request, response, Step.both);
    assert.deepEqual([response.complete, response.incomplete, response.peers4.count], [1, 1, 1]);
    assert.deepEqual(store.statistics(), other.statistics());
  });
});

describe("tags", () => {
  for (const kind of [4, 6, "web"] as const) {
    test(`no peer gets peers of its own user: ${kind === "web" ? "web peers" : `IPv${kind}`}`, async () => {
      const clock = { seconds: 10_000, unixSeconds: 0 };
      const store = new MemoryStore({
        ...{ clock, random: createRandom(1) },
        config: { ...config, peerIds: kind === 6, tags: true },
      });
      await checkOwnPeers(store, kind, { steps: 6000, peers: 700 });
      checkMemory(store.memory);
    });
  }

  test("a peer without a tag gets all peers, and a lone peer with one does not get itself", () => {
    const { store, request, response } = new Announcer({ tags: true });
    response.peers4.limit = 50;
    const announce = (host: number, tag: number) => {
      request.address.copyFrom(Address.parse(`10.0.0.${host}`));
      Object.assign(request, { port: 7, tag, numWant: 50, left: 1n });
      response.reset(1800, 900);
      store.announce(request, response, Step.both);
      return response.peers4.count;
    };
    assert.deepEqual([announce(1, 1), announce(2, 1), announce(3, 0), announce(4, 0)], [0, 0, 2, 3]);
    assert.equal(announce(2, 2), 3, "a peer whose user has changed");
    assert.equal(announce(1, 1), 3);
  });
});
