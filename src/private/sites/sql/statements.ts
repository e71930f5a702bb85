import { writeInHalves, writeInParts } from "../halves.ts";
import type { Column, ColumnType, Dialect, SqlRows, SqlText, SqlValue, Transaction } from "./database.ts";

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

/** Returns a statement that inserts rows, or changes those that are there. */
export function upsert(dialect: Dialect, table: string, fields: readonly Field[], rows: SqlRows): SqlText {
  const names = fields.map(({ name }) => name).join(", ");
  const source = dialect.insertSource(fields, rows);
  const insert = `INSERT INTO ${table} (${names}) ${source.sql}`;
  const keys = fields.filter(({ effect }) => effect === "key").map(({ name }) => name);
  if (keys.length === 0) return { sql: insert, values: source.values };
  const isMysql = dialect.kind === "mysql";
  const changes = changesOf(
    dialect,
    fields,
    (name) => name,
    (name) => `${table}.${name}`,
    ({ name }) => (isMysql ? `VALUES(${name})` : `excluded.${name}`),
  );
  const onConflict = isMysql ? "ON DUPLICATE KEY UPDATE" : `ON CONFLICT (${keys.join(", ")}) DO UPDATE SET`;
  return { sql: `${insert} ${onConflict} ${changes}`, values: source.values };
}

/**
 * Returns a statement that changes rows that are there, and makes none.
 * @param fields  the keys come last
 * @param more  further assignments, with `t` as the row
 */
export function update(
  dialect: Dialect,
  table: string,
  fields: readonly Field[],
  rows: SqlRows,
  more: Readonly<Record<string, string>> = {},
): SqlText {
  const source = dialect.table?.(fields, rows);
  const isMysql = dialect.kind === "mysql";
  const target = (name: string) => (isMysql ? `t.${name}` : name);
  // SQLite adds in floating point if one of the numbers is not an integer, as no number of JavaScript is.
  const value = (type: ColumnType) => (type === "int" ? "CAST(? AS INTEGER)" : "?");
  const given = ({ name, type }: Column) => (source === undefined ? value(type) : `d.${name}`);
  const changes = [
    changesOf(dialect, fields, target, (name) => `t.${name}`, given),
    ...Object.entries(more).map(([name, expression]) => `${target(name)} = ${expression}`),
  ]
    .filter((change) => change !== "")
    .join(", ");
  const keys = fields.filter(({ effect }) => effect === "key");
  const isSame = keys.map((key) => `t.${key.name} = ${given(key)}`).join(" AND ");
  if (source === undefined)
    return { sql: `UPDATE ${table} AS t SET ${changes} WHERE ${isSame}`, values: rows.flat() };
  return {
    sql: isMysql
      ? `UPDATE ${table} t JOIN ${source.sql} ON ${isSame} SET ${changes}`
      : `UPDATE ${table} AS t SET ${changes} FROM ${source.sql} WHERE ${isSame}`,
    values: source.values,
  };
}

function changesOf(
  { kind }: Dialect,
  fields: readonly Field[],
  target: (name: string) => string,
  before: (name: string) => string,
  after: (column: Column) => string,
): string {
  const greatest = kind === "sqlite" ? "max" : "greatest";
  return fields
    .filter(({ effect }) => effect !== "key" && effect !== "once")
    .map((field) => {
      const { name, effect } = field;
      const [old, given] = [before(name), after(field)];
      if (effect === "add") return `${target(name)} = ${old} + ${given}`;
      if (effect === "max") return `${target(name)} = ${greatest}(coalesce(${old}, 0), ${given})`;
      return `${target(name)} = ${effect === "first" ? `coalesce(${old}, ${given})` : given}`;
    })
    .join(", ");
}

/** The highest number that a column takes. */
export const mostInteger: bigint = 2n ** 63n - 1n;

/** A number is above {@link mostInteger}. */
class OutOfRange extends Error {
  constructor() {
    super("a number is out of range");
  }
}

/** Many rows for one table. */
export interface Write<Row> {
  rows: readonly Row[];
  values(row: Row): readonly SqlValue[];
  /** Returns the statement for the values of some of the rows. */
  statement(rows: SqlRows): SqlText;
  /** As in `HalvingWrite`. */
  sift?(rows: readonly Row[]): Promise<readonly Row[]>;
  /** Called for each row that the database does not take. */
  refused(row: Row, reason: string): void;
}

/** Writes rows as {@link writeInHalves} does. @returns how many rows matched */
export async function writeRows<Row>(
  transaction: Transaction,
  dialect: Dialect,
  write: Write<Row>,
): Promise<number> {
  const isRowError = (error: unknown) => error instanceof OutOfRange || dialect.isRowError(error);
  if (transaction.runEach !== undefined) return writeEach(transaction.runEach, write, isRowError);
  // After an error PostgreSQL takes no further statement of the transaction, unless it goes back to a point before the error.
  const needsSavepoint = dialect.kind === "postgres";
  let matched = 0;
  await writeInHalves(write.rows, {
    ...write,
    async write(part) {
      const { sql, values } = write.statement(part.map((row) => checkRange(write.values(row))));
      if (needsSavepoint) await transaction.run("SAVEPOINT part");
      try {
        const count = await transaction.run(sql, values);
        matched += count;
      } catch (error) {
        if (needsSavepoint && isRowError(error)) await transaction.run("ROLLBACK TO SAVEPOINT part");
        throw error;
      }
      if (needsSavepoint) await transaction.run("RELEASE SAVEPOINT part");
    },
    isRowError,
    isQueued: !needsSavepoint,
  });
  return matched;
}

/** Writes rows with a statement for each. @returns how many rows matched */
async function writeEach<Row>(
  runEach: NonNullable<Transaction["runEach"]>,
  { rows, values, statement, sift, refused }: Write<Row>,
  isRowError: (error: unknown) => boolean,
): Promise<number> {
  let matched = 0;
  await writeInParts(rows, async (part) => {
    const failed = new Map<Row, Error>();
    const fail = (row: Row, error: Error) => {
      if (!isRowError(error)) throw error;
      failed.set(row, error);
    };
    const { sql } = statement([values(part[0]!)]);
    matched += await runEach(sql, part, (row) => checkRange(values(row)), fail);
    if (failed.size === 0) return;
    const rest = [...failed.keys()];
    for (const row of (await sift?.(rest)) ?? rest) refused(row, failed.get(row)!.message);
  });
  return matched;
}

/** @throws OutOfRange */
function checkRange(values: readonly SqlValue[]): readonly SqlValue[] {
  for (const value of values) if (typeof value === "bigint" && value > mostInteger) throw new OutOfRange();
  return values;
}
