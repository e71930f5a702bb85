import { existsSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fileIdentity } from "../../../lib/file-identity.ts";
import { Turns } from "../../../lib/turns.ts";
import { type FileLock, lockFile } from "../../lock-file.ts";
import { SiteInUseError } from "../../site.ts";
import type {
  Column,
  Database,
  Dialect,
  SqlRow,
  SqlRows,
  SqlText,
  SqlValue,
  Transaction,
} from "./database.ts";

/** KiB of pages in memory, and pages of the log after which the log goes into the file. Each batch touches thousands of pages. */
const [cacheKiB, checkpointPages] = [65_536, 16_384];
/** Milliseconds to wait for another program that writes to the database: the tracker, and a command, which has nothing else to do. */
const [lockMs, commandLockMs] = [1000, 15_000];
/** Codes for the mistake of a row: a value that is too big, a constraint, a wrong type, a value out of range. */
const rowErrors: readonly number[] = [18, 19, 20, 25];

/** Codes for trouble with the whole file: locked, not writable, not readable, damaged, not to be opened, no database, or no room. */
const fileErrors: readonly number[] = [5, 8, 10, 11, 13, 14, 26];

/** A file of SQLite. Statements run at once, and the thread waits for them. */
export class Sqlite implements Database {
  readonly #database: DatabaseSync;
  readonly #path: string;
  /** Identifies the file that is open. */
  readonly #file: string;
  readonly #lock: FileLock | undefined;
  readonly #turns = new Turns();

  /**
   * @param path         of a file
   * @param isExclusive  whether no other program may open the file with this option at the same time
   * @throws SiteInUseError if another program has; Error that names the file
   */
  constructor(path: string, isExclusive: boolean) {
    this.#lock = isExclusive ? lockBeside(path) : undefined;
    try {
      this.#database = new DatabaseSync(path, { timeout: isExclusive ? lockMs : commandLockMs });
      this.#path = path;
      this.#file = fileIdentity(path);
      this.#database.exec(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; " +
          `PRAGMA cache_size = -${cacheKiB}; PRAGMA wal_autocheckpoint = ${checkpointPages}`,
      );
    } catch (error) {
      this.#lock?.close();
      throw new Error(`${resolve(path)}: ${(error as Error).message}`, { cause: error });
    }
  }

  rows(sql: string, values: readonly SqlValue[] = []): Promise<SqlRow[]> {
    return this.#turns.take(async () => this.#rows(sql, values)).catch((error) => this.#fail(error));
  }

  transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return this.#turns.take(() => this.#transaction(work)).catch((error) => this.#fail(error));
  }

  async close(): Promise<void> {
    await this.#turns.ended();
    if (!this.#database.isOpen) return;
    this.#database.close();
    this.#lock?.close();
  }

  #rows(sql: string, values: readonly SqlValue[]): SqlRow[] {
    this.#check();
    const statement = this.#database.prepare(sql);
    statement.setReadBigInts(true);
    return statement.all(...values) as SqlRow[];
  }

  /** Lets the thread do other work first, because the statements do not let it wait. */
  async #runEach<Row>(
    sql: string,
    rows: readonly Row[],
    values: (row: Row) => readonly SqlValue[],
    failed: (row: Row, error: Error) => void,
  ): Promise<number> {
    await nextTurn();
    const statement = this.#database.prepare(sql);
    let matched = 0;
    for (const row of rows) {
      try {
        matched += Number(statement.run(...values(row)).changes);
      } catch (error) {
        failed(row, error as Error);
      }
    }
    return matched;
  }

  /** @throws the error of a statement, which names the file if the trouble is the file's */
  #fail(error: Error & { errcode?: number }): never {
    if (fileErrors.includes((error.errcode ?? 0) & 0xff))
      error.message = `${resolve(this.#path)}: ${error.message}`;
    throw error;
  }

  /** @throws Error with the remedy, if the file has another one in its place: what is written to it would be lost */
  #check(): void {
    if (fileIdentity(this.#path) === this.#file) return;
    throw new Error(`${resolve(this.#path)}: the file was removed or replaced; restart the tracker`);
  }

  async #transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    this.#check();
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const result = await work({
        rows: async (sql, values = []) => this.#rows(sql, values),
        run: async (sql, values = []) => Number(this.#database.prepare(sql).run(...values).changes),
        runEach: (sql, rows, values, failed) => this.#runEach(sql, rows, values, failed),
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
export function openSqlite(path: string, isExclusive = false): Sqlite {
  if (!existsSync(path))
    throw new Error(`${resolve(path)}: no such file; "chihaya private init DIR" makes a database`);
  return new Sqlite(path, isExclusive);
}

/** Locks a database by a file beside it, however the database is named. @throws SiteInUseError if another program has */
function lockBeside(path: string): FileLock {
  const file = `${realpathSync(path)}-lock`;
  let lock: FileLock | undefined;
  try {
    lock = lockFile(file);
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`, { cause: error });
  }
  if (lock === undefined) throw new SiteInUseError(resolve(path));
  return lock;
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
  insertSource(columns: readonly Column[], rows: SqlRows): SqlText {
    const list = `(${columns.map(() => "?").join(", ")})`;
    return { sql: `VALUES ${rows.map(() => list).join(", ")}`, values: rows.flat() };
  },
  isRowError(error: unknown): boolean {
    return rowErrors.includes(((error as { errcode?: number }).errcode ?? 0) & 0xff);
  },
};
