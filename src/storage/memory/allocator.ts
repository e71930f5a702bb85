import { lock, unlock } from "./lock.ts";
import { Control, ControlFamily } from "./memory.ts";

/** Classes of blocks: class `k` holds 2^k peers. */
export const classCount = 28;
/** From this class on a block has an index; smaller ones are scanned. */
export const indexedClass = 9;
/** Up to this class positions fit an index of 16 bits. */
export const shortIndexClass = 15;

/** Words of the index of a block: two entries a peer, of 16 or 32 bits; none for small blocks. */
export function indexWords(cls: number): number {
  if (cls < indexedClass) return 0;
  return cls <= shortIndexClass ? 1 << cls : 2 << cls;
}

/**
 * Blocks of peers of one family: power-of-two classes with a free list each, cut from an arena. A free block
 * holds the offset of the next one in its first word. Where the arena is used up, a bigger free block is
 * halved. Callers hold no other lock than their stripe's.
 */
export class BlockAllocator {
  readonly #arena: Int32Array;
  readonly #control: Int32Array;
  readonly #at: number;
  readonly #owner: number;
  readonly #sizes: number[] = [];

  /** @param family  0 for IPv4, 1 for IPv6 */
  constructor(arena: Int32Array, control: Int32Array, family: 0 | 1, peerWords: number, owner: number) {
    this.#arena = arena;
    this.#control = control;
    this.#at = Control.families + family * ControlFamily.words;
    this.#owner = owner;
    for (let cls = 0; cls < classCount; cls++) this.#sizes.push((peerWords << cls) + indexWords(cls));
  }

  /** @returns the word offset of a block, or 0 when there is no room */
  allocate(cls: number): number {
    if (cls >= classCount) return 0;
    const control = this.#control;
    lock(control, Control.allocatorLock, this.#owner);
    let block = this.#pop(cls);
    if (block === 0) {
      const top = control[this.#at + ControlFamily.top]!;
      if (top + this.#sizes[cls]! <= this.#arena.length) {
        block = top;
        control[this.#at + ControlFamily.top] = top + this.#sizes[cls]!;
      } else {
        block = this.#halve(cls + 1);
      }
    }
    unlock(control, Control.allocatorLock);
    return block;
  }

  free(block: number, cls: number): void {
    lock(this.#control, Control.allocatorLock, this.#owner);
    this.#push(block, cls);
    unlock(this.#control, Control.allocatorLock);
  }

  #pop(cls: number): number {
    const head = this.#at + ControlFamily.free + cls;
    const block = this.#control[head]!;
    if (block !== 0) this.#control[head] = this.#arena[block]!;
    return block;
  }

  #push(block: number, cls: number): void {
    const head = this.#at + ControlFamily.free + cls;
    this.#arena[block] = this.#control[head]!;
    this.#control[head] = block;
  }

  /** Takes a free block of `cls` or above apart and returns a block of the class below `cls`. */
  #halve(cls: number): number {
    if (cls >= classCount) return 0;
    let block = this.#pop(cls);
    if (block === 0) block = this.#halve(cls + 1);
    if (block !== 0) this.#push(block + this.#sizes[cls - 1]!, cls - 1);
    return block;
  }
}

/**
 * Numbered records of a fixed size (torrents, IPv6 swarm records), reused through a free list that runs
 * through word `link` of each. Numbers begin at 1.
 */
export class RecordAllocator {
  readonly #records: Int32Array;
  readonly #words: number;
  readonly #link: number;
  readonly #control: Int32Array;
  readonly #top: number;
  readonly #free: number;
  readonly #owner: number;

  /** @param top, free  offsets in the control block of the first unused number and the free list's head */
  constructor(
    records: Int32Array,
    words: number,
    link: number,
    control: Int32Array,
    top: number,
    free: number,
    owner: number,
  ) {
    this.#records = records;
    this.#words = words;
    this.#link = link;
    this.#control = control;
    this.#top = top;
    this.#free = free;
    this.#owner = owner;
  }

  /** @returns the number of a record that is all zeros, or 0 when there is no room */
  allocate(): number {
    const control = this.#control;
    lock(control, Control.allocatorLock, this.#owner);
    let id = control[this.#free]!;
    if (id !== 0) {
      control[this.#free] = this.#records[id * this.#words + this.#link]!;
      this.#records[id * this.#words + this.#link] = 0;
    } else if ((control[this.#top]! + 1) * this.#words <= this.#records.length) {
      id = control[this.#top]!;
      control[this.#top] = id + 1;
    }
    unlock(control, Control.allocatorLock);
    return id;
  }

  free(id: number): void {
    const at = id * this.#words;
    this.#records.fill(0, at, at + this.#words);
    lock(this.#control, Control.allocatorLock, this.#owner);
    this.#records[at + this.#link] = this.#control[this.#free]!;
    this.#control[this.#free] = id;
    unlock(this.#control, Control.allocatorLock);
  }
}
