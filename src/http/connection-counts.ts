import { type Address, networkKeys } from "../ip/address.ts";
import { drawKeys } from "../lib/keyed-hash.ts";

/** log2 of the number of counters. */
const bits = 12;

/**
 * Counts the open connections by address, so that no address can use all connections. The table has a fixed size. An IPv6
 * /64 counts as one address, and addresses that share a counter are counted together.
 */
export class ConnectionCounts {
  readonly #counts = new Uint32Array(1 << bits);
  /** Secret, so that an attacker cannot choose an address that shares the counter of another address. */
  readonly #keys: Int32Array;

  constructor(keys: Int32Array = drawKeys(networkKeys)) {
    this.#keys = keys;
  }

  /** Counts a new connection. @returns the number of connections of the address */
  add(address: Address): number {
    return ++this.#counts[this.#slot(address)]!;
  }

  remove(address: Address): void {
    this.#counts[this.#slot(address)]!--;
  }

  #slot(address: Address): number {
    return address.hashNetwork(this.#keys) >>> (32 - bits);
  }
}
