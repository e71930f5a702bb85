import type { Address } from "../../ip/address.ts";

/** log2 of the number of counters. */
const bits = 12;

/**
 * Counts the open connections by address, so that no single one takes all that there may be. The table never grows: an
 * IPv6 network of 64 bits is one address, and addresses that share a counter are counted together.
 */
export class ConnectionCounts {
  readonly #counts = new Uint32Array(1 << bits);
  /** Unpredictable, so that nobody can choose an address that shares the counter of another. */
  readonly #seed = (Math.random() * 2 ** 32) | 0;

  /** @returns how many connections the address has now */
  add(address: Address): number {
    return ++this.#counts[this.#slot(address)]!;
  }

  remove(address: Address): void {
    this.#counts[this.#slot(address)]!--;
  }

  #slot(address: Address): number {
    return address.hashNetwork(this.#seed) >>> (32 - bits);
  }
}
