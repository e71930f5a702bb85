/** The list of an entry. */
export type ListKind = "whitelist" | "blacklist";

/** The format of a list: its entries, and their layout in memory. */
export interface ListFormat {
  /** Returns the words of memory for `entries` entries. */
  words(entries: number): number;
  /** Creates a collector for the entries of a new list. */
  collect(): ListCollector;
}

/** Collects entries, packed. */
export interface ListCollector {
  /** The number of entries so far, duplicates included. */
  readonly size: number;
  /** Adds the entry in `bytes[start..end)`, which may have a comment. @returns the problem of the entry, or undefined */
  add(bytes: Uint8Array, start: number, end: number, kind: ListKind): string | undefined;
  /** Writes the entries over any previous list in the memory. Each step takes well under a millisecond. */
  write(words: Int32Array): Iterable<void>;
}
