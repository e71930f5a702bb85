import { isRowError, type SqlValue, type Transaction } from "./mysql.ts";

/** Rows of one statement; more rows make it no faster. */
const mostRows = 1000;

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

/**
 * Writes rows in statements of a thousand. If a statement fails because of a row, each half of its rows is tried, so that one bad row stops no
 * other.
 * @returns how many rows the statements have matched
 */
export async function writeRows<Row>(transaction: Transaction, write: BulkWrite<Row>): Promise<number> {
  let matched = 0;
  for (let at = 0; at < write.rows.length; at += mostRows)
    matched += await writePart(transaction, write, write.rows.slice(at, at + mostRows));
  return matched;
}

async function writePart<Row>(
  transaction: Transaction,
  write: BulkWrite<Row>,
  rows: readonly Row[],
): Promise<number> {
  try {
    return await transaction.run(write.sql(rows.length), rows.flatMap(write.values));
  } catch (error) {
    if (!isRowError(error)) throw error;
    if (rows.length === 1) {
      write.refused(rows[0]!, (error as Error).message);
      return 0;
    }
    const half = rows.length >> 1;
    return (
      (await writePart(transaction, write, rows.slice(0, half))) +
      (await writePart(transaction, write, rows.slice(half)))
    );
  }
}
