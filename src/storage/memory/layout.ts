import { drawKeys } from "../../lib/keyed-hash.ts";

/**
 * The memory of a store: plain shared buffers, so that every worker thread builds its own store object over
 * the same swarms. All of it is reserved at once and committed by the kernel as it is touched.
 */
export interface StoreMemory {
  /** Capacity in peers of both families together. */
  readonly maxPeers: number;
  readonly peerIds: boolean;
  /** Seconds in one step of a peer's 14-bit time. */
  readonly tickSeconds: number;
  /** Counters, free lists and keys: see {@link Control}. */
  readonly control: SharedArrayBuffer;
  /** Locks and counts of the stripes, each in a cache line of its own: see {@link Stripe}. */
  readonly stripes: SharedArrayBuffer;
  /** Heads of the torrents' hash chains. */
  readonly heads: SharedArrayBuffer;
  /** Torrents, {@link torrentWords} each. */
  readonly torrents: SharedArrayBuffer;
  /** IPv6 swarm records, {@link record6Words} each, of the torrents that have IPv6 peers. */
  readonly records6: SharedArrayBuffer;
  /** Blocks of IPv4 peers. */
  readonly peers4: SharedArrayBuffer;
  /** Blocks of IPv6 peers. */
  readonly peers6: SharedArrayBuffer;
  /** Of each page of the blocks, {@link Page}. */
  readonly pages4: SharedArrayBuffer;
  readonly pages6: SharedArrayBuffer;
}

/**
 * Words of a torrent:
 *
 *     | infohash | next in chain | more | IPv4 record        |
 *     | 0..4     | 5             | 6    | 7 block 8 counts   |
 *
 * Torrents and IPv6 records are numbered from 1; 0 is none. `more` is the number of its IPv6 record, or where it has
 * none, its snatches with the sign bit set, or 0. Where a torrent has no peers at all (it is kept for its
 * snatches), word 8 holds the time at which it became empty.
 */
export const torrentWords = 9;
export const Torrent = { next: 5, more: 6, record4: 7 } as const;

/**
 * Words of a swarm record, one family of a torrent. Its block holds the seeders first, then the leechers:
 *
 *     | block: word offset in the family's peers | counts: class 5 bits, total 9, seeders 9, partial seeds 9 |
 *
 * A swarm of more than a page has a header in the family's peers instead, {@link Big}: `block` is its negated offset,
 * `counts` is not used. 0 is no peers. IPv6 records have a third word, the snatches of the torrent.
 */
export const Swarm = { block: 0, counts: 1, snatches: 2 } as const;
export const record6Words = 3;

/**
 * Words of the header of a swarm of many pages, whose offsets follow: on one level as they are, on two levels in lists
 * of {@link listWords}.
 *
 *     | total | seeders | partial seeds | pages | levels | index, or 0 | its depth | class | offsets ... |
 */
export const Big = { pages: 3, levels: 4, index: 5, depth: 6, cls: 7, first: 8 } as const;
export const listWords = 512;
/** Offsets in a header at most. */
export const headerOffsets: number = listWords - Big.first;
/** Words of a node and of a leaf of an index. */
export const nodeWords = 128;
export const leafWords = 512;

/** What is counted of a swarm, in the order of record and header. */
export const Counted = { total: 0, seeders: 1, partial: 2 } as const;

/** Peers of a page, the biggest block that there is. */
export const pagePeers = 256;

/**
 * Words of what the allocator knows of a page. The one before it in its list is together with the page's class; a bit
 * for each of its blocks says whether it is in use.
 */
export const Page = { next: 0, before: 1, used: 2, words: 10, classShift: 26, number: 0x3ffffff } as const;

/**
 * Words of a peer: its address (1 or 4), a meta word, and where peer ids are kept the five of its id.
 *
 *     meta: | time 14 bits | partial 1 | snatched 1 | port, first byte lowest, 16 |
 */
export const Meta = { port: 0xffff, snatched: 0x10000, partial: 0x20000, timeShift: 18 } as const;
/** Times are counted modulo this. */
export const timeRange = 16_384;
/** Times that lie ahead by up to this many ticks are another thread's newer clock, not ancient. */
const clockSlack = 64;

/** Ticks from a time until `tick`. */
export function ticksSince(time: number, tick: number): number {
  const age = (tick - time) & (timeRange - 1);
  return age < timeRange - clockSlack ? age : 0;
}

/** Tells whether at `tick` a time is `lifetime` ticks ago or more. @param lifetime  1 or more */
export function hasPassed(time: number, tick: number, lifetime: number): boolean {
  return ticksSince(time, tick) >= lifetime;
}

/** Stripes, each with a lock: the low bits of a torrent's hash, and so of its bucket. */
export const stripeCount = 1024;
export const stripeStride = 16;

/**
 * Word offsets in a stripe: its lock, then what its torrents come to, changed under that lock. Counted by
 * stripe, so that threads do not share a cache line, and what a dead thread left can be counted anew.
 */
export const Stripe = { lock: 0, torrents: 1, counts4: 2, counts6: 5 } as const;
/** Word offsets in the counts of a family. */
export const Count = { seeders: 0, leechers: 1, swarms: 2 } as const;

/** Word offsets in the control block. */
export const Control = {
  buckets: 0,
  /** Of all stripes together, changed atomically. */
  torrents: 1,
  torrentTop: 2,
  torrentFree: 3,
  record6Top: 4,
  record6Free: 5,
  refused: 6,
  /** Peers of all stripes and both families, changed atomically. */
  peers: 7,
  /** A random word that tells this memory from others. */
  identity: 8,
  allocatorLock: 16,
  growLock: 32,
  /** Two families of {@link ControlFamily} words. */
  families: 48,
  /** Random words that make the hashes unpredictable. */
  keys: 176,
  words: 240,
} as const;

/** Word offsets within one family's part of the control block. */
export const ControlFamily = {
  words: 64,
  /** First page of the arena that was never used. */
  top: 0,
  /** First of the free pages. */
  free: 16,
  /** First page that has room, of each class. */
  partial: 17,
} as const;

/** Peers that can be stored at most: offsets into the biggest arena, IPv6 with peer ids, must fit in 31 bits. */
export const mostPeers = 80_000_000;

/** Words of a peer of a family. */
export function peerWords(family: 4 | 6, peerIds: boolean): number {
  return (family === 4 ? 2 : 5) + (peerIds ? 5 : 0);
}

/** A block may be half empty, or more after peers have left; the index of a swarm needs up to two words a peer. */
export function arenaWords(family: 4 | 6, maxPeers: number, peerIds: boolean): number {
  return (peerWords(family, peerIds) + 2) * maxPeers * 2 + 65_536;
}

/** Words of the table of an arena's pages. */
function pageTableWords(family: 4 | 6, maxPeers: number, peerIds: boolean): number {
  const pageWords = peerWords(family, peerIds) * pagePeers;
  return Math.ceil(arenaWords(family, maxPeers, peerIds) / pageWords) * Page.words;
}

/**
 * Reserves the memory of a store.
 * @param maxPeers  peers of both families together, {@link mostPeers} at most
 * @param timeSpan  seconds for which peers stay without an announce; longer ones make their times coarser
 * @throws RangeError where the system does not reserve so much
 */
export function reserveMemory(maxPeers: number, peerIds: boolean, timeSpan: number): StoreMemory {
  if (!(maxPeers <= mostPeers)) throw new RangeError(`at most ${mostPeers} peers can be stored`);
  const maxTorrents = maxPeers + 1024; // one for each peer, and some that only keep their snatches
  let heads = stripeCount;
  while (heads < maxTorrents) heads *= 2;
  const memory: StoreMemory = {
    maxPeers,
    peerIds,
    tickSeconds: Math.ceil(timeSpan / (timeRange / 2)),
    control: words(Control.words),
    stripes: words(stripeCount * stripeStride),
    heads: words(heads),
    torrents: words((maxTorrents + 1) * torrentWords),
    records6: words((maxTorrents + 1) * record6Words),
    peers4: words(arenaWords(4, maxPeers, peerIds)),
    peers6: words(arenaWords(6, maxPeers, peerIds)),
    pages4: words(pageTableWords(4, maxPeers, peerIds)),
    pages6: words(pageTableWords(6, maxPeers, peerIds)),
  };
  const control = new Int32Array(memory.control);
  control[Control.buckets] = stripeCount;
  control[Control.torrentTop] = 1;
  control[Control.record6Top] = 1;
  control[Control.families + ControlFamily.top] = 1;
  control[Control.families + ControlFamily.words + ControlFamily.top] = 1;
  control.set(drawKeys(64), Control.keys);
  control.set(drawKeys(1), Control.identity);
  return memory;
}

function words(count: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(count * 4);
  } catch (cause) {
    const megabytes = Math.ceil((count * 4) / 1e6);
    const message = `the system does not reserve ${megabytes} MB for the swarms; lower the number of peers`;
    throw new RangeError(`${message} (storage.config.max_peers)`, { cause });
  }
}
