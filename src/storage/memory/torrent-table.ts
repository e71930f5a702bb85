import { hashWords } from "../../lib/keyed-hash.ts";
import { RecordAllocator } from "./allocator.ts";
import {
  Control,
  type StoreMemory,
  Stripe,
  stripeCount,
  stripeStride,
  Torrent,
  torrentWords,
} from "./layout.ts";
import { lock, tryLock, unlock } from "./lock.ts";
import { reverseBits } from "./reverse-bits.ts";

/**
 * Finds torrents by infohash: a chained hash table that grows by one bucket at a time (linear hashing), so no announce
 * waits for a rehash and memory is touched only as needed.
 *
 * There are always at least {@link stripeCount} buckets, so a bucket and the bucket split off it belong to one stripe:
 * the low bits of the hash. The holder of a stripe's lock may use the stripe's chains and torrents.
 */
export class TorrentTable {
  readonly torrents: Int32Array;
  readonly control: Int32Array;
  /** Locks and counts. */
  readonly stripes: Int32Array;
  /** Word offset of the stripe whose lock this thread holds or held last. */
  held = 0;
  readonly #heads: Int32Array;
  readonly #allocator: RecordAllocator;
  readonly #owner: number;

  constructor(memory: StoreMemory, owner: number) {
    this.torrents = new Int32Array(memory.torrents);
    this.control = new Int32Array(memory.control);
    this.stripes = new Int32Array(memory.stripes);
    this.#heads = new Int32Array(memory.heads);
    this.#owner = owner;
    this.#allocator = new RecordAllocator(
      this.torrents,
      torrentWords,
      Torrent.next,
      this.control,
      Control.torrentTop,
      Control.torrentFree,
      owner,
    );
  }

  get bucketCount(): number {
    return this.control[Control.buckets]!;
  }

  /** Hashes the infohash in `words[from..from+5)`. */
  hash(words: Int32Array, from: number): number {
    return hashWords(words, from, 5, 0, this.control, Control.keys);
  }

  /** Takes the lock of the stripe of a hash (or a bucket). */
  lock(hash: number): void {
    const at = (hash & (stripeCount - 1)) * stripeStride;
    lock(this.stripes, at + Stripe.lock, this.#owner);
    this.held = at;
  }

  unlock(hash: number): void {
    unlock(this.stripes, (hash & (stripeCount - 1)) * stripeStride + Stripe.lock);
  }

  /** Returns the first torrent of a bucket, or 0. */
  first(bucket: number): number {
    return this.#heads[bucket]!;
  }

  /** Returns the next torrent in a chain, or 0. */
  next(id: number): number {
    return this.torrents[id * torrentWords + Torrent.next]!;
  }

  /** @returns the number of the torrent, or 0. The stripe is locked. */
  find(words: Int32Array, from: number, hash: number): number {
    const torrents = this.torrents;
    let id = this.#heads[this.#bucket(hash)]!;
    while (id !== 0) {
      const at = id * torrentWords;
      if (
        torrents[at] === words[from] &&
        torrents[at + 1] === words[from + 1] &&
        torrents[at + 2] === words[from + 2] &&
        torrents[at + 3] === words[from + 3] &&
        torrents[at + 4] === words[from + 4]
      ) {
        return id;
      }
      id = torrents[at + Torrent.next]!;
    }
    return 0;
  }

  /** Adds a torrent without peers. @returns its number, or 0 if there is no room. The stripe is locked. */
  add(words: Int32Array, hash: number): number {
    const id = this.#allocator.allocate();
    if (id === 0) return 0;
    const at = id * torrentWords;
    for (let i = 0; i < 5; i++) this.torrents[at + i] = words[i]!;
    const bucket = this.#bucket(hash);
    this.torrents[at + Torrent.next] = this.#heads[bucket]!;
    this.#heads[bucket] = id;
    this.#count(1);
    return id;
  }

  /** Removes a torrent from its chain. The stripe is locked. */
  remove(id: number, hash: number): void {
    const torrents = this.torrents;
    const bucket = this.#bucket(hash);
    const next = torrents[id * torrentWords + Torrent.next]!;
    let before = this.#heads[bucket]!;
    if (before === id) {
      this.#heads[bucket] = next;
    } else {
      while (torrents[before * torrentWords + Torrent.next] !== id) {
        before = torrents[before * torrentWords + Torrent.next]!;
      }
      torrents[before * torrentWords + Torrent.next] = next;
    }
    this.#count(-1);
    this.#allocator.free(id);
  }

  /** Returns how many low bits all hashes of a bucket have in common. The stripe of the bucket is locked. */
  sharedBits(hash: number): number {
    const { bucketCount } = this;
    const level = 31 - Math.clz32(bucketCount);
    const isSplit = (hash & ((1 << level) - 1)) + (1 << level) < bucketCount;
    return isSplit ? level + 1 : level;
  }

  /**
   * Lists the torrents of the bucket of a hash in the order of {@link compare}. A bucket is a range of reversed hashes,
   * and splitting a bucket makes two ranges, so a walk over the ranges meets each torrent once. The stripe is locked.
   */
  listBucket(hash: number): number[] {
    const ids: number[] = [];
    for (let id = this.#heads[this.#bucket(hash)]!; id !== 0; id = this.next(id)) ids.push(id);
    if (ids.length < 2) return ids;
    const { torrents } = this;
    return ids.sort((a, b) => this.compare(a * torrentWords, torrents, b * torrentWords));
  }

  /**
   * Compares a torrent with the infohash in `words[from..from+5)`: by the reversed bits of their hashes, then by words.
   * @param at  offset of the torrent
   * @returns less than 0, 0, or more than 0
   */
  compare(at: number, words: Int32Array, from: number): number {
    const { torrents } = this;
    const order = reverseBits(this.hash(torrents, at)) - reverseBits(this.hash(words, from));
    for (let i = 0; i < 5; i++) {
      const difference = order || torrents[at + i]! - words[from + i]!;
      if (difference !== 0) return difference;
    }
    return 0;
  }

  /** Splits one bucket if there are more torrents than buckets. No stripe is locked. */
  grow(): void {
    const { control, torrents } = this;
    if (control[Control.torrents]! <= control[Control.buckets]!) return;
    if (!tryLock(control, Control.growLock, this.#owner)) return;
    const buckets = control[Control.buckets]!;
    if (buckets < this.#heads.length) {
      const half = 1 << (31 - Math.clz32(buckets));
      const bucket = buckets - half;
      this.lock(bucket);
      // Moves one torrent at a time, so that no torrent is lost with the thread; repair.ts moves the rest.
      Atomics.store(control, Control.buckets, buckets + 1);
      let before = 0;
      let id = this.#heads[bucket]!;
      while (id !== 0) {
        const at = id * torrentWords;
        const next = torrents[at + Torrent.next]!;
        if ((this.hash(torrents, at) & half) !== 0) {
          if (before === 0) this.#heads[bucket] = next;
          else torrents[before * torrentWords + Torrent.next] = next;
          torrents[at + Torrent.next] = this.#heads[buckets]!;
          this.#heads[buckets] = id;
        } else {
          before = id;
        }
        id = next;
      }
      this.unlock(bucket);
    }
    unlock(control, Control.growLock);
  }

  /** Visits the torrents of a locked stripe, and moves each into its proper bucket. */
  rechain(stripe: number, visit: (id: number) => void): void {
    const ids = new Set<number>();
    for (let bucket = stripe; bucket < this.bucketCount; bucket += stripeCount) {
      for (let id = this.#heads[bucket]!; id !== 0; id = this.next(id)) ids.add(id);
      this.#heads[bucket] = 0;
    }
    for (const id of ids) {
      const at = id * torrentWords;
      const bucket = this.#bucket(this.hash(this.torrents, at));
      this.torrents[at + Torrent.next] = this.#heads[bucket]!;
      this.#heads[bucket] = id;
      visit(id);
    }
  }

  #count(torrents: 1 | -1): void {
    const at = this.held + Stripe.torrents;
    this.stripes[at] = this.stripes[at]! + torrents;
    Atomics.add(this.control, Control.torrents, torrents);
  }

  /** Returns the bucket of a hash, while only some buckets of the current level have been split. */
  #bucket(hash: number): number {
    const buckets = this.control[Control.buckets]!;
    const half = 1 << (31 - Math.clz32(buckets));
    const bucket = hash & (2 * half - 1);
    return bucket < buckets ? bucket : bucket - half;
  }
}
