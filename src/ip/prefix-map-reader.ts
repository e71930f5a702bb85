import type { DoubleBuffer } from "../lib/double-buffer.ts";
import type { Address } from "./address.ts";
import { noPrefix, PrefixMap } from "./prefix-map.ts";

/** Looks addresses up in the current one of two maps, which another thread writes and swaps. */
export class PrefixMapReader {
  readonly #memory: DoubleBuffer;
  #map: PrefixMap = PrefixMap.empty();
  /** The generation of `#map`. */
  #mapped = 0;

  constructor(memory: DoubleBuffer) {
    this.#memory = memory;
  }

  /** @returns the value of the longest prefix that contains the address, or {@link noPrefix}; that too before the first map */
  find(address: Address): number {
    for (;;) {
      const { generation, halves } = this.#memory;
      if (generation === 0) return noPrefix;
      if (this.#mapped !== generation) {
        this.#map = PrefixMap.in(halves[(generation & 1) as 0 | 1]);
        this.#mapped = generation;
      }
      const value = this.#map.find(address);
      if (this.#memory.generation === generation) return value;
    }
  }
}
