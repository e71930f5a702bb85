import { type Address, networkKeys } from "../ip/address.ts";
import { shareKeys } from "../lib/keyed-hash.ts";

/** The number of possible buckets of one address. */
const ways = 8;

/** Bytes of the keys of both hashes. */
const headBytes = 2 * networkKeys * 4;

/** How far the clock of a stalled thread may be behind, in seconds. */
const clockSkew = 10;

/** Returns the bytes of a table for `addresses` addresses; the number of sets is a power of two. */
export function bucketBytes(addresses: number): number {
  const sets = 2 ** Math.ceil(Math.log2(Math.max(1, addresses / ways)));
  return headBytes + sets * ways * 12;
}

/**
 * Token buckets of addresses, in memory of fixed size that threads may share. An IPv6 network of 64 bits counts as one
 * address.
 *
 * Shape: the keys of two hashes; then a float64 for each bucket: the second at which the bucket will be full again;
 * then a 32-bit tag for each bucket: a second hash of its address. Eight buckets form a set, and the first hash selects
 * the set.
 *
 * Both hashes have secret keys, so an attacker cannot choose addresses that share a bucket: two addresses of a set do
 * with a probability of 2^-31. If a set has no bucket for an address, the address gets the bucket that will be full
 * first, filled up. So a flood of addresses loosens the limit, but never takes a token from another address.
 *
 * Threads write without locks. If two threads write one bucket at the same instant, one write is lost, and one request
 * too many passes.
 */
export class Buckets {
  readonly #fullAt: Float64Array;
  readonly #tags: Int32Array;
  readonly #setMask: number;
  readonly #keys: Int32Array;
  /** Seconds until a token comes back. */
  readonly #period: number;
  /** Seconds from an empty bucket to a full one. */
  readonly #depth: number;

  /**
   * @param memory  {@link bucketBytes}, zeroed or in use by other threads
   * @param rate    tokens added per second
   * @param burst   tokens in a full bucket
   */
  constructor(memory: SharedArrayBuffer, rate: number, burst: number) {
    const buckets = (memory.byteLength - headBytes) / 12;
    this.#fullAt = new Float64Array(memory, headBytes, buckets);
    this.#tags = new Int32Array(memory, headBytes + buckets * 8, buckets);
    this.#setMask = buckets / ways - 1;
    this.#keys = shareKeys(new Int32Array(memory, 0, 2 * networkKeys));
    this.#period = 1 / rate;
    this.#depth = burst / rate;
  }

  /** Takes a token of the address, if one is left. Never allocates; constant time. @param now  seconds */
  take(address: Address, now: number): boolean {
    const fullAt = this.#fullAt;
    const tags = this.#tags;
    const tag = this.#tagOf(address);
    const bucket = this.#find(address, tag);
    if (tags[bucket] !== tag) {
      tags[bucket] = tag;
      fullAt[bucket] = now;
    }
    const fullIfEmpty = now + this.#depth;
    // A bucket from before a reload may be more seconds below full than its size now; count it as empty.
    if (fullAt[bucket]! > fullIfEmpty + clockSkew) fullAt[bucket] = fullIfEmpty;
    const next = Math.max(fullAt[bucket]!, now) + this.#period;
    // The small addition corrects rounding: three times a third of a second is more than one.
    if (next > fullIfEmpty + 1e-6) return false;
    fullAt[bucket] = next;
    return true;
  }

  /** Returns whether the address has a token left, and takes none. Never allocates; constant time. @param now  seconds */
  has(address: Address, now: number): boolean {
    const tag = this.#tagOf(address);
    const bucket = this.#find(address, tag);
    return this.#tags[bucket] !== tag || this.#fullAt[bucket]! + this.#period <= now + this.#depth + 1e-6;
  }

  #tagOf(address: Address): number {
    return address.hashNetwork(this.#keys, networkKeys) | 1;
  }

  /** Returns the bucket of the address, or else the one of its set that will be full first. */
  #find(address: Address, tag: number): number {
    const first = (address.hashNetwork(this.#keys) & this.#setMask) * ways;
    let bucket = first;
    for (let at = first; at < first + ways; at++) {
      if (this.#tags[at] === tag) return at;
      if (this.#fullAt[at]! < this.#fullAt[bucket]!) bucket = at;
    }
    return bucket;
  }
}
