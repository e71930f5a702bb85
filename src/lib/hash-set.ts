import { drawKeys, hashKeys, hashWords } from "./keyed-hash.ts";

/** Words before the slots: slots, keys, whether the zero key is one of them, then the keys of the hash. */
const [slotsAt, sizeAt, zeroAt, hashKeysAt] = [0, 1, 2, 3];
/** Slots a key, so that three quarters are used at most. */
const slotsPerKey = 4 / 3;
/** No slot has the key, and none is free. */
const full = 0;

/**
 * A set of keys of a few words each (an infohash is five), tens of millions of them, in memory that it is given, which
 * threads may share. Looking one up allocates nothing, compares all of its bits, and comes to an end whatever the memory
 * holds, even while it is being written.
 *
 * Shape: the head, then slots of one key each, open addressing with linear probing. A slot of zeros is free;
 * the zero key is kept in the head. With {@link HashSet.words} of room: 27 bytes an infohash.
 */
export class HashSet {
  readonly #width: number;
  /** Words before the first slot. */
  readonly head: number;
  readonly #words: Int32Array;

  /** @param width  words of a key @param words  zeros, or what another set of that width has been written in */
  constructor(width: number, words: Int32Array) {
    this.#width = width;
    this.head = headFor(width);
    this.#words = words;
  }

  /** Words of memory for so many keys. */
  static words(width: number, keys: number): number {
    return headFor(width) + slotsFor(keys) * width;
  }

  get size(): number {
    return this.#words[sizeAt]! + this.#words[zeroAt]!;
  }

  /** Words from the start of the memory to the end of its last slot. */
  get used(): number {
    return this.head + this.#words[slotsAt]! * this.#width;
  }

  /**
   * Makes room for `keys` in memory that is zero behind the head. The hash gets keys of its own, so that nobody can choose
   * keys whose look-up is slow.
   */
  begin(keys: number): void {
    this.#words[slotsAt] = slotsFor(keys);
    this.#words[sizeAt] = 0;
    this.#words[zeroAt] = 0;
    this.#words.set(drawKeys(hashKeys(this.#width)), hashKeysAt);
  }

  /** Adds the key at `from[at..]`. Not more keys than there is room for. */
  add(from: Int32Array, at = 0): void {
    const width = this.#width;
    if (isZero(from, at, width)) {
      this.#words[zeroAt] = 1;
      return;
    }
    const found = this.#find(from, at);
    if (found >= full) return;
    for (let i = 0; i < width; i++) this.#words[~found + i] = from[at + i]!;
    this.#words[sizeAt]!++;
  }

  /** Tells whether the key at `from[at..]` is in the set. */
  has(from: Int32Array, at = 0): boolean {
    if (isZero(from, at, this.#width)) return this.#words[zeroAt] === 1;
    return this.#find(from, at) > full;
  }

  /** @returns offset of the slot that holds the key; of the free one where it belongs, inverted; or {@link full} */
  #find(from: Int32Array, at: number): number {
    const words = this.#words;
    const width = this.#width;
    const slots = words[slotsAt]!;
    const hash = hashWords(from, at, width, 0, words, hashKeysAt);
    let slot = Math.floor(((hash >>> 0) * slots) / 0x100000000);
    for (let n = 0; n < slots; n++) {
      const offset = this.head + slot * width;
      let i = 0;
      for (; i < width && words[offset + i] === from[at + i]; i++);
      if (i === width) return offset;
      if (isZero(words, offset, width)) return ~offset;
      if (++slot === slots) slot = 0;
    }
    return full;
  }

  /** Offset in the memory of the first key at `from` or behind it; -1 where there is none. The zero key has no place. */
  next(from: number): number {
    const end = this.used;
    for (let at = Math.max(from, this.head); at < end; at += this.#width) {
      if (!isZero(this.#words, at, this.#width)) return at;
    }
    return -1;
  }
}

/** Words before the slots of keys of so many words. */
function headFor(width: number): number {
  return hashKeysAt + hashKeys(width);
}

function slotsFor(keys: number): number {
  return Math.ceil(keys * slotsPerKey) + 1;
}

function isZero(from: Int32Array, at: number, width: number): boolean {
  for (let i = 0; i < width; i++) if (from[at + i] !== 0) return false;
  return true;
}
