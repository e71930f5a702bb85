import { type FamilyBlocks, openFamilyBlocks } from "./family-blocks.ts";
import {
  Control,
  Count,
  Counted,
  Meta,
  record6Words,
  recordWebWords,
  type StoreMemory,
  Stripe,
  Swarm,
  stripeCount,
  stripeStride,
  swarmKinds,
  Torrent,
  torrentWords,
  webBit,
} from "./layout.ts";
import { ownerOf, unlock, wakeAll } from "./lock.ts";
import type { PeerBlocks } from "./peer-blocks.ts";
import { TorrentTable } from "./torrent-table.ts";

/**
 * Releases the locks of a thread that has died, after repairing the data that the thread may have left half done: a
 * torrent on its way to another bucket, a peer that is there twice because two were changing places, an index, the
 * counts.
 *
 * Two peers that were changing places may end as two unknown peers, until they expire. A record or block that was being
 * allocated or freed may be lost. The totals of all stripes may be off by one, which is invisible.
 *
 * Call this after the thread has ended. Other threads may continue, and others may be dead too, since the repair waits
 * for no lock.
 * @returns the number of repaired stripes
 */
export function releaseLocks(memory: StoreMemory, owner: number): number {
  const control = new Int32Array(memory.control);
  const stripes = new Int32Array(memory.stripes);
  let mended = 0;
  for (let stripe = 0; stripe < stripeCount; stripe++) {
    const at = stripe * stripeStride;
    if (ownerOf(stripes, at + Stripe.lock) === owner) {
      mendStripe(memory, stripes, stripe);
      unlock(stripes, at + Stripe.lock);
      mended++;
    }
    wakeAll(stripes, at + Stripe.lock);
  }
  if (ownerOf(control, Control.allocatorLock) === owner) {
    for (const kind of swarmKinds) openFamilyBlocks(memory, kind, control, control, 0).allocator.rebuild(); // which needs no records
  }
  // Any other interrupted operation under these two locks leaves consistent lists.
  for (const at of [Control.allocatorLock, Control.growLock]) {
    if (ownerOf(control, at) === owner) unlock(control, at);
    wakeAll(control, at);
  }
  return mended;
}

function mendStripe(memory: StoreMemory, stripes: Int32Array, stripe: number): void {
  const table = new TorrentTable(memory, 0);
  const { torrents, control } = table;
  const records6 = new Int32Array(memory.records6);
  const recordsWeb = new Int32Array(memory.recordsWeb);
  const swarms4 = openFamilyBlocks(memory, 4, control, torrents, 0);
  const swarms6 = openFamilyBlocks(memory, 6, control, records6, 0);
  const swarmsWeb = openFamilyBlocks(memory, "web", control, recordsWeb, 0);
  const at = stripe * stripeStride;
  const recorded = stripes.slice(at, at + stripeStride);
  stripes.fill(0, at + Stripe.torrents, at + stripeStride);
  table.rechain(stripe, (id) => {
    const torrent = id * torrentWords;
    stripes[at + Stripe.torrents]!++;
    mendSwarm(swarms4, torrent + Torrent.record4);
    count(stripes, at + Stripe.counts4, swarms4.blocks, torrent + Torrent.record4);
    const more = torrents[torrent + Torrent.more]!;
    if (more <= 0) return;
    const web = more >= webBit ? (more - webBit) * recordWebWords : 0;
    let id6 = web > 0 ? recordsWeb[web + Swarm.record6]! : more;
    const record6 = id6 * record6Words;
    const snatches = web > 0 ? recordsWeb[web + Swarm.snatches]! : records6[record6 + Swarm.snatches]!;
    if (id6 > 0) {
      mendSwarm(swarms6, record6);
      count(stripes, at + Stripe.counts6, swarms6.blocks, record6);
      if (swarms6.blocks.count(record6, Counted.total) === 0) id6 = 0;
    }
    if (web > 0) {
      recordsWeb[web + Swarm.record6] = id6;
      mendSwarm(swarmsWeb, web);
      count(stripes, at + Stripe.countsWeb, swarmsWeb.blocks, web);
      if (swarmsWeb.blocks.count(web, Counted.total) > 0) return;
      recordsWeb[web + Swarm.torrent] = 0;
      if (id6 > 0) records6[record6 + Swarm.snatches] = snatches;
    }
    torrents[torrent + Torrent.more] = id6 > 0 ? id6 : snatches === 0 ? 0 : snatches | (1 << 31);
  });
  const difference = (...words: number[]) =>
    words.reduce((sum, word) => sum + stripes[at + word]! - recorded[word]!, 0);
  Atomics.add(control, Control.torrents, difference(Stripe.torrents));
  Atomics.add(
    control,
    Control.peers,
    difference(
      Stripe.counts4 + Count.seeders,
      Stripe.counts4 + Count.leechers,
      Stripe.counts6 + Count.seeders,
      Stripe.counts6 + Count.leechers,
      Stripe.countsWeb + Count.seeders,
      Stripe.countsWeb + Count.leechers,
    ),
  );
}

function count(stripes: Int32Array, at: number, blocks: PeerBlocks, record: number): void {
  const total = blocks.count(record, Counted.total);
  if (total === 0) return;
  const seeders = blocks.count(record, Counted.seeders);
  stripes[at + Count.seeders]! += seeders;
  stripes[at + Count.leechers]! += total - seeders;
  stripes[at + Count.swarms]! += 1;
}

/** Rewrites a swarm's peers: each endpoint once, seeders first, with matching counts and index. */
function mendSwarm({ peers, stride, addressWords: meta, index, blocks }: FamilyBlocks, record: number): void {
  const total = Math.min(blocks.count(record, Counted.total), blocks.capacity(record));
  const seeders = blocks.count(record, Counted.seeders);
  const seen = new Set<string>();
  const kept: [Int32Array[], Int32Array[]] = [[], []];
  for (let i = 0; i < total; i++) {
    const at = blocks.at(record, i);
    const peer = peers.slice(at, at + stride);
    const endpoint = `${peer.subarray(0, meta).join()} ${peer[meta]! & Meta.port}`;
    if (seen.has(endpoint)) continue;
    seen.add(endpoint);
    if (i < seeders) peer[meta] = peer[meta]! & ~Meta.partial;
    kept[i < seeders ? 0 : 1].push(peer);
  }
  const all = [...kept[0], ...kept[1]];
  all.forEach((peer, i) => {
    peers.set(peer, blocks.at(record, i));
  });
  const partial = kept[1].filter((peer) => (peer[meta]! & Meta.partial) !== 0).length;
  blocks.mend(record, [all.length, kept[0].length, partial]);
  const header = blocks.indexed(record);
  if (header !== 0) index.mend(header);
}
