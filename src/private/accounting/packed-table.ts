import { drawKeys, hashKeys, hashWords } from "../../lib/keyed-hash.ts";

/** Slots of a page, and buckets of a page of the index: 2^10. */
const pageBits = 10;
const pageSize = 1 << pageBits;
/** Words before the key: the next slot of the chain, and the slots before and after in the order. */
const [chainAt, beforeAt, afterAt] = [0, 1, 2];
/** The first word of the key in a slot. */
export const keyAt = 3;

/** The memory of 2^10 slots. */
export interface Page {
  readonly words: Int32Array;
  /** The same memory. */
  readonly floats: Float64Array;
}

/**
 * A table of records in an order, for millions of them: the garbage collector sees only a few objects for each page. Nothing but
 * a new page is allocated, and no call takes longer because the table has grown.
 *
 * Shape of a slot: the next slot of its chain, the slots before and after it in the order, the key, then words of the user of the
 * table. Slots have numbers from 1 on. Slot 0 closes the ring of the order, and the chains. An index of chained buckets finds a key; it
 * grows by one bucket at a time (linear hashing). A removed slot is the next one to be used; pages are not given back.
 */
export class PackedTable {
  /** Number of records. */
  size = 0;
  readonly #key: number;
  readonly #stride: number;
  readonly #hashKeys: Int32Array;
  readonly #pages: Page[] = [];
  /** The first slot of each bucket. */
  readonly #heads: Int32Array[] = [new Int32Array(pageSize)];
  #buckets = 1;
  /** The number of the next new slot, and the chain of removed ones. */
  #top = 1;
  #free = 0;

  /**
   * @param key     words of a key
   * @param stride  words of a slot; an even number
   * @param keys    of the hash: secret, so that nobody can choose keys which make a chain long
   */
  constructor(key: number, stride: number, keys: Int32Array = drawKeys(hashKeys(key))) {
    this.#key = key;
    this.#stride = stride;
    this.#hashKeys = keys;
    this.#addPage();
  }

  /** The first slot in the order; 0 if there is none. */
  get first(): number {
    return this.after(0);
  }

  /** The last slot in the order; 0 if there is none. */
  get last(): number {
    return this.#get(0, beforeAt);
  }

  /** Returns the slot that follows in the order; 0 behind the last one. */
  after(slot: number): number {
    return this.#get(slot, afterAt);
  }

  /** Returns the page of a slot. */
  page(slot: number): Page {
    return this.#pages[slot >>> pageBits]!;
  }

  /** Returns the first word of a slot in its page. */
  at(slot: number): number {
    return (slot & (pageSize - 1)) * this.#stride;
  }

  /** Returns the slot of a key; 0 if there is none. @param key  its first words are the key */
  find(key: Int32Array): number {
    const width = this.#key;
    const bucket = this.#bucketOf(key, 0);
    let slot = this.#heads[bucket >>> pageBits]![bucket & (pageSize - 1)]!;
    while (slot !== 0) {
      const { words } = this.page(slot);
      const at = this.at(slot);
      let same = 0;
      while (same < width && words[at + keyAt + same] === key[same]) same++;
      if (same === width) return slot;
      slot = words[at + chainAt]!;
    }
    return 0;
  }

  /** Adds a key that is not there, at the end of the order. @returns its slot, with zeros behind the key */
  add(key: Int32Array): number {
    const slot = this.#free || this.#top++;
    if (slot >>> pageBits === this.#pages.length) this.#addPage();
    const { words } = this.page(slot);
    const at = this.at(slot);
    if (slot === this.#free) this.#free = words[at + chainAt]!;
    words.fill(0, at, at + this.#stride);
    for (let i = 0; i < this.#key; i++) words[at + keyAt + i] = key[i]!;
    this.#chain(slot, this.#bucketOf(key, 0));
    this.#link(slot);
    this.size++;
    if (this.size > this.#buckets) this.#split();
    return slot;
  }

  remove(slot: number): void {
    const { words } = this.page(slot);
    const bucket = this.#bucketOf(words, this.at(slot) + keyAt);
    const next = this.#get(slot, chainAt);
    const heads = this.#heads[bucket >>> pageBits]!;
    let before = heads[bucket & (pageSize - 1)]!;
    if (before === slot) heads[bucket & (pageSize - 1)] = next;
    else {
      while (this.#get(before, chainAt) !== slot) before = this.#get(before, chainAt);
      this.#set(before, chainAt, next);
    }
    this.#unlink(slot);
    this.#set(slot, chainAt, this.#free);
    this.#free = slot;
    this.size--;
  }

  /** Moves a slot to the end of the order. */
  moveToEnd(slot: number): void {
    this.#unlink(slot);
    this.#link(slot);
  }

  #addPage(): void {
    const words = new Int32Array(pageSize * this.#stride);
    this.#pages.push({ words, floats: new Float64Array(words.buffer) });
  }

  #get(slot: number, field: number): number {
    return this.page(slot).words[this.at(slot) + field]!;
  }

  #set(slot: number, field: number, value: number): void {
    this.page(slot).words[this.at(slot) + field] = value;
  }

  #link(slot: number): void {
    const { last } = this;
    this.#set(slot, beforeAt, last);
    this.#set(slot, afterAt, 0);
    this.#set(last, afterAt, slot);
    this.#set(0, beforeAt, slot);
  }

  #unlink(slot: number): void {
    const before = this.#get(slot, beforeAt);
    const after = this.#get(slot, afterAt);
    this.#set(before, afterAt, after);
    this.#set(after, beforeAt, before);
  }

  #bucketOf(words: Int32Array, at: number): number {
    const hash = hashWords(words, at, this.#key, 0, this.#hashKeys, 0);
    const half = 1 << (31 - Math.clz32(this.#buckets));
    const bucket = hash & (2 * half - 1);
    return bucket < this.#buckets ? bucket : bucket - half;
  }

  #chain(slot: number, bucket: number): void {
    const heads = this.#heads[bucket >>> pageBits]!;
    this.#set(slot, chainAt, heads[bucket & (pageSize - 1)]!);
    heads[bucket & (pageSize - 1)] = slot;
  }

  /** Adds a bucket, and moves the keys there that belong to it. */
  #split(): void {
    const added = this.#buckets;
    const bucket = added - (1 << (31 - Math.clz32(added)));
    if (added % pageSize === 0) this.#heads.push(new Int32Array(pageSize));
    this.#buckets++;
    const heads = this.#heads[bucket >>> pageBits]!;
    let slot = heads[bucket & (pageSize - 1)]!;
    heads[bucket & (pageSize - 1)] = 0;
    while (slot !== 0) {
      const next = this.#get(slot, chainAt);
      this.#chain(slot, this.#bucketOf(this.page(slot).words, this.at(slot) + keyAt));
      slot = next;
    }
  }
}
