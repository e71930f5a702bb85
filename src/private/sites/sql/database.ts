import type { DatabaseAddress } from "../../options.ts";

/** A value of a statement. Numbers beyond 2^53 must be bigints. */
export type SqlValue = number | bigint | string | Uint8Array | null;
/** A row of a result: an integer is a number, a bigint or a text with its digits. */
export type SqlRow = Record<string, number | bigint | string | Uint8Array | null>;

/** Rows of values. */
export type SqlRows = readonly (readonly SqlValue[])[];

/** One statement at a time, in one transaction. A `?` in a statement stands for a value. */
export interface Transaction {
  rows(sql: string, values?: readonly SqlValue[]): Promise<SqlRow[]>;
  /** @returns how many rows matched, changed or not */
  run(sql: string, values?: readonly SqlValue[]): Promise<number>;
  /**
   * Runs a statement once for each row, with the values of that row. Undefined if one statement with many rows is faster.
   * @param failed  called for each row whose statement fails, and has no effect
   * @returns how many rows matched
   */
  runEach?<Row>(
    sql: string,
    rows: readonly Row[],
    values: (row: Row) => readonly SqlValue[],
    failed: (row: Row, error: Error) => void,
  ): Promise<number>;
}

/** A database of SQLite, MariaDB, MySQL or PostgreSQL. It connects when it is used, and again after its connection broke. */
export interface Database {
  /** Reads rows, or runs a statement by itself. */
  rows(sql: string, values?: readonly SqlValue[]): Promise<SqlRow[]>;
  /**
   * Runs `work` in a transaction.
   * @throws the error of `work` or of the database; nothing has changed then, unless the connection broke during the commit
   */
  transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

/** What the kinds of databases write in different ways. Names in double quotes are the same everywhere. */
export interface Dialect {
  readonly kind: DatabaseAddress["kind"];
  /** Types of columns. */
  readonly types: Readonly<Record<ColumnType, string>>;
  /** Ends a SELECT whose rows nobody else may change before the end of the transaction. */
  readonly forUpdate: string;
  /** Keeps other transactions from adding rows to a table; undefined if `forUpdate` does so. */
  readonly lockTable?: (table: string) => string;
  /** Returns what follows the columns in an INSERT of rows. */
  insertSource(columns: readonly Column[], rows: SqlRows): SqlText;
  /** Returns `rows` as a table `d` with typed columns. Undefined if each row has its own statement. */
  table?(columns: readonly Column[], rows: SqlRows): SqlText;
  /** Whether a statement failed because of one of its rows. */
  isRowError(error: unknown): boolean;
}

/** `id` is 1 to 2^32 - 1, drawn by the database if it is the key of a table. */
export type ColumnType = "serial" | "id" | "int" | "flag" | "infohash" | "bytes" | "word" | "line" | "text";

export interface Column {
  name: string;
  type: ColumnType;
}

/** A part of a statement, with the values of its `?`. */
export interface SqlText {
  sql: string;
  values: SqlValue[];
}

/** A database with its dialect. */
export interface OpenDatabase {
  database: Database;
  dialect: Dialect;
}
