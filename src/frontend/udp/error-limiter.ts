import { type Address, networkKeys } from "../../ip/address.ts";
import { drawKeys } from "../../lib/keyed-hash.ts";

/** Errors that an address gets within a second. */
export const maxErrors = 32;
/** log2 of the number of counters. */
const bits = 12;

/**
 * Bounds what is answered to unverified addresses: a client that has gone wrong, or a flood in somebody's
 * name, gets a few errors a second and then silence. The table never grows. Addresses that share a counter (an IPv6
 * network of 64 bits always does) may miss an error, and retry as after any lost datagram.
 */
export class ErrorLimiter {
  readonly #counts = new Uint8Array(1 << bits);
  /** Secret, so that nobody can choose an address that shares the counter of another. */
  readonly #keys = drawKeys(networkKeys);
  #second = -1;

  /**
   * Counts one more error for `address` and returns whether it may be sent.
   * @param seconds  the time, on the clock of seconds
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
