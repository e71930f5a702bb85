import { HashSet } from "../../lib/hash-set.ts";
import type { ListCollector, ListFormat } from "./list-format.ts";

/** Keys in one block. */
const blockKeys = 16_384;

/**
 * Writes the key of an entry into `out`, which is zero.
 * @returns the problem of the entry, or undefined
 */
export type ParseKey = (bytes: Uint8Array, start: number, end: number, out: Uint8Array) => string | undefined;

/** The format of lists whose entries are keys of `width` words, kept as a {@link HashSet}. */
export function keyListFormat(width: number, parse: ParseKey): ListFormat {
  return {
    words: (entries) => HashSet.words(width, entries),
    collect: () => new KeyCollector(width, parse),
  };
}

class KeyCollector implements ListCollector {
  size = 0;
  readonly #width: number;
  readonly #parse: ParseKey;
  readonly #blocks: Int32Array<ArrayBuffer>[] = [];
  readonly #key: Int32Array;
  readonly #keyBytes: Uint8Array;

  constructor(width: number, parse: ParseKey) {
    this.#width = width;
    this.#parse = parse;
    this.#key = new Int32Array(width);
    this.#keyBytes = new Uint8Array(this.#key.buffer);
  }

  add(bytes: Uint8Array, start: number, end: number): string | undefined {
    this.#key.fill(0);
    const wrong = this.#parse(bytes, start, end, this.#keyBytes);
    if (wrong !== undefined) return wrong;
    const index = this.size++ % blockKeys;
    if (index === 0) this.#blocks.push(new Int32Array(blockKeys * this.#width));
    this.#blocks.at(-1)!.set(this.#key, index * this.#width);
    return undefined;
  }

  *write(words: Int32Array): Generator<void> {
    yield* new HashSet(this.#width, words).write(this.#blocks, this.size);
    // Frees the memory now: the garbage collector of an idle thread may not run for hours.
    for (const block of this.#blocks.splice(0)) block.buffer.transfer(0);
  }
}
