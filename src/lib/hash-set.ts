import { drawKeys, hashKeys, hashWords } from "./keyed-hash.ts";

/** Words before the index: number of buckets, number of keys, and the keys of the hash. */
const [bucketsAt, sizeAt, hashKeysAt] = [0, 1, 2];
/** Keys per bucket on average. */
const bucketKeys = 4;
/** Words of the index, keys, and buckets that one step of a write visits. */
const [indexStep, keyStep, bucketStep] = [65_536, 512, 2048];

/**
 * A set of tens of millions of keys of a few words each (an infohash has five), in memory that threads may share. A
 * look-up allocates nothing and compares all bits of the key. A look-up ends whatever the memory holds, even while
 * another thread writes the set.
 *
 * Shape: the head, the index, then the keys without gaps, bucket by bucket. The hash of a key selects its bucket, and
 * the index has the number of each bucket's first key, and one word more for the end of the last bucket. An infohash
 * takes 21 bytes.
 */
export class HashSet {
  readonly #width: number;
  readonly #words: Int32Array;
  readonly #index: number;

  /** @param width  words of a key @param words  zeros, or the memory of another set of that width */
  constructor(width: number, words: Int32Array) {
    this.#width = width;
    this.#words = words;
    this.#index = headFor(width);
  }

  /** Returns the words of memory for `keys` keys. */
  static words(width: number, keys: number): number {
    return headFor(width) + bucketsFor(keys) + 1 + keys * width;
  }

  get size(): number {
    return this.#words[sizeAt]!;
  }

  /** The offset of the first key. */
  get start(): number {
    return this.#index + this.#words[bucketsAt]! + 1;
  }

  /** The offset behind the last key. */
  get end(): number {
    return this.start + this.size * this.#width;
  }

  /**
   * Writes a set of keys over any previous set in the memory. Draws fresh keys for the hash, so that an attacker cannot
   * choose keys whose look-up is slow. Each step takes well under a millisecond.
   * @param blocks  the keys, which may repeat; all blocks but the last have the same length
   * @param count   number of keys in the blocks; the memory has room for them
   */
  *write(blocks: readonly Int32Array[], count: number): Generator<void> {
    const words = this.#words;
    const width = this.#width;
    const index = this.#index;
    const buckets = bucketsFor(count);
    words[bucketsAt] = buckets;
    words[sizeAt] = 0;
    words.set(drawKeys(hashKeys(width)), hashKeysAt);
    for (let at = index; at <= index + buckets; at += indexStep)
      yield void words.fill(0, at, Math.min(at + indexStep, index + buckets + 1));
    yield* this.#visit(blocks, count, (block, at) => {
      words[index + this.#bucket(block, at)]!++;
    });
    for (let bucket = 1; bucket <= buckets; bucket++) {
      words[index + bucket]! += words[index + bucket - 1]!;
      if (bucket % indexStep === 0) yield;
    }
    // The index has the end of each bucket now. Each key moves that to the left, so the start is left in the end.
    const { start } = this;
    yield* this.#visit(blocks, count, (block, at) => {
      const to = start + --words[index + this.#bucket(block, at)]! * width;
      for (let i = 0; i < width; i++) words[to + i] = block[at + i]!;
    });
    yield* this.#removeRepeated(buckets);
  }

  *#visit(
    blocks: readonly Int32Array[],
    count: number,
    visit: (block: Int32Array, at: number) => void,
  ): Generator<void> {
    let left = count;
    for (const block of blocks) {
      for (let at = 0; at < block.length && left > 0; at += this.#width) {
        visit(block, at);
        if (--left % keyStep === 0) yield;
      }
    }
  }

  /** Moves the keys to the left, over those that are in their bucket already. */
  *#removeRepeated(buckets: number): Generator<void> {
    const words = this.#words;
    const width = this.#width;
    const index = this.#index;
    const { start } = this;
    let kept = 0;
    let from = 0;
    for (let bucket = 0; bucket < buckets; bucket++) {
      const end = words[index + bucket + 1]!;
      const first = kept;
      for (; from < end; from++) {
        const at = start + from * width;
        if (from % keyStep === 0) yield; // a key that is repeated a million times is in one bucket
        if (this.#find(first, kept, words, at)) continue;
        words.copyWithin(start + kept++ * width, at, at + width);
      }
      words[index + bucket] = first;
      if (bucket % bucketStep === 0) yield;
    }
    words[index + buckets] = kept;
    words[sizeAt] = kept;
  }

  /** Returns whether the set has the key at `from[at..]`. */
  has(from: Int32Array, at = 0): boolean {
    const words = this.#words;
    const place = this.#index + this.#bucket(from, at);
    return this.#find(words[place]!, words[place + 1]!, from, at);
  }

  #bucket(from: Int32Array, at: number): number {
    const words = this.#words;
    const hash = hashWords(from, at, this.#width, 0, words, hashKeysAt);
    return Math.floor(((hash >>> 0) * words[bucketsAt]!) / 0x100000000);
  }

  /** Searches the keys with the numbers `first` to `end` for the key at `from[at..]`. */
  #find(first: number, end: number, from: Int32Array, at: number): boolean {
    const words = this.#words;
    const width = this.#width;
    const { start } = this;
    const stop = Math.min(start + end * width, words.length);
    for (let key = Math.max(start + first * width, 0); key < stop; key += width) {
      let i = 0;
      for (; i < width && words[key + i] === from[at + i]; i++);
      if (i === width) return true;
    }
    return false;
  }
}

/** Returns the words before the index for keys of `width` words. */
function headFor(width: number): number {
  return hashKeysAt + hashKeys(width);
}

function bucketsFor(keys: number): number {
  return Math.ceil(keys / bucketKeys);
}
