import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkMemory } from "../../../test/support/check-memory.ts";
import { MapStore } from "../../../test/support/map-store.ts";
import { compareWithModel } from "../../../test/support/model.ts";
import { Address } from "../../bittorrent/address.ts";
import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { createRandom } from "../../bittorrent/clock.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { PeerList } from "../../bittorrent/peer-list.ts";
import { storeConformance } from "../conformance.ts";
import { Step } from "../peer-store.ts";
import { Expiry } from "./expiry.ts";
import { arenaWords, Control, ControlFamily, mostPeers, reserveMemory } from "./memory.ts";
import { MemoryStore, type MemoryStoreConfig } from "./memory-store.ts";
import { TorrentSwarms } from "./torrent-swarms.ts";

const config: MemoryStoreConfig = { gcInterval: 180, peerLifetime: 1800, maxPeers: 10_000, peerIds: false };

for (const peerIds of [false, true]) {
  storeConformance(
    peerIds ? "memory store with peer ids" : "memory store",
    ({ clock, peerLifetime, capacity }) =>
      new MemoryStore({
        clock,
        random: createRandom(1),
        config: { ...config, peerLifetime, maxPeers: capacity ?? 10_000, peerIds },
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

  constructor(changes: Partial<MemoryStoreConfig> = {}) {
    this.store = new MemoryStore({
      clock: this.clock,
      random: createRandom(1),
      config: { ...config, ...changes },
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
      tops.push(control[Control.families + ControlFamily.top]!);
    }
    assert.equal(tops.at(-1), tops[0]);
    assert.deepEqual(checkMemory(announcer.store.memory), { torrents: 0, peers: 0 });
  });

  test("halves big free blocks where the arena is used up", () => {
    const announcer = new Announcer({ maxPeers: 1100 });
    for (let peer = 1; peer <= 1100; peer++) announcer.announce(1, peer); // one block of 2048 at the end
    for (let peer = 1; peer <= 1100; peer++) announcer.announce(1, peer, AnnounceEvent.stopped);
    for (let round = 0; round < 3; round++) {
      for (let torrent = 1; torrent <= 1100; torrent++) announcer.announce(torrent, round);
      checkMemory(announcer.store.memory);
      announcer.clock.seconds += config.peerLifetime;
      assert.equal(announcer.store.expire(), 1100);
    }
    assert.equal(announcer.store.statistics().refused, 0);
  });

  test("expires in steps what one pass expires", () => {
    const clock = { seconds: 10_000, unixSeconds: 0 };
    const memory = reserveMemory(10_000, false, config.peerLifetime);
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

  test("takes a new lifetime, and says what needs a restart", () => {
    const announcer = new Announcer();
    announcer.announce(1, 1);
    assert.deepEqual(announcer.store.configure({ ...config, peerLifetime: 60 }), []);
    announcer.clock.seconds += 60;
    assert.equal(announcer.store.expire(), 1);
    const changes = { maxPeers: 5, peerIds: true, peerLifetime: 10_000_000 };
    const later = announcer.store.configure({ ...config, ...changes });
    assert.deepEqual(later, ["max_peers", "peer_ids", "peer_lifetime"]);
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
    const later = announcer.store.configure({ ...config, gcInterval: 100_000 });
    assert.deepEqual(later, ["peer_lifetime"]);
  });

  test("has offsets below 2^31 whatever it is told to store", () => {
    assert.ok(arenaWords(6, mostPeers, true) < 2 ** 31);
    assert.throws(() => reserveMemory(mostPeers + 1, false, 1800), RangeError);
  });

  test("only the store that is told to expires peers by itself", (t) => {
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

  test("lets go of its lock where a list is shorter than it says", () => {
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
