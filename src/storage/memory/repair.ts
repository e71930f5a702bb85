import { indexedClass } from "./allocator.ts";
import { BlockIndex } from "./block-index.ts";
import { ownerOf, unlock, wakeAll } from "./lock.ts";
import {
  Control,
  Count,
  Meta,
  peerWords,
  recordWords,
  type StoreMemory,
  Stripe,
  Swarm,
  stripeCount,
  stripeStride,
  Torrent,
  torrentWords,
} from "./memory.ts";
import { TorrentTable } from "./torrent-table.ts";

/**
 * Gives back the locks of a thread that has died, after mending what it may have left half done: a torrent on its
 * way to another bucket, a peer that is there twice because two were changing places, an index, the counts.
 *
 * Two peers that were changing places may have become two that nobody knows, until they expire. A record or block
 * that was being taken or given back may be lost, and the totals of all stripes, which nobody sees, be off by one.
 *
 * Must be called after the thread is gone. Other threads may go on meanwhile, and others may be dead as well: it
 * waits for no lock.
 * @returns stripes that had to be mended
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
  // Whatever was interrupted under these two leaves lists that are whole.
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
  const at = stripe * stripeStride;
  const recorded = stripes.slice(at, at + stripeStride);
  stripes.fill(0, at + Stripe.torrents, at + stripeStride);
  table.rechain(stripe, (id) => {
    const torrent = id * torrentWords;
    stripes[at + Stripe.torrents]!++;
    mendSwarm(memory, control, 4, torrents, torrent + Torrent.record4);
    count(stripes, at + Stripe.counts4, torrents, torrent + Torrent.record4);
    const record6 = torrents[torrent + Torrent.record6]! * recordWords;
    if (record6 === 0) return;
    mendSwarm(memory, control, 6, records6, record6);
    if (records6[record6 + Swarm.total] === 0) torrents[torrent + Torrent.record6] = 0;
    else count(stripes, at + Stripe.counts6, records6, record6);
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
    ),
  );
}

function count(stripes: Int32Array, at: number, records: Int32Array, record: number): void {
  const total = records[record + Swarm.total]!;
  if (total === 0) return;
  const seeders = records[record + Swarm.seeders]!;
  stripes[at + Count.seeders]! += seeders;
  stripes[at + Count.leechers]! += total - seeders;
  stripes[at + Count.swarms]! += 1;
}

/** Writes a swarm's peers anew: each endpoint once, seeders first, with counts and index to match. */
function mendSwarm(
  memory: StoreMemory,
  control: Int32Array,
  family: 4 | 6,
  records: Int32Array,
  record: number,
): void {
  const total = records[record + Swarm.total]!;
  if (total === 0) return;
  const peers = new Int32Array(family === 4 ? memory.peers4 : memory.peers6);
  const stride = peerWords(family, memory.peerIds);
  const meta = family === 4 ? 1 : 4;
  const block = records[record + Swarm.block]!;
  const seeders = records[record + Swarm.seeders]!;
  const cls = records[record + Swarm.meta]! & 31;
  const seen = new Set<string>();
  const kept: [Int32Array[], Int32Array[]] = [[], []];
  for (let i = 0; i < Math.min(total, 1 << cls); i++) {
    const peer = peers.slice(block + i * stride, block + (i + 1) * stride);
    const endpoint = `${peer.subarray(0, meta).join()} ${peer[meta]! & Meta.port}`;
    if (seen.has(endpoint)) continue;
    seen.add(endpoint);
    if (i < seeders) peer[meta] = peer[meta]! & ~Meta.partial;
    kept[i < seeders ? 0 : 1].push(peer);
  }
  const all = [...kept[0], ...kept[1]];
  all.forEach((peer, i) => {
    peers.set(peer, block + i * stride);
  });
  const partial = kept[1].filter((peer) => (peer[meta]! & Meta.partial) !== 0).length;
  records[record + Swarm.total] = all.length;
  records[record + Swarm.seeders] = kept[0].length;
  records[record + Swarm.meta] = cls | (partial << 5);
  if (cls >= indexedClass) new BlockIndex(peers, control, stride, meta).build(block, cls, all.length);
}
