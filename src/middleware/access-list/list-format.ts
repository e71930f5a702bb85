/** Which of the two lists an entry is in. */
export type ListKind = "whitelist" | "blacklist";

/** What the entries of a list are, and how they are kept in memory. */
export interface ListFormat {
  /** Words of memory for so many entries. */
  words(entries: number): number;
  /** Begins to collect the entries of a new list. */
  collect(): ListCollector;
}

/** Collects entries, packed. */
export interface ListCollector {
  /** Entries so far, those that are twice in the list included. */
  readonly size: number;
  /** Takes the entry in `bytes[start..end)`, its comment included. @returns what is wrong with it */
  add(bytes: Uint8Array, start: number, end: number, kind: ListKind): string | undefined;
  /** Writes them into memory that another list may have been in, in steps of well under a millisecond. */
  write(words: Int32Array): Iterable<void>;
}
