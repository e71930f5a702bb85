import type { Address, Family } from "./address.ts";

/**
 * An IP address that is kept for long, such as that of a WebSocket. Takes an eighth of the memory of an {@link Address}, whose
 * two views of its bytes serve addresses that are read and written often.
 */
export class KeptAddress {
  readonly family: Family;
  // Words of 32 bits with a sign are numbers that need no memory beside the object.
  readonly #word0: number;
  readonly #word1: number;
  readonly #word2: number;
  readonly #word3: number;

  constructor({ family, words }: Address) {
    this.family = family;
    this.#word0 = words[0]!;
    this.#word1 = words[1]!;
    this.#word2 = words[2]!;
    this.#word3 = words[3]!;
  }

  /** Writes the address into `out`. */
  copyTo(out: Address): void {
    out.family = this.family;
    out.words[0] = this.#word0;
    out.words[1] = this.#word1;
    out.words[2] = this.#word2;
    out.words[3] = this.#word3;
  }
}
