import type { ListKind } from "./list-format.ts";

/** One list of an access hook, as operators see it, without their edits. Entries have one spelling each. */
export interface EditableList {
  /** Distinguishes the list in a configuration, and survives reloads: `torrent-approval-whitelist`. */
  readonly name: string;
  /** The hook that has the list. */
  readonly hook: string;
  readonly kind: ListKind;
  /** The type of the entries. */
  readonly entries: "torrents" | "clients" | "networks";
  /** Paths of the files that the list is read from. */
  readonly files: readonly string[];
  /** URLs that the list is read from, without their secrets. */
  readonly urls: readonly string[];
  /** Entries in the configuration itself. */
  readonly fixed: ReadonlySet<string>;
  /** Whether the list is in use. A list from files and URLs is in use after its first load. */
  readonly isLoaded: boolean;
  /** Returns the only spelling of an entry, or the problem of a text. */
  parse(text: string): { readonly entry: string } | { readonly problem: string };
  /** Returns the entry of one line of a file; undefined for any other line. */
  readLine(line: string): string | undefined;
  /** Entries of files, URLs and configuration; undefined if only a pass can tell it. */
  readonly size: number | undefined;
  /** Returns whether files, URLs and configuration have the entry. */
  has(entry: string): boolean;
  /** Returns all entries of files, URLs and configuration, as they are now. */
  snapshot(): Promise<Iterable<string>>;
  /** Makes edits effective in all workers, instead of all edits before. @param edits  whether an entry is listed */
  write(edits: ReadonlyMap<string, boolean>): Promise<void>;
}
