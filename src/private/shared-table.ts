import { drawKeys, hashKeys, hashWords } from "../lib/keyed-hash.ts";

/** Words before the slots: the number of slots, those in use, and the keys of the hash. */
const [slotsAt, usedAt, hashKeysAt] = [0, 1, 2];
/** Bits of a version: whether the slot is being written, and whether its key has been removed. */
const Version = { writing: 1, removed: 2, next: 4, most: 0x7ffffff8 } as const;
/**
 * How often a reader looks at a slot that is being written: at once first, since a write takes nanoseconds, then every millisecond, since
 * the thread that writes may need this processor. Then that thread has died, and the key counts as unknown.
 */
const [mostLooks, mostWaits, waitMs] = [1000, 100, 1];

/** The words of a key and of its values. */
export interface TableShape {
  readonly key: number;
  readonly values: number;
}

/**
 * A table of keys with values, in memory that threads share. One thread writes, one record at a time; all others read without a
 * lock. A look-up allocates nothing.
 *
 * A look-up takes the same time for every key of a slot: it compares all words, and the secret keys of the hash decide which
 * slots it visits. So its time tells nothing about the keys in the table.
 *
 * Shape: the head, then slots in open addressing. A slot is: version (0 before the first use, see {@link Version}), key, values.
 * A removed key keeps its slot until another key needs the slot.
 */
export class SharedTable {
  readonly memory: SharedArrayBuffer;
  /** The values of the key that {@link find} has found last. */
  readonly values: Int32Array;
  readonly #words: Int32Array;
  readonly #width: number;
  readonly #stride: number;
  readonly #start: number;
  readonly #mask: number;
  readonly #hashKeys: Int32Array;

  constructor({ key, values }: TableShape, memory: SharedArrayBuffer) {
    this.memory = memory;
    this.values = new Int32Array(values);
    this.#words = new Int32Array(memory);
    this.#width = key;
    this.#stride = 1 + key + values;
    this.#start = hashKeysAt + hashKeys(key);
    this.#mask = this.#words[slotsAt]! - 1;
    this.#hashKeys = this.#words.slice(hashKeysAt, this.#start);
  }

  /** Creates an empty table with room for twice as many keys as there are now. */
  static create(shape: TableShape, keys: number): SharedTable {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(4 * keys, 1024)));
    const head = hashKeysAt + hashKeys(shape.key);
    const memory = new SharedArrayBuffer(4 * (head + slots * (1 + shape.key + shape.values)));
    const words = new Int32Array(memory);
    words[slotsAt] = slots;
    words.set(drawKeys(hashKeys(shape.key)), hashKeysAt);
    return new SharedTable(shape, memory);
  }

  /** Whether no key was ever added. */
  get isUnused(): boolean {
    return this.#words[usedAt] === 0;
  }

  /** Looks up the key at `key[at]`. @returns whether it is there; then {@link values} are its values */
  find(key: Int32Array, at: number): boolean {
    const words = this.#words;
    const width = this.#width;
    let probe = hashWords(key, at, width, 0, this.#hashKeys, 0) & this.#mask;
    for (let visited = 0; visited <= this.#mask; visited++) {
      const slot = this.#start + probe * this.#stride;
      for (let looks = 1; ; looks++) {
        const version = Atomics.load(words, slot);
        if (version === 0 || looks === mostLooks + mostWaits) return false;
        if (looks > mostLooks) Atomics.wait(words, slot, version | Version.writing, waitMs);
        if ((version & Version.writing) !== 0) continue;
        let difference = 0;
        for (let i = 0; i < width; i++) difference |= words[slot + 1 + i]! ^ key[at + i]!;
        if (difference === 0) this.#readValues(slot);
        if (Atomics.load(words, slot) !== version) continue;
        if (difference !== 0) break;
        return (version & Version.removed) === 0;
      }
      probe = (probe + 1) & this.#mask;
    }
    return false;
  }

  /** Adds a key, or replaces its values. For the one thread that writes. @returns whether there was room */
  put(key: Int32Array, at: number, values: readonly number[]): boolean {
    const slot = this.#slotFor(key, at);
    if (slot < 0) return false;
    if (this.#words[slot] === 0) this.#words[usedAt]!++;
    this.#write(slot, key, at, values, 0);
    return true;
  }

  /** Removes a key, if it is there. For the one thread that writes. */
  remove(key: Int32Array, at: number): void {
    if (this.find(key, at)) this.#write(this.#slotFor(key, at), key, at, [...this.values], Version.removed);
  }

  /** Yields the keys that are there, each as a copy. For the one thread that writes. */
  *keys(): Generator<Int32Array> {
    const words = this.#words;
    for (let slot = this.#start; slot < words.length; slot += this.#stride) {
      if (words[slot] === 0 || (words[slot]! & Version.removed) !== 0) continue;
      yield words.slice(slot + 1, slot + 1 + this.#width);
    }
  }

  #readValues(slot: number): void {
    const { values } = this;
    const first = slot + 1 + this.#width;
    for (let i = 0; i < values.length; i++) values[i] = this.#words[first + i]!;
  }

  #write(slot: number, key: Int32Array, at: number, values: readonly number[], removed: number): void {
    const words = this.#words;
    const version = words[slot]! & ~(Version.writing | Version.removed);
    Atomics.store(words, slot, version | Version.writing);
    for (let i = 0; i < this.#width; i++) Atomics.store(words, slot + 1 + i, key[at + i]!);
    for (let i = 0; i < values.length; i++) Atomics.store(words, slot + 1 + this.#width + i, values[i]!);
    const next = version >= Version.most ? Version.next : version + Version.next;
    Atomics.store(words, slot, next | removed);
  }

  /** Returns the slot of the key, or else a free one; -1 if the table is three quarters full. */
  #slotFor(key: Int32Array, at: number): number {
    const words = this.#words;
    const width = this.#width;
    let free = -1;
    for (let probe = hashWords(key, at, width, 0, this.#hashKeys, 0); ; probe++) {
      const slot = this.#start + (probe & this.#mask) * this.#stride;
      const version = words[slot]!;
      if (version === 0) {
        if (free >= 0) return free;
        return words[usedAt]! * 4 < words[slotsAt]! * 3 ? slot : -1;
      }
      let same = 0;
      while (same < width && words[slot + 1 + same] === key[at + same]) same++;
      if (same === width) return slot;
      if (free < 0 && (version & Version.removed) !== 0) free = slot;
    }
  }
}
