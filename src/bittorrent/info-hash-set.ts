import { infoHashLength } from "./info-hash.ts";

const words = infoHashLength / 4;

/**
 * A set of infohashes, up to tens of millions of them: one packed table, no object an entry. Looking one up
 * allocates nothing and compares all 160 bits.
 *
 * Shape: open addressing with linear probing over a power of two of slots, at most three quarters used; a slot is
 * the five words of an infohash, all zero where it is free. The zero infohash itself is kept aside.
 */
export class InfoHashSet {
  #slots: Int32Array = new Int32Array(8 * words);
  #mask = 7;
  #size = 0;
  #hasZero = false;
  /** Unpredictable, so that nobody can choose infohashes whose look-up is slow. */
  readonly #seed = (Math.random() * 0x100000000) | 0;

  get size(): number {
    return this.#size + (this.#hasZero ? 1 : 0);
  }

  /** Adds the infohash in `from[at..at+5)`. Amortised constant; allocates when the table grows. */
  add(from: Int32Array, at = 0): void {
    if (isZero(from, at)) {
      this.#hasZero = true;
      return;
    }
    const slot = this.#find(from, at);
    if (!isZero(this.#slots, slot)) return;
    this.#write(slot, from, at);
    if (++this.#size > (this.#mask + 1) * 0.75) this.#grow();
  }

  /** Tells whether the infohash in `from[at..at+5)` is in the set. */
  has(from: Int32Array, at = 0): boolean {
    if (isZero(from, at)) return this.#hasZero;
    return !isZero(this.#slots, this.#find(from, at));
  }

  /** Offset of the slot that holds the infohash, or of the free one where it belongs. */
  #find(from: Int32Array, at: number): number {
    const slots = this.#slots;
    let hash = this.#seed;
    for (let i = 0; i < words; i++) {
      hash = Math.imul(hash ^ from[at + i]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const offset = slot * words;
      if (
        (slots[offset] === from[at] &&
          slots[offset + 1] === from[at + 1] &&
          slots[offset + 2] === from[at + 2] &&
          slots[offset + 3] === from[at + 3] &&
          slots[offset + 4] === from[at + 4]) ||
        isZero(slots, offset)
      ) {
        return offset;
      }
    }
  }

  #write(offset: number, from: Int32Array, at: number): void {
    for (let i = 0; i < words; i++) this.#slots[offset + i] = from[at + i]!;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(old.length * 2);
    this.#mask = this.#mask * 2 + 1;
    for (let at = 0; at < old.length; at += words) {
      if (!isZero(old, at)) this.#write(this.#find(old, at), old, at);
    }
  }
}

function isZero(from: Int32Array, at: number): boolean {
  return (from[at]! | from[at + 1]! | from[at + 2]! | from[at + 3]! | from[at + 4]!) === 0;
}
