import { RecordError, type RecordKind, type SiteRecords, type SiteRow } from "../../site-records.ts";
import type { OpenDatabase, SqlRow, SqlValue, Transaction } from "./database.ts";

/** How a column is in a {@link SiteRow}: as a number, a flag, an exact count of bytes, text, hexadecimal digits, or one character per byte. */
type Form = "number" | "flag" | "bytes" | "text" | "hex" | "latin1";

/** The table of a kind of records. */
interface Table {
  readonly name: string;
  readonly key: readonly string[];
  readonly columns: Readonly<Record<string, Form>>;
  /** Columns that no two rows share, beside the key. One of them finds a row that was added. */
  readonly unique: readonly string[];
  /** Statements with the id of a row that is removed. */
  readonly onRemove: readonly string[];
}

const factors = { up: "number", down: "number", until: "number" } as const;

const tables: Readonly<Record<RecordKind, Table>> = {
  users: {
    ...{ name: "users", key: ["id"], unique: ["name", "passkey"] },
    columns: {
      ...{ id: "number", name: "text", passkey: "text", enabled: "flag", can_leech: "flag", hidden: "flag" },
      ...{ group_id: "number", uploaded: "bytes", downloaded: "bytes" },
      ...{ raw_uploaded: "bytes", raw_downloaded: "bytes" },
    },
    onRemove: ["DELETE FROM grants WHERE user_id = ?"],
  },
  torrents: {
    ...{ name: "torrents", key: ["id"], unique: ["info_hash", "info_hash_v2"] },
    columns: {
      ...{ id: "number", info_hash: "hex", info_hash_v2: "hex", name: "text", ...factors, status: "number" },
      ...{ seeders: "number", leechers: "number", completed: "number", last_active: "number" },
    },
    onRemove: ["DELETE FROM grants WHERE torrent_id = ?"],
  },
  groups: {
    ...{ name: '"groups"', key: ["id"], unique: ["name"] },
    columns: { id: "number", name: "text", ...factors, slots: "number" },
    onRemove: ["UPDATE users SET group_id = NULL WHERE group_id = ?"],
  },
  grants: {
    ...{ name: "grants", key: ["user_id", "torrent_id"], unique: [], onRemove: [] },
    columns: { user_id: "number", torrent_id: "number", ...factors },
  },
  clients: {
    ...{ name: "clients", key: ["prefix"], unique: [], onRemove: [] },
    columns: { prefix: "latin1", allow: "flag" },
  },
};

/** The records of the site `sql`. Every value is bound to its statement, so no text can change a statement. */
export class SqlRecords implements SiteRecords {
  readonly #open: OpenDatabase;

  constructor(open: OpenDatabase) {
    this.#open = open;
  }

  async list(kind: RecordKind, after: string, limit: number): Promise<SiteRow[]> {
    const table = tables[kind];
    const values = after === "" ? [] : keyValues(table, after);
    if (values === undefined) return [];
    const [first, second] = table.key;
    const condition =
      values.length === 0
        ? ""
        : second === undefined
          ? ` WHERE ${first} > ?`
          : ` WHERE ${first} > ? OR (${first} = ? AND ${second} > ?)`;
    const bound = second === undefined || values.length === 0 ? values : [values[0]!, ...values];
    const rows = await this.#open.database.rows(
      `SELECT ${columnsOf(table)} FROM ${table.name}${condition} ORDER BY ${table.key.join(", ")} LIMIT ${limit}`,
      bound,
    );
    return rows.map((row) => toRecord(table, row));
  }

  async get(kind: RecordKind, key: string): Promise<SiteRow | undefined> {
    const table = tables[kind];
    const row = await find(this.#open.database, table, key);
    return row && toRecord(table, row);
  }

  add(kind: RecordKind, row: SiteRow): Promise<SiteRow> {
    const table = tables[kind];
    return this.#write(async (transaction) => {
      await refuseCopies(transaction, table, row, undefined);
      const names = Object.keys(row).filter((name) => Object.hasOwn(table.columns, name));
      const values = names.map((name) => toValue(table, name, row[name]!));
      const list = names.map(() => "?").join(", ");
      await transaction.run(`INSERT INTO ${table.name} (${names.join(", ")}) VALUES (${list})`, values);
      const known = [...table.unique, ...table.key].find((name) => row[name] != null)!;
      const by = table.key.includes(known) ? table.key : [known];
      const [added] = await transaction.rows(
        `SELECT ${columnsOf(table)} FROM ${table.name} WHERE ${by.map((name) => `${name} = ?`).join(" AND ")}`,
        by.map((name) => toValue(table, name, row[name]!)),
      );
      return toRecord(table, added!);
    });
  }

  change(kind: RecordKind, key: string, fields: SiteRow): Promise<SiteRow | undefined> {
    const table = tables[kind];
    return this.#write(async (transaction) => {
      const row = await find(transaction, table, key);
      if (row === undefined) return undefined;
      const before = toRecord(table, row);
      await refuseCopies(transaction, table, fields, before);
      const names = Object.keys(fields).filter(
        (name) => Object.hasOwn(table.columns, name) && !table.key.includes(name),
      );
      if (names.length > 0)
        await transaction.run(
          `UPDATE ${table.name} SET ${names.map((name) => `${name} = ?`).join(", ")} WHERE ${isKey(table)}`,
          [...names.map((name) => toValue(table, name, fields[name]!)), ...keyOf(table, before)],
        );
      const [changed] = await transaction.rows(
        `SELECT ${columnsOf(table)} FROM ${table.name} WHERE ${isKey(table)}`,
        keyOf(table, before),
      );
      return toRecord(table, changed!);
    });
  }

  remove(kind: RecordKind, key: string): Promise<boolean> {
    const table = tables[kind];
    return this.#write(async (transaction) => {
      const row = await find(transaction, table, key);
      if (row === undefined) return false;
      const values = keyOf(table, toRecord(table, row));
      for (const statement of table.onRemove) await transaction.run(statement, values);
      return (await transaction.run(`DELETE FROM ${table.name} WHERE ${isKey(table)}`, values)) > 0;
    });
  }

  /** @throws RecordError for a row that the database does not take */
  async #write<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    const { database, dialect } = this.#open;
    try {
      return await database.transaction(work);
    } catch (error) {
      if (!dialect.isRowError(error)) throw error;
      throw new RecordError(`the database refuses the record: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** Finds a row by its key, by `name:NAME` or by an infohash. */
async function find(
  transaction: Pick<Transaction, "rows">,
  table: Table,
  key: string,
): Promise<SqlRow | undefined> {
  const select = `SELECT ${columnsOf(table)} FROM ${table.name} WHERE `;
  const values = keyValues(table, key);
  if (values !== undefined) return (await transaction.rows(`${select}${isKey(table)}`, values))[0];
  if ("info_hash" in table.columns && /^(?:[\da-f]{40}|[\da-f]{64})$/i.test(key)) {
    const column = key.length === 40 ? "info_hash" : "info_hash_v2";
    return (await transaction.rows(`${select}${column} = ?`, [Buffer.from(key, "hex")]))[0];
  }
  if (!key.startsWith("name:") || !table.unique.includes("name")) return undefined;
  return (await transaction.rows(`${select}name = ?`, [key.slice("name:".length)]))[0];
}

/** @throws RecordError if another row has a value that only one may have */
async function refuseCopies(
  transaction: Transaction,
  table: Table,
  row: SiteRow,
  before: SiteRow | undefined,
): Promise<void> {
  if (before === undefined && "info_hash" in table.columns && !row.info_hash && !row.info_hash_v2)
    throw new RecordError("a torrent needs an infohash");
  for (const column of table.unique) {
    const value = row[column];
    if (value == null || value === before?.[column]) continue;
    const sql = `SELECT 1 AS one FROM ${table.name} WHERE ${column} = ?`;
    if ((await transaction.rows(sql, [toValue(table, column, value)])).length > 0)
      throw new RecordError(`another of the ${table.name.replaceAll('"', "")} has this ${column}`);
  }
}

function columnsOf({ columns }: Table): string {
  return Object.keys(columns).join(", ");
}

function isKey({ key }: Table): string {
  return key.map((name) => `${name} = ?`).join(" AND ");
}

/** Returns the values of a key in text; undefined if the text is none. */
function keyValues({ key, columns }: Table, text: string): SqlValue[] | undefined {
  if (columns[key[0]!] === "latin1") return [Buffer.from(text, "latin1")];
  const parts = text.split(":");
  if (parts.length !== key.length || !parts.every((part) => /^\d{1,10}$/.test(part))) return undefined;
  return parts.map(Number);
}

function keyOf(table: Table, record: SiteRow): SqlValue[] {
  return table.key.map((name) => toValue(table, name, record[name]!));
}

function toValue({ columns }: Table, name: string, value: SiteRow[string]): SqlValue {
  if (typeof value === "boolean") return Number(value);
  if (typeof value !== "string") return value;
  const form = columns[name];
  return form === "hex" || form === "latin1" ? Buffer.from(value, form) : value;
}

function toRecord({ columns }: Table, row: SqlRow): SiteRow {
  return Object.fromEntries(
    Object.entries(columns).map(([name, form]) => [name, toField(form, row[name] ?? null)]),
  );
}

function toField(form: Form, value: SqlValue): SiteRow[string] {
  if (value === null || form === "text") return value as SiteRow[string];
  if (form === "hex" || form === "latin1") return Buffer.from(value as Uint8Array).toString(form);
  if (form === "flag") return Number(value) !== 0;
  return form === "bytes" ? BigInt(value as string) : Number(value);
}
