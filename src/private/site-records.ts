import { unprintable } from "../lib/legible.ts";

/** The kinds of records that operators of a site without software of its own keep. */
export const recordKinds = ["users", "torrents", "groups", "grants", "clients"] as const;
export type RecordKind = (typeof recordKinds)[number];

/**
 * A record with the names of the columns in docs/private.md. Flags are booleans, infohashes are hexadecimal digits, prefixes of peer
 * ids are text of one character per byte, times are seconds since 1970. Byte counts are bigints.
 */
export type SiteRow = Readonly<Record<string, string | number | bigint | boolean | null>>;

/** The `code` of a {@link RecordError}, which is left of it in another thread. */
export const recordErrorCode = "record";

/** A mistake of the operator, or one that the database found; the message has the remedy. */
export class RecordError extends Error {
  readonly code: string = recordErrorCode;
}

/**
 * The records of a site, for operators. The key of a user, torrent or group is its id; of a grant, user and torrent as `7:9`; of a
 * client, its prefix. A torrent is also found by an infohash of 40 or 64 hexadecimal digits, a user or group by `name:NAME`.
 */
export interface SiteRecords {
  /** Lists records in the order of their keys, after the key `after`; "" for the first. */
  list(kind: RecordKind, after: string, limit: number): Promise<SiteRow[]>;
  get(kind: RecordKind, key: string): Promise<SiteRow | undefined>;
  /** Adds a record. A user, torrent or group without id gets one. @throws RecordError if there is such a record already */
  add(kind: RecordKind, row: SiteRow): Promise<SiteRow>;
  /** Changes the given columns. @returns the record, or undefined if there is none @throws RecordError */
  change(kind: RecordKind, key: string, fields: SiteRow): Promise<SiteRow | undefined>;
  /** @returns whether there was such a record */
  remove(kind: RecordKind, key: string): Promise<boolean>;
}

/** Checks the name of a user or a group that an operator gives. @returns the problem, or undefined */
export function checkRecordName(name: string): string | undefined {
  if (name.length < 1 || name.length > 64) return "expected 1 to 64 characters";
  if (name.search(unprintable) >= 0 || !name.isWellFormed())
    return "expected text without control characters";
  // What stands for bytes that are not of UTF-8 would stand for other bytes too.
  if (name.includes("\ufffd")) return "expected text in UTF-8";
  return name.trim() === name ? undefined : "expected no space at the beginning or the end";
}

/** Checks the prefix of a rule about clients that an operator gives. @returns the problem, or undefined */
export function checkClientPrefix(prefix: string): string | undefined {
  return /^[ -~]{1,20}$/.test(prefix) ? undefined : "expected the 1 to 20 first characters of a peer id";
}

/** A call of {@link SiteRecords} as a message between threads. */
export type RecordCall =
  | { op: "list"; kind: RecordKind; after: string; limit: number }
  | { op: "get" | "remove"; kind: RecordKind; key: string }
  | { op: "add"; kind: RecordKind; row: SiteRow }
  | { op: "change"; kind: RecordKind; key: string; row: SiteRow };

/** Makes a call. @returns the records that it lists, adds, finds, changes or removes */
export async function callRecords(records: SiteRecords, call: RecordCall): Promise<SiteRow[]> {
  switch (call.op) {
    case "list":
      return records.list(call.kind, call.after, call.limit);
    case "get":
      return present(await records.get(call.kind, call.key));
    case "add":
      return [await records.add(call.kind, call.row)];
    case "change":
      return present(await records.change(call.kind, call.key, call.row));
    case "remove": {
      const row = await records.get(call.kind, call.key);
      return row !== undefined && (await records.remove(call.kind, call.key)) ? [row] : [];
    }
  }
}

function present(row: SiteRow | undefined): SiteRow[] {
  return row === undefined ? [] : [row];
}
