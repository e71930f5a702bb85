import { indexedClass } from "./allocator.ts";
import { BlockIndex } from "./block-index.ts";
import { lock, ownerOf, unlock } from "./lock.ts";
import {
  Control,
  ControlFamily,
  Meta,
  peerWords,
  recordWords,
  type StoreMemory,
  Swarm,
  stripeCount,
  stripeStride,
  Torrent,
  torrentWords,
} from "./memory.ts";

/** The owner of locks that are taken here. Its thread must be the one that nobody repairs. */
const repairer = 1;

/**
 * Gives back the locks of a thread that has died, after mending what it may have left half done: a peer that is
 * there twice because two were changing places, an index, the counts. A peer that was being moved
 * may be lost, and a block that was being replaced may leak.
 *
 * Must be called after the thread is gone; other threads may go on meanwhile.
 * @returns stripes that had to be mended
 */
export function releaseLocks(memory: StoreMemory, owner: number): number {
  const control = new Int32Array(memory.control);
  const stripes = new Int32Array(memory.stripes);
  // Whatever was interrupted under these two leaves lists that are whole.
  for (const at of [Control.allocatorLock, Control.growLock]) {
    if (ownerOf(control, at) === owner) unlock(control, at);
  }
  let mended = 0;
  for (let stripe = 0; stripe < stripeCount; stripe++) {
    if (ownerOf(stripes, stripe * stripeStride) !== owner) continue;
    mendStripe(memory, control, stripe);
    unlock(stripes, stripe * stripeStride);
    mended++;
  }
  if (mended > 0) recount(memory, control, stripes);
  return mended;
}

function mendStripe(memory: StoreMemory, control: Int32Array, stripe: number): void {
  const torrents = new Int32Array(memory.torrents);
  const records6 = new Int32Array(memory.records6);
  forEachTorrent(memory, control, stripe, (at) => {
    mendSwarm(memory, control, 4, torrents, at + Torrent.record4);
    const record6 = torrents[at + Torrent.record6]!;
    if (record6 !== 0) mendSwarm(memory, control, 6, records6, record6 * recordWords);
  });
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

/** Counts seeders, leechers and swarms of both families anew, while nobody can change them. */
function recount(memory: StoreMemory, control: Int32Array, stripes: Int32Array): void {
  const torrents = new Int32Array(memory.torrents);
  const records6 = new Int32Array(memory.records6);
  const counts = { 4: [0, 0, 0], 6: [0, 0, 0] };
  const count = (family: 4 | 6, records: Int32Array, record: number) => {
    const total = records[record + Swarm.total]!;
    if (total === 0) return;
    const seeders = records[record + Swarm.seeders]!;
    counts[family][0]! += seeders;
    counts[family][1]! += total - seeders;
    counts[family][2]! += 1;
  };
  for (let stripe = 0; stripe < stripeCount; stripe++) lock(stripes, stripe * stripeStride, repairer);
  let found = 0;
  for (let stripe = 0; stripe < stripeCount; stripe++) {
    forEachTorrent(memory, control, stripe, (at) => {
      found++;
      count(4, torrents, at + Torrent.record4);
      const record6 = torrents[at + Torrent.record6]!;
      if (record6 !== 0) count(6, records6, record6 * recordWords);
    });
  }
  control[Control.torrents] = found;
  for (const family of [4, 6] as const) {
    const at = Control.families + (family === 4 ? 0 : ControlFamily.words);
    [ControlFamily.seeders, ControlFamily.leechers, ControlFamily.swarms].forEach((what, i) => {
      control[at + what] = counts[family][i]!;
    });
  }
  for (let stripe = 0; stripe < stripeCount; stripe++) unlock(stripes, stripe * stripeStride);
}

/** Calls `visit` with the word offset of each torrent of a stripe. */
function forEachTorrent(
  memory: StoreMemory,
  control: Int32Array,
  stripe: number,
  visit: (at: number) => void,
): void {
  const heads = new Int32Array(memory.heads);
  const torrents = new Int32Array(memory.torrents);
  for (let bucket = stripe; bucket < control[Control.buckets]!; bucket += stripeCount) {
    for (let id = heads[bucket]!; id !== 0; id = torrents[id * torrentWords + Torrent.next]!) {
      visit(id * torrentWords);
    }
  }
}
