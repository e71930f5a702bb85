import { infoHashLength } from "../../bittorrent/info-hash.ts";
import type { Address } from "../../ip/address.ts";
import { noPrefix, PrefixMap } from "../../ip/prefix-map.ts";
import { PrefixMapReader } from "../../ip/prefix-map-reader.ts";
import { DoubleBuffer } from "../../lib/double-buffer.ts";
import { HashSet } from "../../lib/hash-set.ts";

/** How many networks can be banned, and how many torrents. Memory is reserved for all of them, and committed as it is used. */
export const maxBans = 1_000_000;

/** Words of an infohash. */
export const torrentWidth: number = infoHashLength / 4;

/**
 * The bans of the operator, in memory that all threads share. The main thread writes it, so a change reaches all workers at
 * the swap of a {@link DoubleBuffer}. Generation 0 means that nothing was ever banned.
 */
export class BanMemory {
  /** A {@link PrefixMap} in each half. */
  readonly networks: DoubleBuffer;
  /** A {@link HashSet} of infohashes in each half. */
  readonly torrents: DoubleBuffer;

  private constructor(networks: SharedArrayBuffer, torrents: SharedArrayBuffer) {
    this.networks = new DoubleBuffer(networks);
    this.torrents = new DoubleBuffer(torrents);
  }

  /** @param buffer  returns the same memory in every thread, zero at first */
  static async open(
    buffer: (name: string, bytes: number) => Promise<SharedArrayBuffer>,
    most: number = maxBans,
  ): Promise<BanMemory> {
    return new BanMemory(
      await buffer("bans/networks", DoubleBuffer.bytes(PrefixMap.words(most))),
      await buffer("bans/torrents", DoubleBuffer.bytes(HashSet.words(torrentWidth, most))),
    );
  }
}

/** Looks bans up, in one thread. Never allocates, except after a change. */
export class BanReader {
  readonly #networks: PrefixMapReader;
  readonly #memory: BanMemory;
  readonly #torrents: readonly [HashSet, HashSet];

  constructor(memory: BanMemory) {
    this.#networks = new PrefixMapReader(memory.networks);
    this.#memory = memory;
    const [even, odd] = memory.torrents.halves;
    this.#torrents = [new HashSet(torrentWidth, even), new HashSet(torrentWidth, odd)];
  }

  /** Whether nothing was ever banned. False after the last ban has been lifted. */
  get isEmpty(): boolean {
    return this.#memory.torrents.generation === 0 && this.#memory.networks.generation === 0;
  }

  hasAddress(address: Address): boolean {
    return this.#networks.find(address) !== noPrefix;
  }

  /** @param words  infohash in machine words, from `at` on */
  hasTorrent(words: Int32Array, at = 0): boolean {
    const memory = this.#memory.torrents;
    for (;;) {
      const { generation } = memory;
      if (generation === 0) return false;
      const isBanned = this.#torrents[(generation & 1) as 0 | 1].has(words, at);
      if (memory.generation === generation) return isBanned;
    }
  }
}
