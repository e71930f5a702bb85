import { writeInHalves } from "../halves.ts";
import type { Column, ColumnType, Dialect, SqlText, SqlValue, Transaction } from "./database.ts";

/**
 * What a statement does with a column of a row that is there: finds the row by it (`key`), leaves it (`once`), adds, takes the higher
 * value, the earlier one or the later one.
 */
export type Effect = "key" | "once" | "add" | "max" | "first" | "last";

/** A column that a statement of many rows writes. */
export interface Field extends Column {
  effect: Effect;
}

/** Returns fields of a list such as `{ id: "id key", uploaded: "int add" }`. */
export function fieldsOf(list: Readonly<Record<string, `${ColumnType} ${Effect}`>>): Field[] {
  return Object.entries(list).map(([name, text]) => {
    const [type, effect] = text.split(" ") as [ColumnType, Effect];
    return { name, type, effect };
  });
}

type Rows = readonly (readonly SqlValue[])[];

/** Returns a statement that inserts rows, or changes those that are there. */
export function upsert(dialect: Dialect, table: string, fields: readonly Field[], rows: Rows): SqlText {
  const names = fields.map(({ name }) => name).join(", ");
  const source = dialect.table(fields, rows);
  const insert = `INSERT INTO ${table} (${names}) SELECT ${names} FROM ${source.sql} WHERE true`;
  const keys = fields.filter(({ effect }) => effect === "key").map(({ name }) => name);
  if (keys.length === 0) return { sql: insert, values: source.values };
  const isMysql = dialect.kind === "mysql";
  const changes = changesOf(
    dialect,
    fields,
    (name) => name,
    (name) => `${table}.${name}`,
    (name) => (isMysql ? `VALUES(${name})` : `excluded.${name}`),
  );
  const onConflict = isMysql ? "ON DUPLICATE KEY UPDATE" : `ON CONFLICT (${keys.join(", ")}) DO UPDATE SET`;
  return { sql: `${insert} ${onConflict} ${changes}`, values: source.values };
}

/**
 * Returns a statement that changes rows that are there, and makes none.
 * @param more  further assignments, with `t` as the row
 */
export function update(
  dialect: Dialect,
  table: string,
  fields: readonly Field[],
  rows: Rows,
  more: Readonly<Record<string, string>> = {},
): SqlText {
  const { sql, values } = dialect.table(fields, rows);
  const isMysql = dialect.kind === "mysql";
  const target = (name: string) => (isMysql ? `t.${name}` : name);
  const changes = [
    changesOf(
      dialect,
      fields,
      target,
      (name) => `t.${name}`,
      (name) => `d.${name}`,
    ),
    ...Object.entries(more).map(([name, expression]) => `${target(name)} = ${expression}`),
  ]
    .filter((change) => change !== "")
    .join(", ");
  const keys = fields.filter(({ effect }) => effect === "key");
  const isSame = keys.map(({ name }) => `t.${name} = d.${name}`).join(" AND ");
  return {
    sql: isMysql
      ? `UPDATE ${table} t JOIN ${sql} ON ${isSame} SET ${changes}`
      : `UPDATE ${table} AS t SET ${changes} FROM ${sql} WHERE ${isSame}`,
    values,
  };
}

function changesOf(
  { kind }: Dialect,
  fields: readonly Field[],
  target: (name: string) => string,
  before: (name: string) => string,
  after: (name: string) => string,
): string {
  const greatest = kind === "sqlite" ? "max" : "greatest";
  return fields
    .filter(({ effect }) => effect !== "key" && effect !== "once")
    .map(({ name, effect }) => {
      const [old, given] = [before(name), after(name)];
      if (effect === "add") return `${target(name)} = ${old} + ${given}`;
      if (effect === "max") return `${target(name)} = ${greatest}(coalesce(${old}, 0), ${given})`;
      return `${target(name)} = ${effect === "first" ? `coalesce(${old}, ${given})` : given}`;
    })
    .join(", ");
}

/** The highest number that a column takes. */
export const mostInteger: bigint = 2n ** 63n - 1n;

/** Many rows for one table. */
export interface Write {
  rows: Rows;
  /** Returns the statement for some of the rows. */
  statement(rows: Rows): SqlText;
  /** Called for each row that the database does not take. */
  refused(row: readonly SqlValue[], reason: string): void;
}

/** Writes rows as {@link writeInHalves} does. */
export async function writeRows(transaction: Transaction, dialect: Dialect, write: Write): Promise<void> {
  const { statement, refused } = write;
  const rows = write.rows.filter((row) => {
    const fits = row.every((value) => typeof value !== "bigint" || value <= mostInteger);
    if (!fits) refused(row, "a number is out of range");
    return fits;
  });
  // After an error PostgreSQL takes no further statement of the transaction, unless it goes back to a point before the error.
  const needsSavepoint = dialect.kind === "postgres";
  await writeInHalves(rows, {
    async write(part) {
      const { sql, values } = statement(part);
      if (needsSavepoint) await transaction.run("SAVEPOINT part");
      try {
        await transaction.run(sql, values);
      } catch (error) {
        if (needsSavepoint && dialect.isRowError(error)) await transaction.run("ROLLBACK TO SAVEPOINT part");
        throw error;
      }
      if (needsSavepoint) await transaction.run("RELEASE SAVEPOINT part");
    },
    isRowError: (error) => dialect.isRowError(error),
    refused,
  });
}
