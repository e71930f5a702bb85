import assert from "node:assert/strict";
import { classCount, indexedClass, indexWords, shortIndexClass } from "../../src/storage/memory/allocator.ts";
import {
  Control,
  ControlFamily,
  Count,
  Meta,
  peerWords,
  recordWords,
  type StoreMemory,
  Stripe,
  Swarm,
  stripeStride,
  Torrent,
  torrentWords,
} from "../../src/storage/memory/memory.ts";

/**
 * Checks the memory of a store that nobody is using, word by word: no lock held, chains whole, counts equal
 * to lists, no peer twice, every index complete, and every word of the arenas either in one block or in one free list.
 * @param deaths  threads that have died over it: records and blocks may be lost, empty torrents there, and the totals
 *   of all stripes off by one for each
 * @returns torrents and peers found
 */
export function checkMemory(
  memory: StoreMemory,
  { deaths = 0 }: { deaths?: number } = {},
): { torrents: number; peers: number } {
  const control = new Int32Array(memory.control);
  const heads = new Int32Array(memory.heads);
  const torrents = new Int32Array(memory.torrents);
  const records6 = new Int32Array(memory.records6);
  const stripes = new Int32Array(memory.stripes);
  for (let at = 0; at < stripes.length; at += stripeStride)
    assert.equal(stripes[at + Stripe.lock], 0, "a stripe is locked");
  assert.equal(control[Control.allocatorLock], 0, "the allocator is locked");
  assert.equal(control[Control.growLock], 0, "the table is locked");

  const used = { 4: new Map<number, number>(), 6: new Map<number, number>() };
  const sums = { 4: [0, 0, 0], 6: [0, 0, 0] };
  const seen = new Set<string>();
  const live = new Set<number>();
  const live6 = new Set<number>();

  const checkSwarm = (family: 4 | 6, records: Int32Array, record: number) => {
    const peers = new Int32Array(family === 4 ? memory.peers4 : memory.peers6);
    const stride = peerWords(family, memory.peerIds);
    const meta = family === 4 ? 1 : 4;
    const [block, total, seeders, word] = records.subarray(record, record + 4) as unknown as number[];
    const cls = word! & 31;
    assert.ok(total! > 0 && total! <= 1 << cls, "more peers than the block holds");
    assert.ok(seeders! >= 0 && seeders! <= total!, "more seeders than peers");
    assert.ok(!used[family].has(block!), "one block in two swarms");
    used[family].set(block!, cls);
    const endpoints = new Set<string>();
    let partial = 0;
    for (let i = 0; i < total!; i++) {
      const at = block! + i * stride;
      endpoints.add([...peers.subarray(at, at + meta), peers[at + meta]! & Meta.port].join());
      if ((peers[at + meta]! & Meta.partial) !== 0) {
        partial++;
        assert.ok(i >= seeders!, "a seeder is a partial seed");
      }
    }
    assert.equal(endpoints.size, total, "a peer is there twice");
    assert.equal(partial, word! >>> 5, "partial seeds are counted wrongly");
    if (cls >= indexedClass) {
      const start = block! + (stride << cls);
      const index =
        cls <= shortIndexClass
          ? new Uint16Array(peers.buffer, start * 4, 2 << cls)
          : peers.subarray(start, start + (2 << cls));
      const positions = [...index].filter((entry) => entry !== 0).sort((a, b) => a - b);
      assert.deepEqual(
        positions,
        Array.from({ length: total! }, (_, i) => i + 1),
        "the index is not whole",
      );
    }
    sums[family][0]! += seeders!;
    sums[family][1]! += total! - seeders!;
    sums[family][2]! += 1;
  };

  for (let bucket = 0; bucket < heads.length; bucket++) {
    if (bucket >= control[Control.buckets]!) assert.equal(heads[bucket], 0, "a chain beyond the table");
    for (let id = heads[bucket]!; id !== 0; id = torrents[id * torrentWords + Torrent.next]!) {
      const at = id * torrentWords;
      assert.ok(!live.has(id), "a torrent is in two chains");
      live.add(id);
      const infoHash = torrents.subarray(at, at + 5).join();
      assert.ok(!seen.has(infoHash), "a torrent is there twice");
      seen.add(infoHash);
      const record4 = at + Torrent.record4;
      if (torrents[record4 + Swarm.total]! > 0) checkSwarm(4, torrents, record4);
      const record6 = torrents[at + Torrent.record6]!;
      if (record6 !== 0) {
        assert.ok(!live6.has(record6), "an IPv6 record belongs to two torrents");
        live6.add(record6);
        checkSwarm(6, records6, record6 * recordWords);
      }
      const isEmpty = torrents[record4 + Swarm.total] === 0 && record6 === 0;
      assert.ok(deaths > 0 || !isEmpty || torrents[at + Torrent.snatches]! > 0, "an empty torrent was kept");
    }
  }
  const offBy = (total: number, count: number) => Math.abs(control[total]! - count);
  assert.ok(offBy(Control.torrents, live.size) <= deaths, "torrents are counted wrongly");
  assert.equal(
    sumStripes(stripes, Stripe.torrents),
    live.size,
    "torrents of the stripes are counted wrongly",
  );

  const lost = [
    lostRecords(torrents, torrentWords, Torrent.next, control, Control.torrentTop, Control.torrentFree, live),
    lostRecords(records6, recordWords, Swarm.block, control, Control.record6Top, Control.record6Free, live6),
  ];
  if (deaths === 0) assert.deepEqual(lost, [0, 0], "a record is lost");
  for (const family of [4, 6] as const) {
    const at = Control.families + (family === 4 ? 0 : ControlFamily.words);
    const counts = family === 4 ? Stripe.counts4 : Stripe.counts6;
    const counted = [Count.seeders, Count.leechers, Count.swarms].map((n) => sumStripes(stripes, counts + n));
    assert.deepEqual(counted, sums[family], `IPv${family} counts differ from the lists`);
    const slack = checkArena(memory, family, control, at, used[family]);
    const top = control[at + ControlFamily.top]!;
    assert.ok(deaths > 0 || slack <= top / 2, `${slack} of ${top} words are lost`);
  }
  const peers = sums[4][0]! + sums[4][1]! + sums[6][0]! + sums[6][1]!;
  assert.ok(offBy(Control.peers, peers) <= deaths, "peers are counted wrongly");
  return { torrents: live.size, peers };
}

function sumStripes(stripes: Int32Array, word: number): number {
  let sum = 0;
  for (let at = word; at < stripes.length; at += stripeStride) sum += stripes[at]!;
  return sum;
}

/** Numbers below the top are live or free, never both. @returns how many are neither */
function lostRecords(
  records: Int32Array,
  words: number,
  link: number,
  control: Int32Array,
  top: number,
  free: number,
  live: ReadonlySet<number>,
): number {
  const freed = new Set<number>();
  for (let id = control[free]!; id !== 0; id = records[id * words + link]!) {
    assert.ok(!freed.has(id), "a free list runs in a circle");
    assert.ok(!live.has(id), "a live record is free");
    freed.add(id);
  }
  return control[top]! - 1 - live.size - freed.size;
}

/** Blocks and free blocks tile the used part of the arena. @returns words between them */
function checkArena(
  memory: StoreMemory,
  family: 4 | 6,
  control: Int32Array,
  at: number,
  used: ReadonlyMap<number, number>,
): number {
  const arena = new Int32Array(family === 4 ? memory.peers4 : memory.peers6);
  const stride = peerWords(family, memory.peerIds);
  const pieces = [...used].map(([block, cls]) => ({ block, words: (stride << cls) + indexWords(cls) }));
  for (let cls = 0; cls < classCount; cls++) {
    for (let block = control[at + ControlFamily.free + cls]!; block !== 0; block = arena[block]!) {
      pieces.push({ block, words: (stride << cls) + indexWords(cls) });
      assert.ok(pieces.length < 1e7, "a free list runs in a circle");
    }
  }
  pieces.sort((a, b) => a.block - b.block);
  let next = 16;
  let slack = 0;
  for (const { block, words } of pieces) {
    assert.ok(block >= next, "blocks overlap");
    slack += block - next; // what is left over where an indexed block was halved
    next = block + words;
  }
  const top = control[at + ControlFamily.top]!;
  assert.ok(next <= top, "a block beyond the top");
  return slack + top - next;
}
