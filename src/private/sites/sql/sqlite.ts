import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Turns } from "../../../lib/turns.ts";
import type { Column, Database, Dialect, SqlRow, SqlText, SqlValue, Transaction } from "./database.ts";

/** Milliseconds to wait for another program that writes to the database. */
const lockMs = 1000;
/** Codes for the mistake of a row: a value that is too big, a constraint, a wrong type, a value out of range. */
const rowErrors: readonly number[] = [18, 19, 20, 25];

/** A file of SQLite. Statements run at once, and the thread waits for them. */
export class Sqlite implements Database {
  readonly #database: DatabaseSync;
  readonly #turns = new Turns();

  /** @param path  of a file; it is created if it is not there @throws Error that names the file */
  constructor(path: string) {
    try {
      this.#database = new DatabaseSync(path, { timeout: lockMs });
      this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    } catch (error) {
      throw new Error(`${resolve(path)}: ${(error as Error).message}`, { cause: error });
    }
  }

  rows(sql: string, values: readonly SqlValue[] = []): Promise<SqlRow[]> {
    return this.#turns.take(async () => this.#rows(sql, values));
  }

  transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return this.#turns.take(() => this.#transaction(work));
  }

  async close(): Promise<void> {
    await this.#turns.ended();
    if (this.#database.isOpen) this.#database.close();
  }

  #rows(sql: string, values: readonly SqlValue[]): SqlRow[] {
    const statement = this.#database.prepare(sql);
    statement.setReadBigInts(true);
    return statement.all(...values) as SqlRow[];
  }

  async #transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const result = await work({
        rows: async (sql, values = []) => this.#rows(sql, values),
        run: async (sql, values = []) => Number(this.#database.prepare(sql).run(...values).changes),
      });
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }
}

/** Opens a file that is there. @throws Error that names the file and the remedy */
export function openSqlite(path: string): Sqlite {
  if (!existsSync(path))
    throw new Error(`${resolve(path)}: no such file; "chihaya private init DIR" makes a database`);
  return new Sqlite(path);
}

/** How SQLite writes what databases write in different ways. */
export const sqliteDialect: Dialect = {
  kind: "sqlite",
  types: {
    serial: "INTEGER PRIMARY KEY AUTOINCREMENT",
    id: "INTEGER",
    int: "INTEGER",
    flag: "INTEGER",
    infohash: "BLOB",
    bytes: "BLOB",
    word: "TEXT",
    line: "TEXT",
    text: "TEXT",
  },
  forUpdate: "",
  table(columns: readonly Column[], rows: readonly (readonly SqlValue[])[]): SqlText {
    const names = columns.map(({ name }, i) => `column${i + 1} AS ${name}`).join(", ");
    const list = `(${columns.map(() => "?").join(", ")})`;
    const lists = Array.from(rows, () => list).join(", ");
    return { sql: `(SELECT ${names} FROM (VALUES ${lists})) AS d`, values: rows.flat() };
  },
  isRowError(error: unknown): boolean {
    return rowErrors.includes(((error as { errcode?: number }).errcode ?? 0) & 0xff);
  },
};
