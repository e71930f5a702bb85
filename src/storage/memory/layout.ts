import { drawKeys } from "../../lib/keyed-hash.ts";
import type { SwarmKind } from "../peer-store.ts";

/**
 * The memory of a store: plain shared buffers, so that every worker builds a store object over the same swarms. All
 * memory is reserved at once; the kernel commits a page on first use.
 */
export interface StoreMemory {
  /** Capacity in peers of all kinds together. */
  readonly maxPeers: number;
  readonly peerIds: boolean;
  readonly tags: boolean;
  /** Seconds per step of a peer's 14-bit time. */
  readonly tickSeconds: number;
  /** Counters, free lists and keys: see {@link Control}. */
  readonly control: SharedArrayBuffer;
  /** Locks and counts of the stripes, each stripe in a cache line of its own: see {@link Stripe}. */
  readonly stripes: SharedArrayBuffer;
  /** Heads of the torrents' hash chains. */
  readonly heads: SharedArrayBuffer;
  /** Torrents, {@link torrentWords} each. */
  readonly torrents: SharedArrayBuffer;
  /** IPv6 swarm records, {@link record6Words} each, of the torrents that have IPv6 peers. */
  readonly records6: SharedArrayBuffer;
  /** Web swarm records, {@link recordWebWords} each, of the torrents that have web peers. */
  readonly recordsWeb: SharedArrayBuffer;
  /** Blocks of IPv4 peers. */
  readonly peers4: SharedArrayBuffer;
  /** Blocks of IPv6 peers. */
  readonly peers6: SharedArrayBuffer;
  /** Blocks of web peers. */
  readonly peersWeb: SharedArrayBuffer;
  /** The state of each page of the blocks, {@link Page}. */
  readonly pages4: SharedArrayBuffer;
  readonly pages6: SharedArrayBuffer;
  readonly pagesWeb: SharedArrayBuffer;
}

/**
 * Words of a torrent:
 *
 *     | infohash | next in chain | more | IPv4 record        |
 *     | 0..4     | 5             | 6    | 7 block 8 counts   |
 *
 * Torrents, IPv6 records and web records have numbers from 1; 0 means none. `more` is the number of the torrent's web
 * record with {@link webBit} set, or else the number of the torrent's IPv6 record. Without both, `more` is the torrent's
 * snatches with the sign bit set, or 0. In a torrent without peers (kept for its snatches), word 8 holds the time at which
 * the torrent became empty.
 */
export const torrentWords = 9;
export const Torrent = { next: 5, more: 6, record4: 7 } as const;
/** Set in a torrent's `more` that names a web record. */
export const webBit = 0x40000000;

/**
 * Words of a swarm record, one kind of peers of a torrent. The block holds the seeders first, then the leechers:
 *
 *     | block: word offset in the kind's peers | counts: class 5 bits, total 9, seeders 9, partial seeds 9 |
 *
 * A swarm of more than a page has a header in the kind's peers instead, {@link Big}: `block` is the negated offset of
 * the header, and `counts` is unused. A `block` of 0 means no peers. IPv6 and web
 * records have a third word; in the record that the torrent's `more` names, it holds the torrent's snatches. A web record
 * has two words more: the number of the torrent's IPv6 record or 0, and the number of the torrent.
 */
export const Swarm = { block: 0, counts: 1, snatches: 2, record6: 3, torrent: 4 } as const;
export const record6Words = 3;
export const recordWebWords = 5;

/**
 * Words of the header of a swarm of many pages. The offsets of the pages follow: on one level directly, on two levels
 * in lists of {@link listWords}.
 *
 *     | total | seeders | partial seeds | pages | levels | index, or 0 | its depth | class | offsets ... |
 */
export const Big = { pages: 3, levels: 4, index: 5, depth: 6, cls: 7, first: 8 } as const;
export const listWords = 512;
/** The maximum number of offsets in a header. */
export const headerOffsets: number = listWords - Big.first;
/** Words of a node and of a leaf of an index. */
export const nodeWords = 128;
export const leafWords = 512;

/** The counts of a swarm, in the order of record and header. */
export const Counted = { total: 0, seeders: 1, partial: 2 } as const;

/** Peers of a page, the biggest block. */
export const pagePeers = 256;

/**
 * Words of the allocator's state of a page. The number of the previous page in its list shares a word with the page's
 * class. One bit for each block says whether the block is in use.
 */
export const Page = { next: 0, before: 1, used: 2, words: 10, classShift: 26, number: 0x3ffffff } as const;

/**
 * Words of a peer: its address (1 or 4), a meta word, its tag if the store keeps tags, and the five words of its peer id if the
 * store keeps peer ids.
 *
 *     meta: | time 14 bits | partial 1 | snatched 1 | port, first byte lowest, 16 |
 *
 * A web peer is stored like an IPv4 peer, with the handle of its socket as the address and the generation as the port. A
 * web peer has no peer id, because only its socket's session needs the id.
 */
export const Meta = { port: 0xffff, snatched: 0x10000, partial: 0x20000, timeShift: 18 } as const;
/** Times count modulo this number. */
export const timeRange = 16_384;
/** Times up to this many ticks in the future come from another thread's newer clock; they are not ancient. */
const clockSlack = 64;

/** Returns the ticks from a time until `tick`. */
export function ticksSince(time: number, tick: number): number {
  const age = (tick - time) & (timeRange - 1);
  return age < timeRange - clockSlack ? age : 0;
}

/** Returns whether at `tick` a time is at least `lifetime` ticks ago. @param lifetime  1 or more */
export function hasPassed(time: number, tick: number, lifetime: number): boolean {
  return ticksSince(time, tick) >= lifetime;
}

/**
 * The number of stripes, each with a lock. The low bits of a torrent's hash, and so of its bucket, select the stripe.
 */
export const stripeCount = 1024;
export const stripeStride = 16;

/**
 * Word offsets in a stripe: its lock, then the sums over its torrents, changed under that lock. Each stripe counts
 * separately, so that threads do not share a cache line, and so that the counts can be rebuilt after a thread has died.
 */
export const Stripe = { lock: 0, torrents: 1, counts4: 2, counts6: 5, countsWeb: 8 } as const;
/** Word offsets in the counts of a kind of peers. */
export const Count = { seeders: 0, leechers: 1, swarms: 2 } as const;

/** The numbers of the kinds, in the order of their parts of the control block. */
export const Arena = { ip4: 0, ip6: 1, web: 2 } as const;
export type Arena = (typeof Arena)[keyof typeof Arena];

/** What differs between the kinds: words of an address, counts in a stripe, part of the control block, memory. */
export const swarmLayouts: Readonly<Record<SwarmKind, SwarmLayout>> = {
  4: { addressWords: 1, counts: Stripe.counts4, arena: Arena.ip4, peers: "peers4", pages: "pages4" },
  6: { addressWords: 4, counts: Stripe.counts6, arena: Arena.ip6, peers: "peers6", pages: "pages6" },
  web: { addressWords: 1, counts: Stripe.countsWeb, arena: Arena.web, peers: "peersWeb", pages: "pagesWeb" },
};
export const swarmKinds: readonly SwarmKind[] = [4, 6, "web"];

interface SwarmLayout {
  readonly addressWords: number;
  readonly counts: number;
  readonly arena: Arena;
  readonly peers: "peers4" | "peers6" | "peersWeb";
  readonly pages: "pages4" | "pages6" | "pagesWeb";
}

/** Word offsets in the control block. */
export const Control = {
  buckets: 0,
  /** The torrents of all stripes, changed atomically. */
  torrents: 1,
  torrentTop: 2,
  torrentFree: 3,
  record6Top: 4,
  record6Free: 5,
  refused: 6,
  /** The peers of all stripes and kinds, changed atomically. */
  peers: 7,
  /** A random word that identifies this memory. */
  identity: 8,
  recordWebTop: 9,
  recordWebFree: 10,
  allocatorLock: 16,
  growLock: 32,
  /** {@link ArenaControl} words for each {@link Arena}. */
  arenas: 48,
  /** Random words that make the hashes unpredictable. */
  keys: 240,
  words: 304,
} as const;

/** Word offsets within one arena's part of the control block. */
export const ArenaControl = {
  words: 64,
  /** The first page of the arena that was never used. */
  top: 0,
  /** The first free page. */
  free: 16,
  /** The first page with room, for each class. */
  partial: 17,
} as const;

/** log2 of the peers of a page. */
const pageShift: number = 31 - Math.clz32(pagePeers);
/** log2 of the words of a list of pages. */
export const listShift: number = 31 - Math.clz32(listWords);

/** Returns the offset of a peer in a swarm of many pages. @param header  see {@link Big} */
export function locate(words: Int32Array, header: number, position: number, stride: number): number {
  const page = position >>> pageShift;
  let at = header + Big.first;
  if (words[header + Big.levels] === 1) at += page;
  else at = words[at + (page >>> listShift)]! + (page & (listWords - 1));
  return words[at]! + (position & (pagePeers - 1)) * stride;
}

/** The maximum number of peers: offsets into the biggest arena, IPv6 with peer ids, must fit in 31 bits. */
export const mostPeers = 80_000_000;

/** What each peer of a store has beside its address. */
export interface PeerShape {
  readonly peerIds: boolean;
  /** Whether a peer has a word for the user of a private tracker, {@link AnnounceRequest.tag}. */
  readonly tags?: boolean | undefined;
}

/** Returns the words of a peer of a kind. */
export function peerWords(kind: SwarmKind, { peerIds, tags = false }: PeerShape): number {
  return swarmLayouts[kind].addressWords + 1 + (tags ? 1 : 0) + (peerIds && kind !== "web" ? 5 : 0);
}

/**
 * Returns the words of an arena. A block may be half empty, or more after peers leave; an index needs up to two words
 * per peer.
 */
export function arenaWords(kind: SwarmKind, maxPeers: number, shape: PeerShape): number {
  return (peerWords(kind, shape) + 2) * maxPeers * 2 + 65_536;
}

/** Returns the words of the table of an arena's pages. */
function pageTableWords(kind: SwarmKind, maxPeers: number, shape: PeerShape): number {
  const pageWords = peerWords(kind, shape) * pagePeers;
  return Math.ceil(arenaWords(kind, maxPeers, shape) / pageWords) * Page.words;
}

/**
 * Reserves the memory of a store.
 * @param maxPeers  peers of all kinds together, {@link mostPeers} at most
 * @param timeSpan  seconds for which peers stay without an announce; a longer span makes their times coarser
 * @throws RangeError if the system does not reserve that much
 */
export function reserveMemory(maxPeers: number, shape: PeerShape, timeSpan: number): StoreMemory {
  if (!(maxPeers <= mostPeers)) throw new RangeError(`the store holds at most ${mostPeers} peers`);
  const maxTorrents = maxPeers + 1024; // one for each peer, and some that only have snatches
  let heads = stripeCount;
  while (heads < maxTorrents) heads *= 2;
  const memory: StoreMemory = {
    maxPeers,
    peerIds: shape.peerIds,
    tags: shape.tags ?? false,
    tickSeconds: Math.ceil(timeSpan / (timeRange / 2)),
    control: words(Control.words),
    stripes: words(stripeCount * stripeStride),
    heads: words(heads),
    torrents: words((maxTorrents + 1) * torrentWords),
    records6: words((maxTorrents + 1) * record6Words),
    recordsWeb: words((maxTorrents + 1) * recordWebWords),
    peers4: words(arenaWords(4, maxPeers, shape)),
    peers6: words(arenaWords(6, maxPeers, shape)),
    peersWeb: words(arenaWords("web", maxPeers, shape)),
    pages4: words(pageTableWords(4, maxPeers, shape)),
    pages6: words(pageTableWords(6, maxPeers, shape)),
    pagesWeb: words(pageTableWords("web", maxPeers, shape)),
  };
  const control = new Int32Array(memory.control);
  control[Control.buckets] = stripeCount;
  control[Control.torrentTop] = 1;
  control[Control.record6Top] = 1;
  control[Control.recordWebTop] = 1;
  for (const arena of Object.values(Arena)) {
    control[Control.arenas + arena * ArenaControl.words + ArenaControl.top] = 1;
  }
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
