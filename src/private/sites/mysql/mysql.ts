import type { Connection, ConnectionOptions, ResultSetHeader } from "mysql2/promise";
import { installRemedy } from "../../../lib/install-remedy.ts";
import { Turns } from "../../../lib/turns.ts";

/** A value of a statement. Numbers beyond 2^53 must be bigints. */
export type SqlValue = number | bigint | string | Uint8Array | null;
/** A row of a result: integers beyond 2^53 are strings, and so are dates. */
export type SqlRow = Record<string, number | string | Buffer | null>;

/** Milliseconds for a connection, and for one statement. A server that has stalled reports no error. */
const [connectMs, statementMs] = [5000, 60_000];
/** Maximum number of attempts of a transaction that another one has locked out. */
const mostAttempts = 3;
/** Codes of MariaDB and MySQL: another transaction holds the rows. */
const lockErrors: readonly (number | undefined)[] = [1205, 1213];
/** Codes for the mistake of a row: a value out of range, not permitted, too long or of a wrong type, or without its parent row. */
const rowErrors: readonly (number | undefined)[] = [1048, 1062, 1264, 1265, 1366, 1406, 1452, 1690, 4025];

/** One statement at a time in one transaction. */
export interface Transaction {
  rows(sql: string, values?: readonly SqlValue[]): Promise<SqlRow[]>;
  /** @returns how many rows matched, changed or not */
  run(sql: string, values?: readonly SqlValue[]): Promise<number>;
}

/**
 * A database of MariaDB or MySQL. One connection writes and another one reads; a connection that fails is replaced by the next
 * statement. Statements are sent as text, because prepared statements with a thousand rows are slow to prepare.
 */
export class Mysql {
  readonly #url: string;
  readonly #password: string | undefined;
  readonly #setup: string | undefined;
  #reader: Promise<Connection> | undefined;
  #writer: Promise<Connection> | undefined;
  readonly #turns = new Turns();

  /**
   * @param url    `mysql://user@host:port/database`; with `?socketPath=` for a unix socket
   * @param setup  a statement for each new connection
   */
  constructor(url: string, { password, setup }: { password?: string | undefined; setup?: string } = {}) {
    this.#url = url;
    this.#password = password;
    this.#setup = setup;
  }

  /** Reads rows outside of any transaction. */
  async rows(sql: string, values: readonly SqlValue[] = []): Promise<SqlRow[]> {
    this.#reader ??= this.#connect();
    const connection = this.#reader;
    try {
      return await readRows(await connection, sql, values);
    } catch (error) {
      if (codeOf(error) === undefined) {
        if (this.#reader === connection) this.#reader = undefined;
        (await connection.catch(() => undefined))?.destroy();
      }
      throw error;
    }
  }

  /**
   * Runs `work` in a transaction, after the one that runs. Repeats it if another transaction has locked it out.
   * @throws the error of `work` or of the server; nothing has changed then, unless the connection broke during the commit
   */
  transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return this.#turns.take(async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#attempt(work);
        } catch (error) {
          if (!lockErrors.includes(codeOf(error)) || attempt === mostAttempts) throw error;
        }
      }
    });
  }

  async close(): Promise<void> {
    for (const connection of [this.#reader, this.#writer])
      await connection?.then((open) => open.end()).catch(() => undefined);
    this.#reader = this.#writer = undefined;
  }

  async #attempt<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    this.#writer ??= this.#connect();
    const opening = this.#writer;
    let connection: Connection | undefined;
    try {
      connection = await opening;
      const open = connection;
      await open.query(request("START TRANSACTION", []));
      const result = await work({
        rows: (sql, values = []) => readRows(open, sql, values),
        run: async (sql, values = []) => {
          const [header] = await open.query<ResultSetHeader>(request(sql, values));
          return header.affectedRows;
        },
      });
      await open.query(request("COMMIT", []));
      return result;
    } catch (error) {
      // After a timeout of a lock only the statement is undone, so the transaction always is. A server that did not respond is not asked.
      const isUndone =
        !isOfDriver(error) &&
        (await (connection?.query(request("ROLLBACK", [])).then(
          () => true,
          () => false,
        ) ?? false));
      if (!isUndone) {
        connection?.destroy();
        this.#writer = undefined;
      }
      throw error;
    }
  }

  /** Connects. A connection that breaks while nothing uses it is replaced, and makes no statement fail. */
  #connect(): Promise<Connection> {
    const opening = this.#open(() => {
      if (this.#reader === opening) this.#reader = undefined;
      if (this.#writer === opening) this.#writer = undefined;
    });
    return opening;
  }

  async #open(onBroken: () => void): Promise<Connection> {
    const { createConnection } = await loadDriver();
    const connection = await createConnection(parseUrl(this.#url, this.#password));
    connection.on("error", onBroken).on("end", onBroken);
    if (this.#setup !== undefined) await connection.query(this.#setup);
    return connection;
  }
}

/** Parses the URL of a database. @throws TypeError for an invalid one */
export function parseUrl(text: string, password?: string): ConnectionOptions {
  const url = new URL(text);
  const socketPath = url.searchParams.get("socketPath");
  const secret = password ?? decodeURIComponent(url.password);
  return {
    ...(socketPath === null
      ? { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || 3306) }
      : { socketPath }),
    user: decodeURIComponent(url.username),
    ...(secret === "" ? {} : { password: secret }),
    database: decodeURIComponent(url.pathname.slice(1)),
    supportBigNumbers: true,
    bigNumberStrings: false,
    dateStrings: true,
    enableKeepAlive: true,
    connectTimeout: connectMs,
    flags: ["+FOUND_ROWS"],
    charset: "utf8mb4",
  };
}

/** Whether a statement failed because of one of its rows. */
export function isRowError(error: unknown): boolean {
  return rowErrors.includes(codeOf(error));
}

/** Whether the connection has failed, such as by a timeout. */
function isOfDriver(error: unknown): boolean {
  return codeOf(error) === undefined && (error as { code?: string }).code !== undefined;
}

/** Returns the server's number of an error; undefined if the error is not the server's. */
export function codeOf(error: unknown): number | undefined {
  const { errno, sqlState } = error as { errno?: number; sqlState?: string };
  return sqlState === undefined ? undefined : errno;
}

async function readRows(connection: Connection, sql: string, values: readonly SqlValue[]): Promise<SqlRow[]> {
  const [rows] = await connection.query(request(sql, values));
  return rows as SqlRow[];
}

function request(sql: string, values: readonly SqlValue[]) {
  const bound = values.map((value) =>
    value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value,
  );
  return { sql, values: bound, timeout: statementMs };
}

async function loadDriver(): Promise<typeof import("mysql2/promise")> {
  try {
    return await import("mysql2/promise");
  } catch (cause) {
    throw new Error(`a database of MariaDB or MySQL needs the package "mysql2": ${installRemedy("mysql2")}`, {
      cause,
    });
  }
}
