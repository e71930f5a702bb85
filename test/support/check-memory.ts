import assert from "node:assert/strict";
import { blockPeers, pageClass } from "../../src/storage/memory/allocator.ts";
import {
  ArenaControl,
  Big,
  Control,
  Count,
  leafWords,
  listWords,
  Meta,
  Page,
  pagePeers,
  peerWords,
  record6Words,
  recordWebWords,
  type StoreMemory,
  Stripe,
  Swarm,
  stripeStride,
  swarmKinds,
  swarmLayouts,
  Torrent,
  torrentWords,
  webBit,
} from "../../src/storage/memory/layout.ts";
import type { SwarmKind } from "../../src/storage/peer-store.ts";

/**
 * Checks every word of the memory of a store that no thread is using: no lock is held, chains are complete, counts equal the
 * lists, no peer is stored twice, every index is complete, every block is in one swarm, and every page with room is in one
 * list.
 * @param deaths  number of threads that have died while they used the memory. Each may have lost records and blocks, left an
 *   empty torrent, and made the totals of the stripes wrong by one.
 * @returns the numbers of torrents and peers
 */
export function checkMemory(
  memory: StoreMemory,
  { deaths = 0 }: { deaths?: number } = {},
): { torrents: number; peers: number } {
  const control = new Int32Array(memory.control);
  const heads = new Int32Array(memory.heads);
  const torrents = new Int32Array(memory.torrents);
  const records6 = new Int32Array(memory.records6);
  const recordsWeb = new Int32Array(memory.recordsWeb);
  const stripes = new Int32Array(memory.stripes);
  for (let at = 0; at < stripes.length; at += stripeStride)
    assert.equal(stripes[at + Stripe.lock], 0, "a stripe is locked");
  assert.equal(control[Control.allocatorLock], 0, "the allocator is locked");
  assert.equal(control[Control.growLock], 0, "the table is locked");

  const used = { 4: new Set<number>(), 6: new Set<number>(), web: new Set<number>() };
  const sums = { 4: [0, 0, 0], 6: [0, 0, 0], web: [0, 0, 0] };
  const seen = new Set<string>();
  const live = new Set<number>();
  const live6 = new Set<number>();
  const liveWeb = new Set<number>();

  const checkSwarm = (kind: SwarmKind, records: Int32Array, record: number) => {
    const peers = new Int32Array(memory[swarmLayouts[kind].peers]);
    const stride = peerWords(kind, memory);
    const meta = swarmLayouts[kind].addressWords;
    const swarm = readSwarm(peers, records, record, stride);
    const { total, seeders, partial } = swarm;
    assert.ok(total > 0 && total <= swarm.capacity, "more peers than the blocks hold");
    assert.ok(seeders >= 0 && seeders <= total, "more seeders than peers");
    for (const block of swarm.blocks) {
      assert.ok(!used[kind].has(block), "one block twice");
      used[kind].add(block);
    }
    const endpoints = new Set<string>();
    let partials = 0;
    for (let i = 0; i < total; i++) {
      const at = swarm.pages[Math.floor(i / pagePeers)]! + (i % pagePeers) * stride;
      endpoints.add([...peers.subarray(at, at + meta), peers[at + meta]! & Meta.port].join());
      if ((peers[at + meta]! & Meta.partial) !== 0) {
        partials++;
        assert.ok(i >= seeders, "a seeder is a partial seed");
      }
    }
    assert.equal(endpoints.size, total, "a peer is there twice");
    assert.equal(partial, partials, "partial seeds are counted wrongly");
    if (swarm.positions !== undefined) {
      assert.deepEqual(
        swarm.positions.sort((a, b) => a - b),
        Array.from({ length: total }, (_, i) => i),
        "the index is not whole",
      );
    }
    sums[kind][0]! += seeders;
    sums[kind][1]! += total - seeders;
    sums[kind][2]! += 1;
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
      const hasPeers4 = torrents[record4 + Swarm.block] !== 0;
      if (hasPeers4) checkSwarm(4, torrents, record4);
      const more = torrents[at + Torrent.more]!;
      let id6 = more;
      if (more >= webBit) {
        const web = more - webBit;
        assert.ok(!liveWeb.has(web), "a web record belongs to two torrents");
        liveWeb.add(web);
        checkSwarm("web", recordsWeb, web * recordWebWords);
        assert.equal(
          recordsWeb[web * recordWebWords + Swarm.torrent],
          id,
          "a web record names another torrent",
        );
        id6 = recordsWeb[web * recordWebWords + Swarm.record6]!;
      }
      if (id6 > 0) {
        assert.ok(!live6.has(id6), "an IPv6 record belongs to two torrents");
        live6.add(id6);
        checkSwarm(6, records6, id6 * record6Words);
      }
      const isEmpty = !hasPeers4 && more <= 0;
      assert.ok(deaths > 0 || !isEmpty || more < 0, "an empty torrent was kept");
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
    lostRecords(records6, record6Words, Swarm.block, control, Control.record6Top, Control.record6Free, live6),
    lostRecords(
      recordsWeb,
      recordWebWords,
      Swarm.block,
      control,
      Control.recordWebTop,
      Control.recordWebFree,
      liveWeb,
    ),
  ];
  if (deaths === 0) assert.deepEqual(lost, [0, 0, 0], "a record is lost");
  for (const kind of swarmKinds) {
    const { counts } = swarmLayouts[kind];
    const counted = [Count.seeders, Count.leechers, Count.swarms].map((n) => sumStripes(stripes, counts + n));
    assert.deepEqual(counted, sums[kind], `counts of ${kind} differ from the lists`);
    const lostBlocks = checkPages(memory, kind, control, used[kind]);
    assert.ok(deaths > 0 || lostBlocks === 0, `${lostBlocks} blocks are lost`);
  }
  const peers = swarmKinds.reduce((sum, kind) => sum + sums[kind][0]! + sums[kind][1]!, 0);
  assert.ok(offBy(Control.peers, peers) <= deaths, "peers are counted wrongly");
  return { torrents: live.size, peers };
}

function sumStripes(stripes: Int32Array, word: number): number {
  let sum = 0;
  for (let at = word; at < stripes.length; at += stripeStride) sum += stripes[at]!;
  return sum;
}

/** Checks that no number below the top is both live and free. @returns how many numbers are neither */
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
    assert.ok(!freed.has(id), "a free list is circular");
    assert.ok(!live.has(id), "a live record is free");
    freed.add(id);
  }
  return control[top]! - 1 - live.size - freed.size;
}

/** Returns the parts of a swarm: its counts, the pages (or the one block) of its peers, and all its blocks. */
function readSwarm(words: Int32Array, records: Int32Array, record: number, stride: number) {
  const block = records[record + Swarm.block]!;
  if (block > 0) {
    const counts = records[record + Swarm.counts]!;
    const [total, seeders, partial] = [5, 14, 23].map((shift) => (counts >>> shift) & 511) as [
      number,
      number,
      number,
    ];
    const capacity = blockPeers[counts & 31]!;
    return { total, seeders, partial, capacity, pages: [block], blocks: [block], positions: undefined };
  }
  const header = -block;
  const [total, seeders, partial, pageCount, levels, index] = words.subarray(header) as unknown as number[];
  assert.ok(index === 0 || words[header + Big.depth]! >= 0, "an index is being changed");
  assert.ok(
    Math.ceil(pageCount! / listWords ** (levels! - 1)) <=
      blockPeers[words[header + Big.cls]!]! * stride - Big.first,
    "more pages than the header holds",
  );
  const blocks = [header];
  let nodes = [header + Big.first];
  for (let level = levels! - 1; level >= 0; level--) {
    const count = Math.ceil(pageCount! / listWords ** level);
    nodes = Array.from({ length: count }, (_, i) =>
      level === levels! - 1
        ? words[nodes[0]! + i]!
        : words[nodes[Math.floor(i / listWords)]! + (i % listWords)]!,
    );
    blocks.push(...nodes);
  }
  assert.ok(total! > (pageCount! - 1) * pagePeers - pagePeers / 4, "a page too many");
  const capacity = pageCount! * pagePeers;
  const positions = index === 0 ? undefined : readIndex(words, index!, words[header + Big.depth]!, blocks);
  return { total: total!, seeders: seeders!, partial: partial!, capacity, pages: nodes, blocks, positions };
}

/** @returns the positions in an index @param blocks  gets its nodes and leaves */
function readIndex(words: Int32Array, node: number, depth: number, blocks: number[]): number[] {
  const positions: number[] = [];
  blocks.push(node);
  for (let place = 0; place < 1 << depth; place++) {
    const leaf = words[node + place]!;
    if (leaf < 0) {
      positions.push(...readIndex(words, -leaf, 7, blocks));
      continue;
    }
    const shared = words[leaf]! >>> 16;
    const first = place & ((1 << shared) - 1);
    assert.equal(words[node + first], leaf, "a leaf is not where its bits say");
    if (place !== first) continue;
    blocks.push(leaf);
    const entries = words.subarray(leaf + 1, leaf + leafWords).filter((entry) => entry !== 0);
    assert.equal(entries.length, words[leaf]! & 0xffff, "a leaf counts its entries wrongly");
    for (const entry of entries) positions.push((entry & 0x1ffffff) - 1);
  }
  return positions;
}

/** Compares the table of pages with the blocks of all swarms and with the lists. @returns the number of blocks without a swarm */
function checkPages(
  memory: StoreMemory,
  kind: SwarmKind,
  control: Int32Array,
  used: ReadonlySet<number>,
): number {
  const pages = new Int32Array(memory[swarmLayouts[kind].pages]);
  const stride = peerWords(kind, memory);
  const at = Control.arenas + swarmLayouts[kind].arena * ArenaControl.words;
  const listed = new Map<number, number>();
  const visit = (head: number, cls: number) => {
    let before = 0;
    for (let page = control[head]!; page !== 0; page = pages[page * Page.words + Page.next]!) {
      assert.ok(!listed.has(page), "a page is in two lists, or a list is circular");
      listed.set(page, cls);
      const word = pages[page * Page.words + Page.before]!;
      if (cls >= 0) assert.equal(word, (cls << Page.classShift) | before, "a list is broken");
      before = page;
    }
  };
  visit(at + ArenaControl.free, -1);
  for (let cls = 0; cls <= pageClass; cls++) visit(at + ArenaControl.partial + cls, cls);
  let taken = 0;
  for (let page = 1; page < control[at + ArenaControl.top]!; page++) {
    const cls = pages[page * Page.words + Page.before]! >>> Page.classShift;
    const size = blockPeers[cls]!;
    let count = 0;
    for (let slot = 0; slot < pagePeers; slot++) {
      if (((pages[page * Page.words + Page.used + (slot >> 5)]! >>> (slot & 31)) & 1) === 0) continue;
      assert.ok((slot + 1) * size <= pagePeers, "a block beyond its page");
      count++;
      if (used.has((page * pagePeers + slot * size) * stride)) taken++;
    }
    const isFull = count === Math.floor(pagePeers / size);
    assert.equal(
      listed.get(page),
      count === 0 ? -1 : isFull ? undefined : cls,
      "a page is in the wrong list",
    );
  }
  assert.equal(taken, used.size, "a block in use is free");
  let blocks = 0;
  for (let word = 0; word < pages.length; word++) {
    if (word % Page.words < Page.used) continue;
    for (let bits = pages[word]!; bits !== 0; bits &= bits - 1) blocks++;
  }
  return blocks - taken;
}
