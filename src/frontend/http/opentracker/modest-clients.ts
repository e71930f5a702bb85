import type { Address } from "../../../ip/address.ts";
import type { Clock } from "../../../lib/clock.ts";
import { hashKeys, hashWords, shareKeys } from "../../../lib/keyed-hash.ts";

/** Seconds between two full scrapes of one client, as in opentracker. */
const pause = 300;
/** Clients that are remembered, in sets of {@link ways}. */
const most = 4096;
const ways = 8;
/** Words of an address. */
const words = 4;
const keyBytes = hashKeys(words) * 4;

/**
 * Bounds the full scrapes of strangers: one for each IPv4 address or /64 of IPv6 in five minutes, by all threads together.
 *
 * Shape: the keys of a hash, padded to 8 bytes, then for each client 32 bits of its hash and 32 bits of seconds. A set that
 * is full forgets its oldest client.
 */
export class ModestClients {
  /** Bytes of the memory that all threads share, zero at first. */
  static readonly bytes: number = align(keyBytes) + most * 8;
  readonly #clock: Pick<Clock, "seconds">;
  readonly #keys: Int32Array;
  readonly #clients: BigInt64Array;
  readonly #words = new Int32Array(words);

  constructor(clock: Pick<Clock, "seconds">, memory: SharedArrayBuffer) {
    this.#clock = clock;
    this.#keys = shareKeys(new Int32Array(memory, 0, keyBytes / 4));
    this.#clients = new BigInt64Array(memory, align(keyBytes), most);
  }

  /** Counts a full scrape. @returns 0 if it is allowed, otherwise the seconds to wait */
  take(client: Address): number {
    const { seconds } = this.#clock;
    const hash = this.#hash(client);
    const first = ((hash >>> 0) % (most / ways)) * ways;
    for (;;) {
      let oldest = first;
      for (let at = first; at < first + ways; at++) {
        const entry = Atomics.load(this.#clients, at);
        const elapsed = seconds - sinceOf(entry);
        if (entry !== 0n && hashOf(entry) === hash && elapsed < pause) return pause - elapsed;
        if (sinceOf(entry) < sinceOf(Atomics.load(this.#clients, oldest))) oldest = at;
      }
      const before = Atomics.load(this.#clients, oldest);
      const own = (BigInt(hash) << 32n) | BigInt(seconds);
      // Another thread may have taken the place, even for this client.
      if (Atomics.compareExchange(this.#clients, oldest, before, own) === before) return 0;
    }
  }

  #hash({ family, words: given }: Address): number {
    this.#words.fill(0);
    for (let i = 0; i < (family === 4 ? 1 : 2); i++) this.#words[i] = given[i]!;
    return hashWords(this.#words, 0, words, family, this.#keys, 0);
  }
}

function hashOf(entry: bigint): number {
  return Number(entry >> 32n);
}

function sinceOf(entry: bigint): number {
  return Number(entry & 0xffff_ffffn);
}

function align(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}
