import { hashKeys, hashWords, shareKeys } from "../lib/keyed-hash.ts";

/** The entries of a set. */
const ways = 8;

/** Returns the bytes of a table for keys of `width` words with a number of entries, a power of two. */
export function recentBytes(width: number, entries: number): number {
  return 4 * (2 * hashKeys(width) + 2 * entries);
}

/**
 * Remembers when keys were seen last, in memory of fixed size that threads share. Forgets the oldest key of a set of eight when
 * another key needs its place. Threads write without locks: if two write one entry at the same instant, one of the two is lost.
 *
 * Shape: the keys of two hashes, then the entries: a tag, which is a second hash of the key, and a time in seconds.
 */
export class Recent {
  readonly #words: Int32Array;
  readonly #start: number;
  readonly #setMask: number;
  readonly #width: number;
  readonly #keys: Int32Array;

  /** @param memory  {@link recentBytes}, zeroed or in use by other threads */
  constructor(width: number, memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
    this.#width = width;
    this.#start = 2 * hashKeys(width);
    this.#setMask = (this.#words.length - this.#start) / 2 / ways - 1;
    this.#keys = shareKeys(this.#words.subarray(0, this.#start));
  }

  /** Returns the seconds since the key at `key[0]` was noted, or Infinity. Never allocates; constant time. */
  age(key: Int32Array, now: number): number {
    const tag = this.#tag(key);
    const at = this.#find(key, tag);
    return this.#words[at] === tag ? Math.max(0, now - this.#words[at + 1]!) : Number.POSITIVE_INFINITY;
  }

  /**
   * Notes that a key is seen now, unless it was noted less than `seconds` ago; -Infinity notes it in any case. Never allocates; constant time.
   * @returns whether it is noted now
   */
  noteAfter(key: Int32Array, now: number, seconds: number): boolean {
    const tag = this.#tag(key);
    const at = this.#find(key, tag);
    if (this.#words[at] === tag && now - this.#words[at + 1]! < seconds) return false;
    this.#words[at] = tag;
    this.#words[at + 1] = now;
    return true;
  }

  /** Notes that a key is seen now. */
  note(key: Int32Array, now: number): void {
    this.noteAfter(key, now, Number.NEGATIVE_INFINITY);
  }

  forget(key: Int32Array): void {
    const tag = this.#tag(key);
    const at = this.#find(key, tag);
    if (this.#words[at] === tag) this.#words[at] = 0;
  }

  #tag(key: Int32Array): number {
    return hashWords(key, 0, this.#width, 0, this.#keys, this.#start / 2) | 1;
  }

  /** Returns the entry of the key, or else one that is free or the oldest of its set. */
  #find(key: Int32Array, tag: number): number {
    const words = this.#words;
    const set = hashWords(key, 0, this.#width, 0, this.#keys, 0) & this.#setMask;
    const first = this.#start + set * ways * 2;
    let found = first;
    for (let at = first; at < first + 2 * ways; at += 2) {
      if (words[at] === tag) return at;
      if (words[found] !== 0 && (words[at] === 0 || words[at + 1]! < words[found + 1]!)) found = at;
    }
    return found;
  }
}
