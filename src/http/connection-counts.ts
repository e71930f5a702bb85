import { type Address, networkKeys } from "../ip/address.ts";
import { drawKeys } from "../lib/keyed-hash.ts";

/** log2 of the number of counters. */
const bits = 12;

/**
 * Counts the open connections by address, so that no single one takes all that there may be. The table never grows: an
 * IPv6 network of 64 bits is one address, and addresses that share a counter are counted together.
 */
export class ConnectionCounts {
  readonly #counts = new Uint32Array(1 << bits);
  /** Secret, so that nobody can choose an address that shares the counter of another. */
  readonly #keys = drawKeys(networkKeys);

  /** @returns how many connections the address has now */
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
