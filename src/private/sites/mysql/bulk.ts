import { writeInHalves } from "../halves.ts";
import { isRowError, type SqlValue, type Transaction } from "./mysql.ts";

/**
 * Returns a derived table for `UPDATE ... JOIN`, such as `(SELECT ? AS id, ? AS up UNION ALL SELECT ?, ?)`.
 * An update changes rows that are there; an insert with `ON DUPLICATE KEY UPDATE` would also make rows of deleted users.
 */
export function derivedTable(columns: readonly string[], rows: number): string {
  const first = `SELECT ${columns.map((column) => `? AS ${column}`).join(", ")}`;
  const next = ` UNION ALL SELECT ${columns.map(() => "?").join(", ")}`;
  return `(${first}${next.repeat(rows - 1)})`;
}

/** Returns the lists of values of an insert, such as `(?, ?), (?, ?)`. */
export function valueLists(columns: number, rows: number): string {
  const list = `(${Array.from({ length: columns }, () => "?").join(", ")})`;
  return Array.from({ length: rows }, () => list).join(", ");
}

/** Statements of many rows. */
export interface BulkWrite<Row> {
  rows: readonly Row[];
  /** Returns the statement for a number of rows. */
  sql(rows: number): string;
  values(row: Row): readonly SqlValue[];
  /** Called for each row that the database does not take. */
  refused(row: Row, reason: string): void;
}

/** Writes rows as {@link writeInHalves} does. */
export function writeRows<Row>(
  transaction: Transaction,
  { rows, sql, values, refused }: BulkWrite<Row>,
): Promise<void> {
  const write = (part: readonly Row[]) => transaction.run(sql(part.length), part.flatMap(values));
  return writeInHalves(rows, { write, isRowError, refused });
}
