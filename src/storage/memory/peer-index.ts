import { hashWords } from "../../lib/keyed-hash.ts";
import { type BlockAllocator, classFor } from "./allocator.ts";
import { Big, Control, leafWords, locate, Meta, nodeWords } from "./layout.ts";

/** The offset of the endpoint keys among the keys of the control block. */
const endpointKeys = Control.keys + 24;

const nodeBits = 31 - Math.clz32(nodeWords);
const leafBits = 31 - Math.clz32(leafWords);
const deepest = 2 * nodeBits;
/** An entry is a position plus one, with some bits of the hash above it, so that look-ups visit few other peers. */
const tagShift = 25;
const positionMask = (1 << tagShift) - 1;
/**
 * The number of entries at which a leaf splits. A leaf that cannot split takes a few more, but keeps one free entry.
 */
const splitAt = (leafWords / 8) * 7;
const full = leafWords - 2;
/** Two leaves with this many entries together become one leaf. */
const mergeAt = splitAt / 2;
const sparse = mergeAt / 2;
/** Word 0 of a leaf: the number of entries, and above it the number of bits that the entries share. */
const sharedShift = 16;
const countMask = (1 << sharedShift) - 1;

/**
 * Finds peers in a swarm of many pages: extendible hashing (Fagin 1979). No operation changes more than one node and
 * two leaves.
 *
 *     node: | 128 offsets, by 7 bits of the hash: of a leaf, or negated of a node for the next 7 bits |
 *     leaf: | entries, and the number of bits that they share | 511 entries, linear probing |
 *
 * A leaf whose entries share n bits is in every place of its node that has those bits. The first node uses only 2^depth
 * places, so that the index of a swarm of some thousands fits in one or two cache lines. The depth is negative ({@link
 * Big}) while nodes and leaves are being changed.
 */
export class PeerIndex {
  readonly #words: Int32Array;
  readonly #control: Int32Array;
  readonly #stride: number;
  readonly #addressWords: number;
  readonly #allocator: BlockAllocator;
  readonly #nodeClass: number;
  readonly #leafClass: number;
  readonly #moving: Int32Array = new Int32Array(leafWords);
  /** The results of {@link #descend}. */
  #leaf = 0;
  #node = 0;
  #parent = 0;
  #shift = 0;
  #depth = 0;

  constructor(
    words: Int32Array,
    control: Int32Array,
    stride: number,
    addressWords: number,
    allocator: BlockAllocator,
  ) {
    this.#words = words;
    this.#control = control;
    this.#stride = stride;
    this.#addressWords = addressWords;
    this.#allocator = allocator;
    this.#nodeClass = classFor(Math.ceil(nodeWords / stride));
    this.#leafClass = classFor(Math.ceil(leafWords / stride));
  }

  /**
   * Finds the peer of an endpoint.
   * @param port  as in {@link Meta}
   * @param soon  position of a peer that is read soon; prefetches its memory while the index loads (random announces in
   * 10,000 torrents: 6 % less)
   * @returns the position of an endpoint, or -1
   */
  find(header: number, address: Int32Array, port: number, soon: number): number {
    const words = this.#words;
    const count = this.#addressWords;
    const hash = hashWords(address, 0, count, port, this.#control, endpointKeys);
    let leaf = words[words[header + Big.index]! + (hash & ((1 << words[header + Big.depth]!) - 1))]!;
    if (leaf < 0) {
      let bits = hash >>> nodeBits;
      for (; leaf < 0; bits >>>= nodeBits) leaf = words[(bits & (nodeWords - 1)) - leaf]!;
    }
    const tag = tagOf(hash);
    let slot = homeOf(hash);
    let entry = words[leaf + slot]!;
    this.#moving[0] = words[locate(words, header, soon, this.#stride)]!;
    for (; ; slot = next(slot), entry = words[leaf + slot]!) {
      if (entry === 0) return -1;
      if ((entry ^ tag) >>> tagShift !== 0) continue;
      const position = (entry & positionMask) - 1;
      const at = locate(words, header, position, this.#stride);
      if (
        words[at] === address[0] &&
        (words[at + count]! & Meta.port) === port &&
        (count === 1 ||
          (words[at + 1] === address[1] && words[at + 2] === address[2] && words[at + 3] === address[3]))
      ) {
        return position;
      }
    }
  }

  /** Adds the peer at `position`, which is in the swarm but not in the index. @returns whether there was room */
  add(header: number, position: number): boolean {
    if (position >= positionMask) return false;
    const hash = this.#hash(header, position);
    for (;;) {
      this.#descend(header, hash);
      const entries = this.#words[this.#leaf]! & countMask;
      if (entries < splitAt) break;
      if (this.#split(header, hash)) continue;
      if (entries >= full) return false;
      break;
    }
    this.#insert(this.#leaf, hash, position);
    return true;
  }

  /** Exchanges the entries of two peers that are about to change places. */
  swap(header: number, a: number, b: number): void {
    const slotA = this.#slotOf(header, a);
    const slotB = this.#slotOf(header, b);
    const words = this.#words;
    words[slotA] = (words[slotA]! & ~positionMask) | (b + 1);
    words[slotB] = (words[slotB]! & ~positionMask) | (a + 1);
  }

  /** Removes the entry of the peer at `position`, and closes the gap in its run so that no probe ends too early. */
  remove(header: number, position: number): void {
    const words = this.#words;
    const hash = this.#hash(header, position);
    let gap = this.#slotOf(header, position) - this.#leaf;
    const leaf = this.#leaf;
    for (let slot = next(gap); ; slot = next(slot)) {
      const entry = words[leaf + slot]!;
      if (entry === 0) break;
      const home = homeOf(this.#hash(header, (entry & positionMask) - 1));
      // The entry may fill the gap unless its home lies behind it: cyclically in (gap, slot].
      if (distance(home, slot) >= distance(gap, slot)) {
        words[leaf + gap] = entry;
        gap = slot;
      }
    }
    words[leaf + gap] = 0;
    words[leaf] = words[leaf]! - 1;
    if ((words[leaf]! & countMask) < sparse) this.#merge(header, hash);
  }

  /** Indexes all peers of a swarm without an index; leaves the swarm without one if there is no room. */
  build(header: number): void {
    const words = this.#words;
    const node = this.#allocator.allocateZeros(this.#nodeClass);
    const leaf = node === 0 ? 0 : this.#allocator.allocateZeros(this.#leafClass);
    if (leaf === 0) {
      if (node !== 0) this.#allocator.free(node);
      return;
    }
    words[node] = leaf;
    words[header + Big.depth] = 0;
    words[header + Big.index] = node;
    for (let position = 0; position < words[header]!; position++) {
      if (this.add(header, position)) continue;
      this.drop(header);
      return;
    }
  }

  /**
   * Repairs the index after a thread died: enters all peers into the existing leaves anew. Allocates nothing. Drops the
   * index if the leaves do not suffice, or if a leaf was being split.
   */
  mend(header: number): void {
    const words = this.#words;
    const root = words[header + Big.index]!;
    if (root === 0) return;
    let isWhole = words[header + Big.depth]! >= 0;
    if (isWhole) {
      visitLeaves(words, root, words[header + Big.depth]!, (leaf) => {
        words[leaf] = words[leaf]! & ~countMask;
        words.fill(0, leaf + 1, leaf + leafWords);
      });
    }
    for (let position = 0; isWhole && position < words[header]!; position++) {
      const hash = this.#hash(header, position);
      this.#descend(header, hash);
      isWhole = (words[this.#leaf]! & countMask) < full;
      if (isWhole) this.#insert(this.#leaf, hash, position);
    }
    if (isWhole) return;
    words[header + Big.index] = 0;
  }

  /**
   * Lists the positions of the peers in the leaf for a hash.
   * @param positions  receives the positions; has room for {@link leafWords}
   * @returns their number
   */
  list(header: number, hash: number, positions: Int32Array): number {
    this.#descend(header, hash);
    let count = 0;
    for (let slot = 1; slot < leafWords; slot++) {
      const entry = this.#words[this.#leaf + slot]!;
      if (entry !== 0) positions[count++] = (entry & positionMask) - 1;
    }
    return count;
  }

  /** Returns how many low bits all hashes of the leaf for a hash have in common. */
  sharedBits(header: number, hash: number): number {
    this.#descend(header, hash);
    return this.#shift + (this.#words[this.#leaf]! >>> sharedShift);
  }

  /** Hashes the endpoint of the peer at the offset `at`. */
  hashAt(at: number): number {
    const count = this.#addressWords;
    const port = this.#words[at + count]! & Meta.port;
    return hashWords(this.#words, at, count, port, this.#control, endpointKeys);
  }

  /** Frees the index. */
  drop(header: number): void {
    const root = this.#words[header + Big.index]!;
    this.#words[header + Big.index] = 0;
    this.#freeNode(root, this.#words[header + Big.depth]!);
  }

  #freeNode(node: number, depth: number): void {
    const last = (1 << depth) - 1;
    for (let i = 0; i <= last; i++) {
      const child = this.#words[node + i]!;
      if (child < 0) {
        this.#freeNode(-child, nodeBits);
        continue;
      }
      // A leaf is in several places; the last has all ones above the bits that its entries share.
      const shared = this.#words[child]! >>> sharedShift;
      if (i >>> shared === last >>> shared) this.#allocator.free(child);
    }
    this.#allocator.free(node);
  }

  #hash(header: number, position: number): number {
    return this.hashAt(locate(this.#words, header, position, this.#stride));
  }

  /** Finds the leaf for a hash, its node, and the place in the node. */
  #descend(header: number, hash: number): void {
    const words = this.#words;
    let parent = header + Big.index;
    let node = words[parent]!;
    let shift = 0;
    let depth = words[header + Big.depth]!;
    for (;;) {
      const at = node + ((hash >>> shift) & ((1 << depth) - 1));
      const child = words[at]!;
      if (child >= 0) {
        this.#leaf = child;
        this.#node = node;
        this.#parent = parent;
        this.#shift = shift;
        this.#depth = depth;
        return;
      }
      parent = at;
      node = -child;
      shift += nodeBits;
      depth = nodeBits;
    }
  }

  #slotOf(header: number, position: number): number {
    const hash = this.#hash(header, position);
    this.#descend(header, hash);
    const entry = tagOf(hash) | (position + 1);
    let slot = homeOf(hash);
    while (this.#words[this.#leaf + slot] !== entry) slot = next(slot);
    return this.#leaf + slot;
  }

  #insert(leaf: number, hash: number, position: number): void {
    const words = this.#words;
    let slot = homeOf(hash);
    while (words[leaf + slot] !== 0) slot = next(slot);
    words[leaf + slot] = tagOf(hash) | (position + 1);
    words[leaf] = words[leaf]! + 1;
  }

  /** Splits the leaf that was found in two; if the leaf is in one place only, adds places first. */
  #split(header: number, hash: number): boolean {
    const words = this.#words;
    const leaf = this.#leaf;
    const node = this.#node;
    const shift = this.#shift;
    const depth = this.#depth;
    const shared = words[leaf]! >>> sharedShift;
    const isAlone = shared === depth;
    if (isAlone && depth < nodeBits) {
      words.copyWithin(node + (1 << depth), node, node + (1 << depth));
      words[header + Big.depth] = depth + 1;
      return true;
    }
    if (isAlone && shift === deepest) return false;
    const other = this.#allocator.allocateZeros(isAlone ? this.#nodeClass : this.#leafClass);
    if (other === 0) return false;
    const place = (hash >>> shift) & ((1 << depth) - 1);
    const before = words[header + Big.depth]!;
    words[header + Big.depth] = -1;
    if (isAlone) {
      words.fill(leaf, other, other + nodeWords);
      words[leaf] = words[leaf]! & countMask;
      words[node + place] = -other;
    } else {
      const bit = 1 << shared;
      for (let i = (place & (bit - 1)) | bit; i < 1 << depth; i += 2 * bit) words[node + i] = other;
      const moving = this.#moving;
      for (let slot = 1; slot < leafWords; slot++) moving[slot] = words[leaf + slot]!;
      words.fill(0, leaf + 1, leaf + leafWords);
      words[leaf] = words[other] = (shared + 1) << sharedShift;
      for (let slot = 1; slot < leafWords; slot++) {
        if (moving[slot] === 0) continue;
        const position = (moving[slot]! & positionMask) - 1;
        const own = this.#hash(header, position);
        this.#insert(((own >>> shift) & bit) === 0 ? leaf : other, own, position);
      }
    }
    words[header + Big.depth] = before;
    return true;
  }

  /** Merges the leaf that was found with its neighbour, if both are small. */
  #merge(header: number, hash: number): void {
    const words = this.#words;
    const leaf = this.#leaf;
    const node = this.#node;
    const shift = this.#shift;
    const shared = words[leaf]! >>> sharedShift;
    if (shared === 0) return;
    const bit = 1 << (shared - 1);
    const place = ((hash >>> shift) & (2 * bit - 1)) ^ bit;
    const other = words[node + place]!;
    if (other < 0 || words[other]! >>> sharedShift !== shared) return;
    if ((words[leaf]! & countMask) + (words[other]! & countMask) > mergeAt) return;
    const depth = words[header + Big.depth]!;
    words[header + Big.depth] = -1;
    for (let slot = 1; slot < leafWords; slot++) {
      const entry = words[other + slot]!;
      if (entry === 0) continue;
      const position = (entry & positionMask) - 1;
      this.#insert(leaf, this.#hash(header, position), position);
    }
    for (let i = place; i < 1 << this.#depth; i += 2 * bit) words[node + i] = leaf;
    words[leaf] = words[leaf]! - (1 << sharedShift);
    const isAlone = shared === 1 && shift > 0;
    if (isAlone) {
      words[leaf] = words[leaf]! | (nodeBits << sharedShift);
      words[this.#parent] = leaf;
    }
    words[header + Big.depth] = depth;
    this.#allocator.free(other);
    if (isAlone) this.#allocator.free(node);
  }
}

/** Visits each leaf of an index once. */
export function visitLeaves(
  words: Int32Array,
  node: number,
  depth: number,
  visit: (leaf: number) => void,
): void {
  const leaves = new Set<number>();
  for (let i = 0; i < 1 << depth; i++) {
    const child = words[node + i]!;
    if (child < 0) visitLeaves(words, -child, nodeBits, visit);
    else leaves.add(child);
  }
  leaves.forEach(visit);
}

/** Returns the home of an entry in its leaf: 1 to 511, by the highest bits of the hash. */
function homeOf(hash: number): number {
  return 1 + (((hash >>> (32 - leafBits)) * (leafWords - 1)) >>> leafBits);
}

/** Returns the bits of a hash that an entry keeps: the bits below those of the home. */
function tagOf(hash: number): number {
  return (hash << leafBits) & ~positionMask;
}

function next(slot: number): number {
  return slot === leafWords - 1 ? 1 : slot + 1;
}

function distance(from: number, to: number): number {
  return to >= from ? to - from : to - from + leafWords - 1;
}
