import type { Duplex } from "node:stream";
import type { Connection, ConnectionOptions, QueryResult, ResultSetHeader } from "mysql2/promise";
import { withoutBrackets } from "../../../lib/brackets.ts";
import { installRemedy } from "../../../lib/install-remedy.ts";
import { Turns } from "../../../lib/turns.ts";
import { SiteInUseError } from "../../site.ts";
import { parseTls } from "../database-tls.ts";
import { tlsChecks } from "../tls-checks.ts";

/** A value of a statement. Numbers beyond 2^53 must be bigints. */
export type SqlValue = number | bigint | string | Uint8Array | null;
/** A row of a result: integers beyond 2^53 are strings, and so are dates. */
export type SqlRow = Record<string, number | string | Buffer | null>;

/** Milliseconds for a connection. */
const connectMs = 5000;
/** Seconds in which the server may end the connection of a tracker that has died. */
const lockSeconds = 2;
/** Seconds without a statement after which the server ends the connection with the lock, and milliseconds between statements. */
const [idleSeconds, pingMs] = [300, 60_000];
/** The name of the lock. Names are those of the whole server, and have at most 64 characters. */
const lockName = "CONCAT('chihaya ', SHA1(DATABASE()))";
/** Maximum number of attempts of a transaction that another one has locked out. */
const mostAttempts = 3;
/** Codes of MariaDB and MySQL: another transaction holds the rows, or has changed them since this one began to read. */
const lockErrors: readonly (number | undefined)[] = [1020, 1205, 1213];
/**
 * Codes for the mistake of a row: a value out of range, not permitted, too long or of a wrong type, without its parent row, or refused
 * by a trigger.
 */
const rowErrors: readonly (number | undefined)[] = [
  1048, 1062, 1264, 1265, 1366, 1406, 1452, 1644, 1690, 4025,
];

/** One transaction. A statement may be run before the one before has ended, and then waits for its end. */
export interface Transaction {
  rows(sql: string, values?: readonly SqlValue[]): Promise<SqlRow[]>;
  /** @returns how many rows matched, changed or not */
  run(sql: string, values?: readonly SqlValue[]): Promise<number>;
}

/** Codes of Galera clusters: locks are not supported, or not permitted. */
const noLocks: readonly (number | undefined)[] = [1105, 1235];

/** Options of {@link Mysql}. */
export interface MysqlOptions {
  password?: string | undefined;
  /** A statement for each new connection. */
  setup?: string;
  /** Whether no other program may open the database with this option at the same time. */
  isExclusive?: boolean;
  /** Milliseconds for one statement, 60,000 by default. A server that has stalled reports no error. */
  statementMs?: number;
}

/**
 * A database of MariaDB or MySQL. One connection writes and another one reads; a connection that fails is replaced by the next
 * statement. Statements are sent as text, because prepared statements with a thousand rows are slow to prepare.
 */
export class Mysql {
  readonly #options: ConnectionOptions;
  readonly #setup: string | undefined;
  readonly #isExclusive: boolean;
  readonly #statementMs: number;
  #reader: Promise<Connection> | undefined;
  #writer: Promise<Connection> | undefined;
  readonly #turns = new Turns();
  /** Maximum length of a statement. The server ends the connection of a longer one. */
  #mostBytes = 0;
  /** When the connection that writes gets a statement, by `performance.now()`. */
  #pingAt = 0;

  /**
   * @param url  `mysql://user@host:port/database`; with `?socketPath=` for a unix socket, and `?sslmode=` for TLS
   * @throws Error that names a file which cannot be read
   */
  constructor(
    url: string,
    { password, setup, isExclusive = false, statementMs = 60_000 }: MysqlOptions = {},
  ) {
    this.#options = parseUrl(url, password);
    this.#setup = setup;
    this.#isExclusive = isExclusive;
    this.#statementMs = statementMs;
  }

  /** Reads rows outside of any transaction. */
  async rows(sql: string, values: readonly SqlValue[] = []): Promise<SqlRow[]> {
    if (this.#isExclusive) await this.#holdLock();
    this.#reader ??= this.#connect();
    const connection = this.#reader;
    try {
      return await this.#readRows(await connection, sql, values);
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
    const opening = this.#openWriter();
    let connection: Connection | undefined;
    try {
      connection = await opening;
      const open = connection;
      await this.#query(open, "START TRANSACTION");
      const result = await work({
        rows: (sql, values) => this.#readRows(open, sql, values),
        run: async (sql, values = []) => {
          const text = values.length > 0 ? open.format(sql, bind(values)) : sql;
          if (Buffer.byteLength(text) >= this.#mostBytes) throw new LongStatement(this.#mostBytes);
          return (await this.#query<ResultSetHeader>(open, text)).affectedRows;
        },
      });
      await this.#query(open, "COMMIT");
      return result;
    } catch (error) {
      // After a timeout of a lock only the statement is undone, so the transaction always is. A server that did not respond is not asked.
      const isUndone =
        !isOfDriver(error) &&
        connection !== undefined &&
        (await this.#query(connection, "ROLLBACK").then(
          () => true,
          () => false,
        ));
      if (!isUndone) {
        connection?.destroy();
        if (this.#writer === opening) this.#writer = undefined;
      }
      throw error;
    }
  }

  /** Keeps the connection with the lock. The server ends the one of a machine that has died, and so the lock. */
  async #holdLock(): Promise<void> {
    const writer = await this.#openWriter();
    if (performance.now() < this.#pingAt) return;
    this.#pingAt = performance.now() + pingMs;
    void this.#query(writer, "DO 0").catch(() => undefined);
  }

  /** Opens the connection that writes, which holds the lock of an exclusive database. */
  #openWriter(): Promise<Connection> {
    this.#writer ??= this.#connect(async (connection) => {
      const names = "'max_allowed_packet', 'innodb_snapshot_isolation'";
      const rows = await this.#readRows(connection, `SHOW VARIABLES WHERE Variable_name IN (${names})`);
      const variables = new Map(rows.map(({ Variable_name: name, Value: value }) => [name, value]));
      this.#mostBytes = Number(variables.get("max_allowed_packet"));
      // MariaDB 11.6.2 and newer would refuse a batch if anybody changes one of its torrents meanwhile. Credits are added, so they are
      // right without that.
      if (variables.get("innodb_snapshot_isolation") === "ON")
        await this.#query(connection, "SET SESSION innodb_snapshot_isolation = OFF");
      // A statement behind one that has ended the transaction, such as by a deadlock, must not take effect by itself.
      await this.#query(connection, "SET SESSION autocommit = 0");
      if (!this.#isExclusive) return;
      await this.#query(connection, `SET SESSION wait_timeout = ${idleSeconds}`);
      await takeLock((sql) => this.#readRows(connection, sql));
    });
    return this.#writer;
  }

  /** Connects. A connection that breaks while nothing uses it is replaced, and makes no statement fail. */
  #connect(prepare?: (connection: Connection) => Promise<void>): Promise<Connection> {
    const forget = () => {
      if (this.#reader === opening) this.#reader = undefined;
      if (this.#writer === opening) this.#writer = undefined;
    };
    const opening = this.#open(forget, prepare);
    opening.catch(forget);
    return opening;
  }

  async #open(
    onBroken: () => void,
    prepare: ((connection: Connection) => Promise<void>) | undefined,
  ): Promise<Connection> {
    const { createConnection } = await loadDriver();
    const connection = await createConnection(this.#options).catch((error: Error) => {
      error.message = `cannot connect to the database: ${error.message}`;
      throw error;
    });
    connection.on("error", onBroken).on("end", onBroken);
    streamOf(connection).once("close", onBroken);
    try {
      if (this.#setup !== undefined) await this.#query(connection, this.#setup);
      await prepare?.(connection);
    } catch (error) {
      connection.destroy();
      throw error;
    }
    return connection;
  }

  async #readRows(connection: Connection, sql: string, values?: readonly SqlValue[]): Promise<SqlRow[]> {
    return (await this.#query(connection, sql, values)) as SqlRow[];
  }

  /** Runs a statement. If the connection fails, such as by a timeout, the statements behind this one fail with it. */
  async #query<Result extends QueryResult>(
    connection: Connection,
    sql: string,
    values: readonly SqlValue[] = [],
  ): Promise<Result> {
    try {
      const [result] = await connection.query<Result>({
        ...{ sql, values: bind(values), timeout: this.#statementMs },
      });
      return result;
    } catch (error) {
      // The driver starts the time of a statement when it sends it, and sends none behind one without a response.
      if (isOfDriver(error)) streamOf(connection).destroy(error as Error);
      throw error;
    }
  }
}

/** Returns the socket of a connection. When it fails, the driver fails all statements. */
function streamOf(connection: Connection): Duplex {
  return (connection as unknown as { connection: { stream: Duplex } }).connection.stream;
}

/**
 * Takes the lock of the database, which ends with the connection. A cluster may refuse all locks; then the records of the ledger alone
 * show that another tracker has the accounts.
 * @throws SiteInUseError if another connection has the lock
 */
async function takeLock(rows: (sql: string) => Promise<SqlRow[]>): Promise<void> {
  const sql =
    `SELECT GET_LOCK(${lockName}, ${lockSeconds}) AS locked, IS_USED_LOCK(${lockName}) AS holder, ` +
    "DATABASE() AS name";
  const [row] = await rows(sql).catch((error) => {
    if (noLocks.includes(codeOf(error))) return [];
    throw error;
  });
  if (row === undefined || Number(row.locked) === 1) return;
  throw new SiteInUseError(
    `the database ${row.name}`,
    `. If the machine of that tracker has died, end its connection: "KILL ${row.holder}"`,
  );
}

/** Parses the URL of a database. @throws TypeError for an invalid one; Error that names a file which cannot be read */
export function parseUrl(text: string, password?: string): ConnectionOptions {
  const url = new URL(text);
  const socketPath = url.searchParams.get("socketPath");
  const secret = password ?? decodeURIComponent(url.password);
  const tls = parseTls(url);
  if (typeof tls === "string") throw new TypeError(tls);
  return {
    ...(socketPath === null
      ? { host: withoutBrackets(url.hostname), port: Number(url.port || 3306) }
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
    ...(tls !== undefined && { ssl: { ...tlsChecks(tls, url.hostname), verifyIdentity: tls.isForHost } }),
    charset: "utf8mb4",
  };
}

/** Whether a statement failed because of one of its rows, or has too many of them. */
export function isRowError(error: unknown): boolean {
  return error instanceof LongStatement || rowErrors.includes(codeOf(error));
}

/** A statement that is longer than the server takes, and was not sent. */
class LongStatement extends Error {
  constructor(bytes: number) {
    super(`longer than max_allowed_packet of the server, ${bytes} bytes`);
  }
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

function bind(values: readonly SqlValue[]): (SqlValue | Buffer)[] {
  return values.map((value) =>
    value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value,
  );
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
