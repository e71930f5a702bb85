import { type Address, networkKeys } from "../../ip/address.ts";
import { shareKeys } from "../../lib/keyed-hash.ts";

/** Buckets in which one address may be. */
const ways = 8;

/** Bytes of the keys of both hashes. */
const headBytes = 2 * networkKeys * 4;

/** Seconds by which the clock of a thread that was held up may be behind. */
const clockSkew = 10;

/** Bytes of a table for so many addresses; a power of two of sets. */
export function bucketBytes(addresses: number): number {
  const sets = 2 ** Math.ceil(Math.log2(Math.max(1, addresses / ways)));
  return headBytes + sets * ways * 12;
}

/**
 * Token buckets of addresses in fixed memory, which threads may share; an IPv6 network of 64 bits is one address.
 *
 * Shape: the keys of two hashes, then a float64 for each bucket: the second at which it will be full
 * again. Behind them a 32-bit tag for each bucket: a second hash of its address. Eight buckets are a set, and the first
 * hash chooses the set.
 *
 * Both hashes have secret keys, so that nobody can choose addresses that share a bucket: two of a set do with a
 * probability of 2^-31. Where a set has no bucket of an address, the one that is full soonest is given to it, full: what is
 * forgotten thereby is a debt. So a flood of addresses makes the limit looser, and never takes a token from anybody.
 *
 * Threads write without locks. Of two that write one bucket in the same instant one is lost: a request too many passes.
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
   * @param memory  {@link bucketBytes}, zeroed, or used by others
   * @param rate    tokens that come back in a second
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

  /** Takes a token of the address, if it has one left. Never allocates; constant. @param now  seconds */
  take(address: Address, now: number): boolean {
    const fullAt = this.#fullAt;
    const tags = this.#tags;
    const tag = address.hashNetwork(this.#keys, networkKeys) | 1;
    const first = (address.hashNetwork(this.#keys) & this.#setMask) * ways;
    let bucket = first;
    for (let at = first; at < first + ways; at++) {
      if (tags[at] === tag) {
        bucket = at;
        break;
      }
      if (fullAt[at]! < fullAt[bucket]!) bucket = at;
    }
    if (tags[bucket] !== tag) {
      tags[bucket] = tag;
      fullAt[bucket] = now;
    }
    const fullIfEmpty = now + this.#depth;
    // A debt from before a reload may be one of many more seconds; now it is an empty bucket.
    if (fullAt[bucket]! > fullIfEmpty + clockSkew) fullAt[bucket] = fullIfEmpty;
    const next = Math.max(fullAt[bucket]!, now) + this.#period;
    // A little more, because a third of a second three times is more than one.
    if (next > fullIfEmpty + 1e-6) return false;
    fullAt[bucket] = next;
    return true;
  }
}
