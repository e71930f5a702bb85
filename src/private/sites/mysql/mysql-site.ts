import type { Batch } from "../../accounting/batch.ts";
import type {
  DirectoryChange,
  DirectoryClient,
  DirectoryGrant,
  DirectoryGroup,
  DirectorySize,
  DirectoryTorrent,
  DirectoryUser,
} from "../../directory-records.ts";
import type { Applied, Site } from "../../site.ts";
import { Change, Mirror } from "../mirror.ts";
import type { Ledger, QuarantinedTraffic } from "./ledger.ts";
import type { Mysql, SqlRow, Transaction } from "./mysql.ts";

/** Seconds between looks for new rows, and between comparisons of everything. */
const [newRowsSeconds, compareSeconds] = [60, 900];
/** Seconds until everything is compared after a call that speaks of something unknown. */
const soonSeconds = 5;
/** Rows of one query. */
const pageRows = 10_000;

/** The collaborators of a {@link MysqlSite}. */
export interface MysqlSiteDeps {
  mysql: Mysql;
  ledger: Ledger;
  /** Returns seconds since 1970. */
  now(): number;
}

/**
 * A site with its own software and its own tables in MariaDB or MySQL. Users and torrents come in two ways at once: by the calls of the
 * software, which work at once, and by the rows of the database, so that a lost call heals.
 */
export abstract class MysqlSite implements Site {
  readonly mirror: Mirror = new Mirror();
  protected readonly mysql: Mysql;
  readonly #deps: MysqlSiteDeps;
  #steer: (change: DirectoryChange) => void = () => undefined;
  #prepared: Promise<void> | undefined;
  #newRowsAt = 0;
  #compareAt = 0;

  constructor(deps: MysqlSiteDeps) {
    this.#deps = deps;
    this.mysql = deps.mysql;
  }

  /** Looks at the tables before the first use. @throws Error that names what is missing */
  protected abstract detect(): Promise<void>;
  /** Reads what may be new, or everything with `comparesAll`, into the mirror. */
  protected abstract read(change: Change, now: number, comparesAll: boolean): Promise<void>;
  /** Writes a batch, always in the same order of tables and keys. @returns what the database did not take */
  protected abstract write(transaction: Transaction, batch: Batch): Promise<QuarantinedTraffic[]>;
  abstract expirePeers(activeAfter: number, keptAfter: number): Promise<void>;

  open(steer: (change: DirectoryChange) => void): void {
    this.#steer = steer;
  }

  get now(): number {
    return this.#deps.now();
  }

  /** Brings a change of the site into the directory. */
  steer(make: (change: Change, now: number, mirror: Mirror) => void): void {
    const change = new Change();
    make(change, this.now, this.mirror);
    if (!change.isEmpty) this.#steer(change);
  }

  /** Compares everything soon, because the site speaks of something unknown. */
  compareSoon(): void {
    this.#newRowsAt = this.#compareAt = Math.min(this.#compareAt, this.now + soonSeconds);
  }

  async size(): Promise<DirectorySize> {
    if (this.#compareAt === 0) await this.changes();
    const { users, torrents, grants, groups, clients } = this.mirror;
    const sizes = { users: users.size, torrents: torrents.size, grants: grants.size };
    return { ...sizes, groups: groups.size, clients: clients.size };
  }

  async *users(): AsyncIterable<DirectoryUser> {
    yield* this.mirror.users.values();
  }

  async *torrents(): AsyncIterable<DirectoryTorrent> {
    yield* this.mirror.torrents.values();
  }

  async *grants(): AsyncIterable<DirectoryGrant> {
    yield* this.mirror.grants.values();
  }

  async rules(): Promise<{ groups: readonly DirectoryGroup[]; clients: readonly DirectoryClient[] }> {
    return { groups: [...this.mirror.groups.values()], clients: [...this.mirror.clients.values()] };
  }

  async changes(): Promise<DirectoryChange | undefined> {
    const { now } = this;
    if (now < this.#newRowsAt) return undefined;
    await this.prepare();
    const change = new Change();
    const comparesAll = now >= this.#compareAt;
    try {
      await this.read(change, now, comparesAll);
    } catch (error) {
      // The mirror has what was read before the error, so the directory must have it too.
      if (!change.isEmpty) this.#steer(change);
      throw error;
    }
    if (comparesAll) this.#compareAt = now + compareSeconds;
    this.#newRowsAt = now + newRowsSeconds;
    return change.isEmpty ? undefined : change;
  }

  async lastApplied(instance: string): Promise<number | undefined> {
    await this.prepare();
    return this.#deps.ledger.lastApplied(instance);
  }

  async apply(instance: string, batch: Batch): Promise<Applied> {
    await this.prepare();
    const { mysql, ledger } = this.#deps;
    return mysql.transaction(async (transaction): Promise<Applied> => {
      const last = await ledger.lock(transaction, instance);
      if (last === undefined) throw new Error("the database has been taken over by another journal");
      if (last !== batch.from) return { isApplied: false, last };
      const quarantined = await this.write(transaction, batch);
      await ledger.quarantine(transaction, batch.to, quarantined);
      await ledger.note(transaction, instance, batch.to);
      return { isApplied: true, quarantined: quarantined.length };
    });
  }

  close(): Promise<void> {
    return this.mysql.close();
  }

  /** Looks at the tables, and opens the ledger, once. */
  protected prepare(): Promise<void> {
    this.#prepared ??= this.detect()
      .then(() => this.#deps.ledger.open())
      .catch((error) => {
        this.#prepared = undefined;
        throw error;
      });
    return this.#prepared;
  }

  /** Yields the rows of a query with `id`, page by page, so that no query locks the table for long. */
  protected async *pages(sql: string, after: number): AsyncGenerator<SqlRow> {
    for (;;) {
      const rows = await this.mysql.rows(`${sql} LIMIT ${pageRows}`, [after]);
      yield* rows;
      if (rows.length < pageRows) return;
      after = Number(rows.at(-1)!.id);
    }
  }
}

/** Returns the bytes of a value of a binary column. */
export function bytesOf(value: SqlRow[string] | undefined): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(String(value ?? ""), "latin1");
}
