import type { Address } from "../../ip/address.ts";
import { PrefixMap, type PrefixMapBuilder } from "../../ip/prefix-map.ts";
import { PrefixMapReader } from "../../ip/prefix-map-reader.ts";
import { DoubleBuffer } from "../../lib/double-buffer.ts";
import { HashSet } from "../../lib/hash-set.ts";

/** How many entries of one list operators can add and remove. Memory is reserved for all, and committed as it is used. */
export const maxEdits = 100_000;

/** Returns the name of the memory of edits within a hook. */
export function editsName(kind: string): string {
  return `${kind} edits`;
}

/**
 * The entries that operators have added to a list of keys, or removed from it, in memory that all threads share. Edits win
 * over the list, and a reload of the list does not change them.
 *
 * Shape: each half of a {@link DoubleBuffer} has a {@link HashSet} of added keys, then one of removed keys.
 */
export class KeyEdits {
  readonly #memory: DoubleBuffer;
  readonly #width: number;
  readonly #sets: readonly [added: HashSet, removed: HashSet][];

  constructor(memory: SharedArrayBuffer, width: number) {
    this.#width = width;
    this.#memory = new DoubleBuffer(memory);
    const words = HashSet.words(width, maxEdits);
    this.#sets = this.#memory.halves.map((half) => [
      new HashSet(width, half.subarray(0, words)),
      new HashSet(width, half.subarray(words)),
    ]);
  }

  /** Returns the bytes of memory for keys of `width` words. */
  static bytes(width: number): number {
    return DoubleBuffer.bytes(2 * HashSet.words(width, maxEdits));
  }

  /** Returns whether the key at `words[at..]` is listed; undefined if there is no edit of it. Never allocates. */
  find(words: Int32Array, at: number): boolean | undefined {
    for (;;) {
      const { generation } = this.#memory;
      if (generation === 0) return undefined;
      const [added, removed] = this.#sets[generation & 1]!;
      const isAdded = added.has(words, at);
      const isRemoved = !isAdded && removed.has(words, at);
      if (this.#memory.generation === generation) return isAdded ? true : isRemoved ? false : undefined;
    }
  }

  /**
   * Replaces all edits, in steps; the last step makes them effective in all threads. Only one thread writes. The first step
   * reads all of `edits`, which may change afterwards.
   * @param edits  whether each entry is listed; at most {@link maxEdits}
   * @param keyOf  returns the key of an entry
   */
  *write(edits: ReadonlyMap<string, boolean>, keyOf: (entry: string) => Int32Array): Generator<void> {
    const width = this.#width;
    const pack = (wanted: boolean): Int32Array => {
      const entries = [...edits].filter(([, isListed]) => isListed === wanted);
      const words = new Int32Array(entries.length * width);
      for (const [n, [entry]] of entries.entries()) words.set(keyOf(entry), n * width);
      return words;
    };
    const [added, removed] = [pack(true), pack(false)];
    const [toAdded, toRemoved] = this.#sets[(this.#memory.generation & 1) ^ 1]!;
    yield* toAdded.write([added], added.length / width);
    yield* toRemoved.write([removed], removed.length / width);
    this.#memory.swap();
  }
}

/**
 * The networks that operators have added to lists of networks, or removed from them, like {@link KeyEdits}. The value of a
 * network says whether its addresses pass, and how long its prefix is: see {@link networkValue}.
 */
export class NetworkEdits {
  readonly #memory: DoubleBuffer;
  readonly #reader: PrefixMapReader;

  constructor(memory: SharedArrayBuffer) {
    this.#memory = new DoubleBuffer(memory);
    this.#reader = new PrefixMapReader(this.#memory);
  }

  static bytes(): number {
    return DoubleBuffer.bytes(PrefixMap.words(2 * maxEdits));
  }

  /** Returns the value for an address: that of the longest prefix, and of an edit rather than of the list. */
  decide(address: Address, listed: number): number {
    const edited = this.#reader.find(address);
    return edited >> 1 >= listed >> 1 ? edited : listed;
  }

  /** Replaces all edits, like {@link KeyEdits.write}. @param networks  with a {@link networkValue} each; at most twice {@link maxEdits} */
  *write(networks: PrefixMapBuilder): Generator<void> {
    const { generation, halves } = this.#memory;
    yield* networks.write(halves[generation & 1 ? 0 : 1]);
    this.#memory.swap();
  }
}

/** The value of a network in a {@link PrefixMap} of an access list. Networks with other prefixes never have the same value. */
export function networkValue(prefix: number, passes: boolean): number {
  return (prefix << 1) | (passes ? 1 : 0);
}
