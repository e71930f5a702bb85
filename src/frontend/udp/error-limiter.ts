import { type Address, networkKeys } from "../../ip/address.ts";
import { drawKeys } from "../../lib/keyed-hash.ts";

/** Maximum number of errors to an address per second. */
export const maxErrors = 32;
/** log2 of the number of counters. */
const bits = 12;

/**
 * Limits the errors to unverified addresses. A broken client, or the victim of a flood with a forged source, gets a few
 * errors per second; further requests are dropped. The table has a fixed size. Addresses that share a counter, such as
 * those of one IPv6 /64, may miss an error; their clients retry as after any lost datagram.
 */
export class ErrorLimiter {
  readonly #counts = new Uint8Array(1 << bits);
  /** Secret, so that an attacker cannot choose an address that shares the counter of another address. */
  readonly #keys: Int32Array;
  #second = -1;

  constructor(keys: Int32Array = drawKeys(networkKeys)) {
    this.#keys = keys;
  }

  /**
   * Counts an error for `address` and returns whether the error may be sent.
   * @param seconds  `seconds` of the clock
   */
  allows(address: Address, seconds: number): boolean {
    if (seconds !== this.#second) {
      this.#counts.fill(0);
      this.#second = seconds;
    }
    const index = address.hashNetwork(this.#keys) >>> (32 - bits);
    if (this.#counts[index]! >= maxErrors) return false;
    this.#counts[index]!++;
    return true;
  }
}
