import type { Sql } from "postgres";
import { withoutBrackets } from "../../../lib/brackets.ts";
import { installRemedy } from "../../../lib/install-remedy.ts";
import { Turns } from "../../../lib/turns.ts";
import { withTimeout } from "../../../lib/with-timeout.ts";
import { SiteInUseError } from "../../site.ts";
import { parseTls, withoutTls } from "../database-tls.ts";
import { type TlsChecks, tlsChecks } from "../tls-checks.ts";
import type {
  Column,
  ColumnType,
  Database,
  Dialect,
  SqlRow,
  SqlRows,
  SqlText,
  SqlValue,
  Transaction,
} from "./database.ts";

/** Seconds for a connection, and milliseconds for a statement. A server that has stalled reports no error. */
const [connectSeconds, statementMs] = [5, 60_000];
/** Milliseconds in which the server may end the connection of a tracker that has died. */
const lockMs = 2000;
/** Seconds after which the server ends the connection of a machine that has died, and so its lock: 60, and 6 times 10. */
const keepalives = { tcp_keepalives_idle: 60, tcp_keepalives_interval: 10, tcp_keepalives_count: 6 };
/** The key of the lock: a number of this program, and one of the schema, because several sites may be in one database. */
const lockKey = "1128810817, hashtext(current_schema())";
const lockTimeout = "55P03";

const noTls = 'the server does not support TLS: set "ssl = on" in its configuration, or leave sslmode out';

/** One connection. It is not used any more once it has broken. */
interface Link {
  sql: Sql;
  isOpen: boolean;
}

/** A database of PostgreSQL. A connection that fails is replaced by the next statement outside of a transaction. */
export class Postgres implements Database {
  readonly #url: string;
  readonly #ssl: TlsChecks | false;
  readonly #password: string;
  readonly #isExclusive: boolean;
  #link: Link | undefined;
  readonly #turns = new Turns();

  /**
   * @param url          `postgres://user@host:port/database`; with `?host=` for the directory of a unix socket, and
   *   `?sslmode=` for TLS
   * @param isExclusive  whether no other program may open the database with this option at the same time
   */
  constructor(url: string, password: string, isExclusive = false) {
    const parsed = new URL(url);
    const tls = parseTls(parsed);
    if (typeof tls === "string") throw new TypeError(tls);
    const host = withoutBrackets(parsed.hostname);
    this.#ssl = tls === undefined ? false : tlsChecks(tls, host);
    this.#url = withoutTls(parsed).href;
    this.#password = password;
    this.#isExclusive = isExclusive;
  }

  rows(sql: string, values: readonly SqlValue[] = []): Promise<SqlRow[]> {
    return this.#inTurn(async (link) => (await send(link, sql, values)).rows);
  }

  transaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return this.#inTurn(async (link) => {
      await send(link, "BEGIN", []);
      try {
        const result = await work({
          rows: async (sql, values = []) => (await send(link, sql, values)).rows,
          run: async (sql, values = []) => (await send(link, sql, values)).count,
        });
        await send(link, "COMMIT", []);
        return result;
      } catch (error) {
        await send(link, "ROLLBACK", []).catch(() => drop(link));
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    await this.#turns.ended();
    const link = this.#link;
    this.#link = undefined;
    if (link?.isOpen) await link.sql.end({ timeout: 1 }).catch(() => undefined);
  }

  /** Runs `work` on the connection after the work that runs. */
  #inTurn<Result>(work: (link: Link) => Promise<Result>): Promise<Result> {
    return this.#turns.take(async () => {
      if (!this.#link?.isOpen) this.#link = await this.#connect();
      return work(this.#link);
    });
  }

  async #connect(): Promise<Link> {
    const connect = await loadDriver();
    const link = { isOpen: true } as Link;
    link.sql = connect(this.#url, {
      ...{
        max: 1,
        max_lifetime: null,
        connect_timeout: connectSeconds,
        fetch_types: false,
        onnotice: () => undefined,
      },
      ...(this.#password !== "" && { password: this.#password }),
      connection: { application_name: "chihaya", ...(this.#isExclusive && keepalives) },
      ssl: this.#ssl,
      onclose: () => {
        link.isOpen = false;
      },
    });
    if (this.#isExclusive) await takeLock(link);
    return link;
  }
}

async function send(
  link: Link,
  text: string,
  values: readonly SqlValue[],
): Promise<{ rows: SqlRow[]; count: number }> {
  // The driver would connect again, and run the rest of a transaction outside of it.
  if (!link.isOpen) throw new Error("the connection to the database was lost");
  let index = 0;
  const numbered = text.replaceAll("?", () => `$${++index}`);
  try {
    const rows = await withTimeout(
      statementMs,
      Promise.resolve(link.sql.unsafe(numbered, values as never[])),
      `no response of the database for ${statementMs / 1000} seconds`,
    );
    return { rows: rows as unknown as SqlRow[], count: rows.count };
  } catch (error) {
    if (sqlState(error) === undefined) drop(link);
    throw explain(error as Error);
  }
}

/** Returns an error that says more than the driver does, where that is needed. */
function explain(error: Error): Error {
  const { message } = error;
  if (message.includes("before secure TLS connection")) return new Error(noTls, { cause: error });
  const isConnecting = /^(connect|getaddrinfo) /.test(message);
  return isConnecting ? new Error(`cannot connect to the database: ${message}`, { cause: error }) : error;
}

function drop(link: Link): void {
  link.isOpen = false;
  void link.sql.end({ timeout: 0 }).catch(() => undefined);
}

/** Takes the lock of the database, which ends with the connection. @throws SiteInUseError if another connection has it */
async function takeLock(link: Link): Promise<void> {
  try {
    await send(link, "BEGIN", []);
    await send(link, `SET LOCAL lock_timeout = ${lockMs}`, []);
    await send(link, `SELECT pg_advisory_lock(${lockKey})`, []);
    await send(link, "COMMIT", []);
  } catch (error) {
    if (sqlState(error) !== lockTimeout) {
      drop(link);
      throw error;
    }
    await send(link, "ROLLBACK", []);
    const [classId, objectId] = lockKey.split(", ");
    const { rows } = await send(
      link,
      "SELECT pid, current_database() AS name FROM pg_locks WHERE locktype = 'advisory' AND granted AND " +
        `database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND classid = ${classId} ` +
        `AND objid = (${objectId}::bigint & 4294967295)`,
      [],
    );
    drop(link);
    throw new SiteInUseError(
      `the database ${rows[0]?.name}`,
      `. If the machine of that tracker has died, end its connection: "SELECT pg_terminate_backend(${rows[0]?.pid})"`,
    );
  }
}

/** Returns the code of an error of the server; undefined if the error is not the server's. */
function sqlState(error: unknown): string | undefined {
  const { code, severity } = error as { code?: string; severity?: string };
  return severity === undefined ? undefined : code;
}

async function loadDriver(): Promise<typeof import("postgres")> {
  try {
    return (await import("postgres")).default;
  } catch (cause) {
    throw new Error(`a database of PostgreSQL needs the package "postgres": ${installRemedy("postgres")}`, {
      cause,
    });
  }
}

const types: Readonly<Record<ColumnType, string>> = {
  serial: "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
  id: "BIGINT",
  int: "BIGINT",
  flag: "SMALLINT",
  infohash: "BYTEA",
  bytes: "BYTEA",
  word: 'TEXT COLLATE "C"',
  line: 'TEXT COLLATE "C"',
  text: "TEXT",
};

/** How PostgreSQL writes what databases write in different ways. */
export const postgresDialect: Dialect = {
  kind: "postgres",
  types,
  forUpdate: " FOR UPDATE",
  lockTable: (table) => `LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE`,
  insertSource(columns: readonly Column[], rows: SqlRows): SqlText {
    const { sql, values } = recordset(columns, rows);
    return { sql: `SELECT ${columns.map(({ name }) => name).join(", ")} FROM ${sql} WHERE true`, values };
  },
  table: recordset,
  isRowError(error: unknown): boolean {
    // A value that does not fit, or a constraint.
    return /^2[23]/.test(sqlState(error) ?? "");
  },
};

function recordset(columns: readonly Column[], rows: SqlRows): SqlText {
  const list = columns.map(({ name, type }) => `${name} ${types[type]}`).join(", ");
  const objects = rows.map((row) =>
    Object.fromEntries(columns.map(({ name }, i) => [name.replaceAll('"', ""), toJson(row[i]!)])),
  );
  return { sql: `json_to_recordset(?::text::json) AS d(${list})`, values: [JSON.stringify(objects)] };
}

function toJson(value: SqlValue): number | string | null {
  if (typeof value === "bigint") return value.toString();
  return value instanceof Uint8Array ? `\\x${Buffer.from(value).toString("hex")}` : value;
}
