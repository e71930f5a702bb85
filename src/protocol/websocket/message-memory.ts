/** A reader of messages, as the memory sees it. */
export interface MemoryHolder {
  /** Length of the piece that it holds, in bytes. */
  readonly held: number;
  /** Fails its client, because the memory is needed for other clients. Must release the piece. */
  evict(): void;
}

/** log2 of the smallest piece of memory. */
const minBits = 8;
const maxBits = 31;

/**
 * The memory of all incomplete messages of a server, up to a limit in all. If the limit is reached, the client with the
 * largest piece loses its connection, so slow clients cannot use up the memory of the others.
 */
export class MessageMemory {
  readonly #limit: number;
  /** The readers that hold memory, by log2 of its size. */
  readonly #readers: Set<MemoryHolder>[] = Array.from({ length: maxBits + 1 }, () => new Set());
  #used = 0;

  /** @param limit  in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes that the readers hold. */
  get used(): number {
    return this.#used;
  }

  /**
   * Lends a larger piece to a reader, which copies its bytes and drops the old piece.
   * @returns at least `needed` bytes; undefined if the piece of the reader would be the largest and the limit is reached
   */
  grow(reader: MemoryHolder, needed: number): Uint8Array | undefined {
    const bits = Math.max(minBits, 32 - Math.clz32(needed - 1));
    const size = 2 ** bits;
    while (this.#used - reader.held + size > this.#limit) {
      const largest = this.#largest(bits);
      if (largest === undefined || largest === reader) return undefined;
      largest.evict();
    }
    this.release(reader);
    this.#used += size;
    this.#readers[bits]!.add(reader);
    return new Uint8Array(size);
  }

  /** Takes back what a reader holds. */
  release(reader: MemoryHolder): void {
    const { held } = reader;
    if (held === 0 || !this.#readers[31 - Math.clz32(held)]!.delete(reader)) return;
    this.#used -= held;
  }

  /** Returns the reader that holds the largest piece of at least 2 ** `least` bytes. */
  #largest(least: number): MemoryHolder | undefined {
    for (let bits = maxBits; bits >= least; bits--) {
      for (const reader of this.#readers[bits]!) return reader;
    }
    return undefined;
  }
}
