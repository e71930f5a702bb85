import { drawKeys, hashKeys, hashWords } from "./keyed-hash.ts";

/**
 * Words before the slots: number of slots, number of keys, whether the zero key is in the set, and the keys of the
 * hash.
 */
const [slotsAt, sizeAt, zeroAt, hashKeysAt] = [0, 1, 2, 3];
/** Slots per key: at most three quarters of the slots are used. */
const slotsPerKey = 4 / 3;
/** No slot has the key, and no slot is free. */
const full = 0;

/**
 * A set of tens of millions of keys of a few words each (an infohash has five), in memory that threads may share. A
 * look-up allocates nothing and compares all bits of the key. A look-up ends whatever the memory holds, even while
 * another thread writes the set.
 *
 * Shape: the head, then slots of one key each, open addressing with linear probing. A free slot is all zeros, so the
 * head records the zero key. With {@link HashSet.words} of room, an infohash takes 27 bytes.
 */
export class HashSet {
  readonly #width: number;
  /** Words before the first slot. */
  readonly head: number;
  readonly #words: Int32Array;

  /** @param width  words of a key @param words  zeros, or the memory of another set of that width */
  constructor(width: number, words: Int32Array) {
    this.#width = width;
    this.head = headFor(width);
    this.#words = words;
  }

  /** Returns the words of memory for `keys` keys. */
  static words(width: number, keys: number): number {
    return headFor(width) + slotsFor(keys) * width;
  }

  get size(): number {
    return this.#words[sizeAt]! + this.#words[zeroAt]!;
  }

  /** Words from the start of the memory to the end of the last slot. */
  get used(): number {
    return this.head + this.#words[slotsAt]! * this.#width;
  }

  /**
   * Makes room for `keys` keys in memory that is zero behind the head. Draws fresh keys for the hash, so that an
   * attacker cannot choose keys whose look-up is slow.
   */
  begin(keys: number): void {
    this.#words[slotsAt] = slotsFor(keys);
    this.#words[sizeAt] = 0;
    this.#words[zeroAt] = 0;
    this.#words.set(drawKeys(hashKeys(this.#width)), hashKeysAt);
  }

  /** Adds the key at `from[at..]`. The caller never adds more keys than {@link begin} made room for. */
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

  /** Returns whether the set has the key at `from[at..]`. */
  has(from: Int32Array, at = 0): boolean {
    if (isZero(from, at, this.#width)) return this.#words[zeroAt] === 1;
    return this.#find(from, at) > full;
  }

  /**
   * @returns offset of the slot with the key; the complement (`~`) of the free slot where the key belongs; or {@link
   * full}
   */
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

  /** Returns the offset of the first key at or behind `from`, or -1. The zero key has no offset. */
  next(from: number): number {
    const end = this.used;
    for (let at = Math.max(from, this.head); at < end; at += this.#width) {
      if (!isZero(this.#words, at, this.#width)) return at;
    }
    return -1;
  }
}

/** Returns the words before the slots for keys of `width` words. */
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
