import assert from "node:assert/strict";
import { test } from "node:test";
import { checkMemory } from "../../../test/support/check-memory.ts";
import { stressMemory } from "../../../test/support/stress.ts";
import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { PeerList } from "../../bittorrent/peer-list.ts";
import { Address } from "../../ip/address.ts";
import { createRandom } from "../../lib/clock.ts";
import { Step } from "../peer-store.ts";
import {
  Big,
  Control,
  peerWords,
  record6Words,
  recordWebWords,
  Swarm,
  stripeCount,
  stripeStride,
  Torrent,
  torrentWords,
  webBit,
} from "./layout.ts";
import { lock } from "./lock.ts";
import { MemoryStore } from "./memory-store.ts";
import { releaseLocks } from "./repair.ts";
import { TorrentTable } from "./torrent-table.ts";

const dead = 7;
const alsoDead = 8;

/** A store of `torrents` torrents with `peers` peers each, every second one a seeder. */
function fill(torrents: number, peers: number) {
  const config = { gcInterval: 180, peerLifetime: 1800, maxPeers: 50_000, peerIds: false };
  const clock = { seconds: 1000, unixSeconds: 0 };
  const store = new MemoryStore({ config, clock, random: createRandom(1) });
  const request = new AnnounceRequest();
  const response = new AnnounceResponse(
    new PeerList(4, new Uint8Array(6)),
    new PeerList(6, new Uint8Array(18)),
  );
  const announce = (torrent: number, peer: number): void => {
    request.infoHashWords.fill(torrent);
    request.address.copyFrom(Address.parse(`10.0.${peer >> 8}.${peer & 255}`));
    request.port = 6881;
    request.left = BigInt(peer % 2);
    store.announce(request, response, Step.both);
  };
  for (let torrent = 1; torrent <= torrents; torrent++) {
    for (let peer = 1; peer <= peers; peer++) announce(torrent, peer);
  }
  const { memory } = store;
  const table = new TorrentTable(memory, dead);
  const hash = table.hash(new Int32Array(5).fill(1), 0);
  const stripe = (hash & (stripeCount - 1)) * stripeStride;
  return { store, announce, memory, table, hash, stripe, response };
}

test("a peer that was there twice is there once", () => {
  for (const peers of [20, 600]) {
    const { memory, table, hash } = fill(3, peers);
    table.lock(hash);
    const record = table.find(new Int32Array(5).fill(1), 0, hash) * torrentWords + Torrent.record4;
    const words = new Int32Array(memory.peers4);
    const offset = table.torrents[record + Swarm.block]!;
    const block = offset > 0 ? offset : words[Big.first - offset]!;
    words.copyWithin(
      block + 2 * peerWords(4, { peerIds: false }),
      block,
      block + peerWords(4, { peerIds: false }),
    );
    assert.equal(releaseLocks(memory, dead), 1);
    assert.deepEqual(checkMemory(memory), { torrents: 3, peers: 3 * peers - 1 });
  }
});

test("torrents that were on their way to another bucket are found", () => {
  const { memory, table, announce, response } = fill(stripeCount + 1, 1);
  const control = new Int32Array(memory.control);
  for (let buckets = control[Control.buckets]!; buckets < 2 * stripeCount; buckets++) {
    table.lock(buckets);
    control[Control.buckets] = buckets + 1; // and nothing has moved
    assert.equal(releaseLocks(memory, dead), 1);
  }
  for (let torrent = 1; torrent <= stripeCount + 1; torrent++) {
    response.reset(0, 0);
    announce(torrent, 2);
    assert.deepEqual([response.complete, response.incomplete], [1, 1], `torrent ${torrent}`);
  }
  assert.deepEqual(checkMemory(memory), { torrents: stripeCount + 1, peers: 2 * (stripeCount + 1) });
});

test("an IPv6 swarm whose first peer did not make it goes with its record", () => {
  const { store, memory, table, hash } = fill(1, 1);
  table.lock(hash);
  const torrent = table.find(new Int32Array(5).fill(1), 0, hash) * torrentWords;
  table.torrents[torrent + Torrent.more] = 1;
  new Int32Array(memory.control)[Control.record6Top] = 2;
  releaseLocks(memory, dead);
  assert.deepEqual(checkMemory(memory, { deaths: 1 }), { torrents: 1, peers: 1 });
  assert.equal(store.statistics().swarms, 1);
});

for (const [name, kinds] of [
  ["a web swarm", ["web"]],
  ["an IPv6 swarm behind a web swarm", [6, "web"]],
] as const) {
  test(`${name} whose only peer did not make it goes with its record, and the snatches stay`, () => {
    const { store, memory, table, hash, response } = fill(1, 1);
    const request = new AnnounceRequest();
    request.infoHashWords.fill(1);
    request.event = AnnounceEvent.completed;
    for (const kind of kinds) {
      request.kind = kind === "web" ? "web" : "address";
      request.handle = 7;
      request.address.copyFrom(Address.parse("2001:db8::1"));
      request.port = 1;
      store.announce(request, response, Step.both);
    }
    table.lock(hash);
    const torrent = table.find(new Int32Array(5).fill(1), 0, hash);
    const more = table.torrents[torrent * torrentWords + Torrent.more]!;
    const web = new Int32Array(memory.recordsWeb, (more - webBit) * recordWebWords * 4, recordWebWords);
    const records =
      kinds[0] === 6 ? new Int32Array(memory.records6, web[Swarm.record6]! * record6Words * 4) : web;
    records[Swarm.block] = 0;
    releaseLocks(memory, dead);
    assert.deepEqual(checkMemory(memory, { deaths: 2 }), { torrents: 1, peers: kinds.length });
    response.reset(0, 0);
    store.announce(request, response, Step.select);
    assert.deepEqual(
      [response.complete + response.incomplete, response.snatches],
      [kinds.length, kinds.length],
    );
  });
}

test("waits for no lock of another dead thread, and leaves it alone", () => {
  const { memory, table, stripe } = fill(1, 3);
  const control = new Int32Array(memory.control);
  const other = (stripe + stripeStride) % table.stripes.length;
  lock(table.stripes, stripe, dead);
  lock(table.stripes, other, alsoDead);
  lock(control, Control.allocatorLock, alsoDead);
  lock(control, Control.growLock, dead);
  assert.equal(releaseLocks(memory, dead), 1);
  assert.deepEqual([table.stripes[stripe], control[Control.growLock]], [0, 0]);
  assert.deepEqual([table.stripes[other], control[Control.allocatorLock]], [alsoDead, alsoDead]);
  assert.equal(releaseLocks(memory, alsoDead), 1);
  assert.deepEqual(checkMemory(memory), { torrents: 1, peers: 3 });
});

test("wakes those whom the dead one was to wake", async () => {
  const { memory, begin } = stressMemory({ torrents: 2, peers: 50 }, 1);
  const stripes = new Int32Array(memory.stripes);
  for (let stripe = 0; stripe < stripeCount; stripe++) lock(stripes, stripe * stripeStride, dead);
  const thread = begin(1000);
  const asleep = () => stripes.some((word, at) => at % stripeStride === 0 && word !== dead);
  while (!asleep()) await new Promise((resolve) => setImmediate(resolve));
  // The lock is free, but its waiters still sleep: the woken thread died before it took the lock.
  for (let stripe = 0; stripe < stripeCount; stripe++) stripes[stripe * stripeStride] = 0;
  releaseLocks(memory, dead);
  assert.ok(await thread.report);
  checkMemory(memory);
});
