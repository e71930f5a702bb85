import type { Address, Family } from "./address.ts";

/** The value that {@link PrefixMap.find} returns for an address without a network. */
export const noPrefix = -1;

/**
 * The ranges of one family, in shared memory that threads can exchange.
 *
 * Shape: the address space is cut into ranges with one value each. Range `i` reaches from `starts[i]` up to, not
 * including, `starts[i + 1]`. A start is one word (IPv4) or four (IPv6), the most significant first, with the sign bit
 * flipped so that signed words compare as unsigned.
 */
export interface Ranges {
  readonly starts: Int32Array;
  readonly values: Int32Array;
  /**
   * Index `n`: the last range that begins at or before the 16-bit prefix `n`, for `n` 0 to 65,536; empty for few
   * ranges.
   */
  readonly index: Int32Array;
}

/** The number of ranges that justifies the 256 KiB of an index. */
const indexedFrom = 4096;

const indexLength = 0x10001;
/** Words before the ranges in written memory: the lengths of `values` and `index` of each family. */
const head = 4;
/** Networks, or words, that one step handles. */
const stepSize = 2048;

export interface PrefixMapMemory {
  readonly ranges4: Ranges;
  readonly ranges6: Ranges;
}

/**
 * Maps networks to small numbers. If several networks contain an address, the longest prefix wins. The builder resolves
 * overlaps, so a look-up is one binary search and allocates nothing; the index of a large map narrows the search to the
 * address's first 16 bits. A range takes 8 bytes (IPv4) or 20 (IPv6); a network without neighbours takes two ranges.
 */
export class PrefixMap {
  /** Other threads make a `PrefixMap` of their own from this memory. */
  readonly memory: PrefixMapMemory;

  constructor(memory: PrefixMapMemory) {
    this.memory = memory;
  }

  /** Returns a map without networks. */
  static empty(): PrefixMap {
    return new PrefixMapBuilder().build();
  }

  /** Returns the map that {@link PrefixMapBuilder.write} wrote into `words`; valid until the next write. */
  static in(words: Int32Array): PrefixMap {
    const [count4, index4, count6, index6] = words as unknown as [number, number, number, number];
    let at = head;
    const take = (count: number) => {
      at += count;
      return words.subarray(at - count, at);
    };
    const ranges4 = { starts: take(count4), values: take(count4), index: take(index4) };
    const ranges6 = { starts: take(4 * count6), values: take(count6), index: take(index6) };
    return new PrefixMap({ ranges4, ranges6 });
  }

  /** Returns how many of the words a map uses that {@link PrefixMapBuilder.write} wrote. */
  static used(words: Int32Array): number {
    const [count4, index4, count6, index6] = words as unknown as [number, number, number, number];
    return head + 2 * count4 + index4 + 5 * count6 + index6;
  }

  /** Returns the words of memory that a map of `networks` networks needs at most. */
  static words(networks: number): number {
    return head + 2 * indexLength + 2 + 5 * (2 * networks + 1);
  }

  /**
   * Looks an address up. If another thread writes the memory meanwhile, the look-up still ends, with an arbitrary
   * number or undefined.
   * @returns the value of the longest matching prefix, or {@link noPrefix}
   */
  find(address: Address): number {
    return this.findBytes(address.family, address.bytes, 0);
  }

  /** Looks up the address whose 4 or 16 bytes are at `at`, in network order. */
  findBytes(family: Family, bytes: Uint8Array, at: number): number {
    return family === 4 ? this.#find4(word(bytes, at)) : this.#find6(bytes, at);
  }

  #find4(wanted: number): number {
    const { starts, values, index } = this.memory.ranges4;
    const bucket = (wanted >> 16) + 0x8000;
    let low = index.length === 0 ? 0 : Math.max(0, index[bucket]!);
    for (let high = index.length === 0 ? values.length : index[bucket + 1]! + 1; high - low > 1; ) {
      const middle = (low + high) >>> 1;
      if (starts[middle]! <= wanted) low = middle;
      else high = middle;
    }
    return values[low]!;
  }

  #find6(bytes: Uint8Array, at: number): number {
    const { starts, values, index } = this.memory.ranges6;
    const a = word(bytes, at);
    const b = word(bytes, at + 4);
    const c = word(bytes, at + 8);
    const d = word(bytes, at + 12);
    const bucket = (a >> 16) + 0x8000;
    let low = index.length === 0 ? 0 : Math.max(0, index[bucket]!);
    for (let high = index.length === 0 ? values.length : index[bucket + 1]! + 1; high - low > 1; ) {
      const middle = (low + high) >>> 1;
      const from = middle * 4;
      let difference = starts[from]! - a;
      if (difference === 0) difference = starts[from + 1]! - b;
      if (difference === 0) difference = starts[from + 2]! - c;
      if (difference === 0) difference = starts[from + 3]! - d;
      if (difference <= 0) low = middle;
      else high = middle;
    }
    return values[low]!;
  }
}

/** Returns the four bytes at `at` in the form of {@link Ranges}. */
function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) ^ (1 << 31);
}

/** Collects networks for a {@link PrefixMap} in packed memory: a million networks are not a million objects. */
export class PrefixMapBuilder {
  readonly #networks4 = new NetworkList(1);
  readonly #networks6 = new NetworkList(4);

  /**
   * @param prefix  number of significant bits, 0 to 32 or 128; the other bits of the address count as zero
   * @param value   any word but {@link noPrefix}; the last value of a repeated network wins
   */
  add(address: Address, prefix: number, value: number): void {
    (address.family === 4 ? this.#networks4 : this.#networks6).add(address.bytes, prefix, value);
  }

  /** The number of networks added. */
  get size(): number {
    return this.#networks4.size + this.#networks6.size;
  }

  /** Builds the map in shared memory of its own. */
  build(): PrefixMap {
    const [ranges4, ranges6] = [finish(this.#networks4.cut()), finish(this.#networks6.cut())];
    return new PrefixMap({ ranges4: share(ranges4), ranges6: share(ranges6) });
  }

  /**
   * Writes the map into `words`, which has room for {@link PrefixMap.words}. Each step takes well under a millisecond.
   */
  *write(words: Int32Array): Generator<void> {
    let at = head;
    for (const [family, list] of [this.#networks4, this.#networks6].entries()) {
      const { starts, values, index } = yield* list.cut();
      words[2 * family] = values.length;
      words[2 * family + 1] = index.length;
      for (const part of [starts, values, index]) {
        for (let from = 0; from < part.length; from += stepSize) {
          words.set(part.subarray(from, from + stepSize), at + from);
          yield;
        }
        at += part.length;
      }
    }
  }
}

/**
 * Networks of one family.
 *
 *     | first address, `width` words as in Ranges | prefix | value |
 */
class NetworkList {
  readonly #width: number;
  readonly #stride: number;
  #words = new Int32Array(64);
  size = 0;

  constructor(width: number) {
    this.#width = width;
    this.#stride = width + 2;
  }

  add(bytes: Uint8Array, prefix: number, value: number): void {
    const width = this.#width;
    const at = this.size++ * this.#stride;
    if (at + this.#stride > this.#words.length) {
      const grown = new Int32Array(this.#words.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    for (let i = 0; i < width; i++) {
      // Bits beyond the prefix become zero, which is the flipped sign bit.
      this.#words[at + i] = ((word(bytes, 4 * i) ^ (1 << 31)) & wordMask(prefix, i)) ^ (1 << 31);
    }
    this.#words[at + width] = prefix;
    this.#words[at + width + 1] = value;
  }

  /** Cuts the address space at the border of every network. Networks nest: none overlaps another in part. */
  *cut(): Generator<void, Ranges> {
    const words = this.#words;
    const width = this.#width;
    const ranges = new RangeList(width, 2 * this.size + 1);
    const open: number[] = []; // offsets of the networks that contain the current address, the innermost last
    const end = new Int32Array(width);
    /** Closes the open networks that end before `at`; all of them if `at` is undefined. */
    const close = (at: number | undefined) => {
      while (open.length > 0) {
        const isPast = afterNetwork(words, open.at(-1)!, width, end);
        if (at !== undefined && (isPast || compareWords(end, 0, words, at, width) > 0)) return;
        open.pop();
        const outer = open.length === 0 ? noPrefix : words[open.at(-1)! + width + 1]!;
        if (!isPast) ranges.add(end, 0, outer);
      }
    };
    ranges.add(new Int32Array(width).fill(1 << 31), 0, noPrefix);
    const order = yield* this.#inOrder();
    for (let n = 0; n < order.length; n++) {
      const at = order[n]! * this.#stride;
      close(at);
      ranges.add(words, at, words[at + width + 1]!);
      open.push(at);
      if (n % stepSize === 0) yield;
    }
    close(undefined);
    return ranges.take();
  }

  /**
   * Sorts indices by first address, then from the widest network to the narrowest, then by order of addition: a merge
   * sort.
   */
  *#inOrder(): Generator<void, Uint32Array> {
    const { size } = this;
    const words = this.#words;
    const width = this.#width;
    const stride = this.#stride;
    const compare = (a: number, b: number) =>
      compareWords(words, a * stride, words, b * stride, width + 1) || a - b;
    let from = new Uint32Array(size);
    let to = new Uint32Array(size);
    for (let i = 0; i < size; i++) from[i] = i;
    let steps = 0;
    for (let run = 1; run < size; run *= 2) {
      for (let start = 0; start < size; start += 2 * run) {
        const middle = Math.min(start + run, size);
        const end = Math.min(start + 2 * run, size);
        let left = start;
        let right = middle;
        // Lists are usually almost sorted.
        const isSorted = right === end || compare(from[right - 1]!, from[right]!) < 0;
        for (let at = start; at < end; at++) {
          const takesLeft =
            left < middle && (isSorted || right === end || compare(from[left]!, from[right]!) < 0);
          to[at] = takesLeft ? from[left++]! : from[right++]!;
          if (++steps % stepSize === 0) yield;
        }
      }
      [from, to] = [to, from];
    }
    return from;
  }
}

/** Collects ranges from the first address to the last. */
class RangeList {
  readonly #width: number;
  readonly #starts: Int32Array;
  readonly #values: Int32Array;
  #count = 0;

  constructor(width: number, most: number) {
    this.#width = width;
    this.#starts = new Int32Array(most * width);
    this.#values = new Int32Array(most);
  }

  /**
   * Begins a range at `from[at..]`. Replaces a range with the same start; extends the previous range if the value is
   * the same.
   */
  add(from: Int32Array, at: number, value: number): void {
    const width = this.#width;
    const last = this.#count - 1;
    if (last >= 0 && compareWords(this.#starts, last * width, from, at, width) === 0) this.#count--;
    if (this.#count > 0 && this.#values[this.#count - 1] === value) return;
    for (let i = 0; i < width; i++) this.#starts[this.#count * width + i] = from[at + i]!;
    this.#values[this.#count++] = value;
  }

  take(): Ranges {
    return {
      starts: this.#starts.subarray(0, this.#count * this.#width),
      values: this.#values.subarray(0, this.#count),
      index: this.#count < indexedFrom ? new Int32Array(0) : this.#index(),
    };
  }

  #index(): Int32Array {
    const index = new Int32Array(indexLength).fill(this.#count - 1);
    let bucket = 0;
    for (let range = 0; range < this.#count; range++) {
      // Buckets that begin before this range belong to the previous range.
      for (; (bucket - 0x8000) << 16 < this.#starts[range * this.#width]!; bucket++) {
        if (bucket === 0x10000) return index;
        index[bucket] = range - 1;
      }
    }
    return index;
  }
}

/** Runs all steps and returns the result. */
function finish<Result>(steps: Generator<void, Result>): Result {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

function share({ starts, values, index }: Ranges): Ranges {
  const copy = (words: Int32Array) => {
    const shared = new Int32Array(new SharedArrayBuffer(words.byteLength));
    shared.set(words);
    return shared;
  };
  return { starts: copy(starts), values: copy(values), index: copy(index) };
}

/**
 * Writes the first address behind the network at `at` into `out`. @returns true if the network ends the address space
 */
function afterNetwork(words: Int32Array, at: number, width: number, out: Int32Array): boolean {
  const prefix = words[at + width]!;
  for (let i = 0; i < width; i++) out[i] = words[at + i]! ^ (1 << 31);
  if (prefix === 0) return true;
  let i = (prefix - 1) >> 5;
  let carry = 1 << (31 - ((prefix - 1) & 31));
  for (; i >= 0 && carry !== 0; i--) {
    const sum = (out[i]! + carry) | 0;
    carry = sum === 0 ? 1 : 0;
    out[i] = sum;
  }
  for (i = 0; i < width; i++) out[i]! ^= 1 << 31;
  return carry !== 0;
}

/** Returns the bits of word `index` that a prefix covers. */
function wordMask(prefix: number, index: number): number {
  const bits = Math.max(0, Math.min(32, prefix - 32 * index));
  return bits === 0 ? 0 : -1 << (32 - bits);
}

function compareWords(a: Int32Array, atA: number, b: Int32Array, atB: number, count: number): number {
  for (let i = 0; i < count; i++) {
    const difference = a[atA + i]! - b[atB + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}
