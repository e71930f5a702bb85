import { offerIdLength } from "../../protocol/webtorrent/message.ts";

/** Number of offers that a socket remembers: at first, and at most. */
const leastSize = 8;
const mostSize = 32;
/** Seconds in which an offer can be answered. */
export const offerLifetime = 120;
/** Maximum number of offers of one socket among them, so that one client does not push out the offers of others. */
const mostOfOne = 8;
/** Words of an entry: two of the offer id's hash, torrent, handle, generation, second, whether it is answered. */
const words = 8;
const Word = {
  hash: 0,
  hash2: 1,
  torrent: 2,
  handle: 3,
  generation: 4,
  second: 5,
  answered: 6,
  tracker: 7,
} as const;

/**
 * The last offers that were relayed to one socket, so that an answer reaches the socket that made the offer.
 * Only the socket that got an offer can answer the offer, so no client can speak as another one. Has room for 8 offers at first,
 * and for up to 32 while more than 8 can be answered.
 *
 * Shape of an entry: hash of the offer id 2 x u32 | torrent u32 | handle u32 | generation u32 | second u32 | answered u32 |
 * tracker u32.
 */
export class OfferRing {
  #entries: Uint32Array = new Uint32Array(leastSize * words);
  /** The first word of the oldest entry. */
  #next = 0;

  /**
   * Adds an offer in the place of the oldest one. If that one can still be answered: beside it while there is room; otherwise, if
   * the socket has already made {@link mostOfOne} of the offers for this torrent, in the place of the oldest of these.
   * @param torrent     a number that is unique among the torrents of the socket, not 0
   * @param handle      the socket that made the offer, with its generation
   * @param tracker     the tracker of that socket, 0 for this one
   */
  add(
    offerIds: Uint8Array,
    at: number,
    torrent: number,
    handle: number,
    generation: number,
    second: number,
    tracker = 0,
  ): void {
    const entry = this.#placeFor(torrent, handle, generation, second, tracker);
    const entries = this.#entries;
    hashInto(offerIds, at, entries, entry);
    entries[entry + Word.torrent] = torrent;
    entries[entry + Word.handle] = handle;
    entries[entry + Word.generation] = generation;
    entries[entry + Word.second] = second;
    entries[entry + Word.answered] = 0;
    entries[entry + Word.tracker] = tracker;
  }

  #placeFor(torrent: number, handle: number, generation: number, second: number, tracker: number): number {
    const entries = this.#entries;
    const next = this.#next;
    const isOver = second - entries[next + Word.second]! > offerLifetime;
    if (entries[next + Word.torrent] !== 0 && !isOver) {
      if (entries.length < mostSize * words) return this.#grow();
      let count = 0;
      let oldest = 0;
      for (let entry = 0; entry < entries.length; entry += words) {
        if (
          entries[entry + Word.handle] !== handle ||
          entries[entry + Word.generation] !== generation ||
          entries[entry + Word.torrent] !== torrent ||
          entries[entry + Word.tracker] !== tracker
        )
          continue;
        if (count++ === 0 || entries[entry + Word.second]! < entries[oldest + Word.second]!) oldest = entry;
      }
      if (count >= mostOfOne) return oldest;
    }
    this.#next = (next + words) % entries.length;
    return next;
  }

  /** Doubles the room; the oldest entry comes first then. @returns the first free entry */
  #grow(): number {
    const before = this.#entries;
    const { length } = before;
    const grown = new Uint32Array(2 * length);
    grown.set(before.subarray(this.#next));
    grown.set(before.subarray(0, this.#next), length - this.#next);
    this.#entries = grown;
    this.#next = length + words;
    return length;
  }

  /**
   * Finds the newest unanswered offer with this id, and marks the offer as answered.
   * @param since  the earliest second of an offer that can be answered
   * @returns the entry, for {@link handle} and {@link generation}; -1 if there is none
   */
  answer(offerIds: Uint8Array, at: number, torrent: number, since: number): number {
    const entries = this.#entries;
    hashInto(offerIds, at, wanted, 0);
    for (let left = entries.length, entry = this.#next; left > 0; left -= words) {
      entry = (entry === 0 ? entries.length : entry) - words;
      if (
        entries[entry] !== wanted[0] ||
        entries[entry + Word.hash2] !== wanted[1] ||
        entries[entry + Word.torrent] !== torrent ||
        entries[entry + Word.answered] !== 0 ||
        entries[entry + Word.second]! < since
      )
        continue;
      entries[entry + Word.answered] = 1;
      return entry;
    }
    return -1;
  }

  handle(entry: number): number {
    return this.#entries[entry + Word.handle]!;
  }

  generation(entry: number): number {
    return this.#entries[entry + Word.generation]!;
  }

  tracker(entry: number): number {
    return this.#entries[entry + Word.tracker]!;
  }

  /** Whether a socket has made an offer for the torrent since a second. */
  hasOfferOf(handle: number, generation: number, torrent: number, since: number, tracker = 0): boolean {
    const entries = this.#entries;
    for (let entry = 0; entry < entries.length; entry += words) {
      if (
        entries[entry + Word.handle] === handle &&
        entries[entry + Word.generation] === generation &&
        entries[entry + Word.tracker] === tracker &&
        entries[entry + Word.torrent] === torrent &&
        entries[entry + Word.second]! >= since
      )
        return true;
    }
    return false;
  }

  /** Counts the unanswered offers since a second. */
  countUnanswered(since: number): number {
    const entries = this.#entries;
    let count = 0;
    for (let entry = 0; entry < entries.length; entry += words) {
      if (
        entries[entry + Word.torrent] !== 0 &&
        entries[entry + Word.answered] === 0 &&
        entries[entry + Word.second]! >= since
      )
        count++;
    }
    return count;
  }
}

const wanted = new Uint32Array(2);

/** Writes a hash of 64 bits of an offer id. It need not be secret: a collision confuses only two offers to one socket. */
function hashInto(bytes: Uint8Array, at: number, out: Uint32Array, index: number): void {
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  for (let i = 0; i < offerIdLength; i++) {
    const byte = bytes[at + i]!;
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul(b ^ (byte + i), 0x85ebca6b);
    b ^= b >>> 13;
  }
  out[index] = a;
  out[index + 1] = b;
}
