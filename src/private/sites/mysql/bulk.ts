import { writeInHalves } from "../halves.ts";
import { isRowError, type SqlValue, type Transaction } from "./mysql.ts";

/** Text that is the same in quotes, in every character set and SQL mode. */
const plainText = /^[ !#-&(-[\]-~]*$/;

/** A value, or an expression. */
export type BulkValue = SqlValue | { readonly sql: string };
/** Rows of values. */
export type BulkRows = readonly (readonly BulkValue[])[];

/** Returns a value as part of a statement. Statements of many rows have no placeholders, which take longer. */
export function literal(value: BulkValue): string {
  if (typeof value === "number" || typeof value === "bigint") return `${value}`;
  if (value === null) return "NULL";
  if (typeof value === "string") {
    return plainText.test(value)
      ? `'${value}'`
      : `CONVERT(${bytesLiteral(Buffer.from(value))} USING utf8mb4)`;
  }
  return value instanceof Uint8Array ? bytesLiteral(value) : value.sql;
}

function bytesLiteral({ buffer, byteOffset, length }: Uint8Array): string {
  return `X'${Buffer.from(buffer, byteOffset, length).toString("hex")}'`;
}

/**
 * Returns a derived table for `UPDATE ... JOIN`, such as `(SELECT 1 AS id, 5 AS up UNION ALL VALUES (2, 7))`.
 * An update changes rows that are there; an insert with `ON DUPLICATE KEY UPDATE` would also make rows of deleted users.
 */
export function derivedTable(columns: readonly string[], rows: BulkRows): string {
  let sql = "(SELECT ";
  for (const [i, column] of columns.entries())
    sql += `${i > 0 ? ", " : ""}${literal(rows[0]![i]!)} AS ${column}`;
  // MySQL writes ROW before each row, and MariaDB does not.
  for (let i = 1; i < rows.length; i++)
    sql += `${i > 1 ? "," : " UNION ALL VALUES"} /*!80019 ROW*/(${list(rows[i]!)})`;
  return `${sql})`;
}

/** Returns the lists of values of an insert, such as `(1, 5), (2, 7)`. */
export function valueLists(rows: BulkRows): string {
  let sql = "";
  for (const [i, row] of rows.entries()) sql += i > 0 ? `, (${list(row)})` : `(${list(row)})`;
  return sql;
}

function list(row: readonly BulkValue[]): string {
  let sql = literal(row[0]!);
  for (let i = 1; i < row.length; i++) sql += `, ${literal(row[i]!)}`;
  return sql;
}

/** Statements of many rows. */
export interface BulkWrite<Row> {
  rows: readonly Row[];
  /** Returns the statement for the values of some of the rows. */
  sql(rows: BulkRows): string;
  values(row: Row): readonly BulkValue[];
  /** Called for each row that the database does not take. */
  refused(row: Row, reason: string): void;
}

/** Writes rows as {@link writeInHalves} does. @returns how many rows matched, changed or not; for inserts of no meaning */
export async function writeRows<Row>(
  transaction: Transaction,
  { rows, sql, values, refused }: BulkWrite<Row>,
): Promise<number> {
  let matched = 0;
  await writeInHalves(rows, {
    async write(part) {
      const count = await transaction.run(sql(part.map(values)));
      matched += count;
    },
    ...{ isRowError, refused, isQueued: true },
  });
  return matched;
}
