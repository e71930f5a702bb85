import {
  RecordError,
  type RecordKind,
  recordKinds,
  type SiteRecords,
  type SiteRow,
} from "../../src/private/site-records.ts";

/** Columns that no two records of a kind may share. */
const unique: Readonly<Record<RecordKind, readonly string[]>> = {
  users: ["name", "passkey"],
  torrents: ["info_hash", "info_hash_v2"],
  groups: ["name"],
  grants: [],
  clients: [],
};

/** A simple implementation of the records of a site. */
export class MapRecords implements SiteRecords {
  readonly kinds: Map<RecordKind, Map<string, SiteRow>> = new Map(
    recordKinds.map((kind) => [kind, new Map()]),
  );
  #lastId = 0;

  async list(kind: RecordKind, after: string, limit: number): Promise<SiteRow[]> {
    const rows = [...this.kinds.get(kind)!].sort(([a], [b]) => compare(a, b));
    return rows
      .filter(([key]) => after === "" || compare(key, after) > 0)
      .slice(0, limit)
      .map(([, row]) => row);
  }

  async get(kind: RecordKind, key: string): Promise<SiteRow | undefined> {
    const rows = this.kinds.get(kind)!;
    if (rows.has(key)) return rows.get(key);
    const name = key.startsWith("name:") ? key.slice(5) : undefined;
    return [...rows.values()].find(
      (row) => (name !== undefined && row.name === name) || row.info_hash === key || row.info_hash_v2 === key,
    );
  }

  async add(kind: RecordKind, row: SiteRow): Promise<SiteRow> {
    const added = { ...row, ...(unique[kind].length > 0 && { id: ++this.#lastId }) };
    this.#check(kind, added, undefined);
    this.kinds.get(kind)!.set(keyOf(kind, added), added);
    return added;
  }

  async change(kind: RecordKind, key: string, fields: SiteRow): Promise<SiteRow | undefined> {
    const row = await this.get(kind, key);
    if (row === undefined) return undefined;
    const changed = { ...row, ...fields };
    this.#check(kind, changed, row);
    this.kinds.get(kind)!.set(keyOf(kind, changed), changed);
    return changed;
  }

  async remove(kind: RecordKind, key: string): Promise<boolean> {
    const row = await this.get(kind, key);
    return row !== undefined && this.kinds.get(kind)!.delete(keyOf(kind, row));
  }

  #check(kind: RecordKind, row: SiteRow, before: SiteRow | undefined): void {
    for (const other of this.kinds.get(kind)!.values())
      for (const column of unique[kind])
        if (other !== before && row[column] != null && other[column] === row[column])
          throw new RecordError(`another of the ${kind} has this ${column}`);
  }
}

function keyOf(kind: RecordKind, row: SiteRow): string {
  if (kind === "grants") return `${row.user_id}:${row.torrent_id}`;
  return `${kind === "clients" ? row.prefix : row.id}`;
}

function compare(a: string, b: string): number {
  const numbers = (key: string) => key.split(":").map(Number);
  const [one, other] = [numbers(a), numbers(b)];
  if (one.some(Number.isNaN) || other.some(Number.isNaN)) return a < b ? -1 : a > b ? 1 : 0;
  return one[0]! - other[0]! || (one[1] ?? 0) - (other[1] ?? 0);
}
