import { lastOf } from "../rows.ts";
import {
  type Accounts,
  type QuarantinedRow,
  retryRows,
  SiteError,
  type SiteStats,
  StillMissing,
  toQuarantinedRow,
  type UserAccount,
} from "../sql/administration.ts";
import type { Ledger } from "./ledger.ts";
import { isRowError, type Mysql, type SqlRow } from "./mysql.ts";

/** Where the software of a site keeps what an operator asks for. */
export interface AccountTables {
  /** Query of all users: `id`, `name`, `passkey`, `enabled`, `uploaded`, `downloaded`. */
  readonly users: string;
  /** Query of all torrents: `seeders`, `leechers`, `completed`. */
  readonly torrents: string;
  /** The table with the credits of users, and its column with the id. */
  readonly credits: { readonly table: string; readonly id: string };
}

/** What operators do with the accounts of a site that has software of its own. The software does everything else. */
export class LedgerAdministration implements Accounts {
  readonly #mysql: Mysql;
  readonly #ledger: Ledger;
  readonly #tables: AccountTables;

  /** @param mysql  the caller closes it */
  constructor(mysql: Mysql, ledger: Ledger, tables: AccountTables) {
    this.#mysql = mysql;
    this.#ledger = ledger;
    this.#tables = tables;
  }

  async user(name: string): Promise<UserAccount> {
    const [row] = await this.#mysql.rows(`SELECT * FROM (${this.#tables.users}) u WHERE u.name = ?`, [name]);
    if (row === undefined) throw new SiteError(`there is no user ${JSON.stringify(name)}`);
    return {
      ...{ id: Number(row.id), name: String(row.name), passkey: String(row.passkey) },
      ...{ enabled: Number(row.enabled) === 1, uploaded: toBytes(row.uploaded) },
      downloaded: toBytes(row.downloaded),
    };
  }

  async stats(): Promise<SiteStats> {
    const { users, torrents } = this.#tables;
    const { applied, quarantine } = this.#ledger.tables;
    const sum = (column: string) => `CAST(COALESCE(SUM(${column}), 0) AS CHAR) AS ${column}`;
    const [user] = await this.#mysql.rows(
      `SELECT COUNT(*) AS users, ${sum("uploaded")}, ${sum("downloaded")} FROM (${users}) u`,
    );
    const [torrent] = await this.#mysql.rows(
      `SELECT COUNT(*) AS torrents, ${sum("seeders")}, ${sum("leechers")}, ${sum("completed")} FROM (${torrents}) t`,
    );
    const [last] = await this.#mysql.rows(
      `SELECT MAX(seq) AS seq, MAX(at) AS at, (SELECT COUNT(*) FROM ${quarantine}) AS quarantined FROM ${applied}`,
    );
    return {
      ...{ users: Number(user!.users), torrents: Number(torrent!.torrents) },
      ...{ seeders: Number(torrent!.seeders), leechers: Number(torrent!.leechers) },
      ...{ completed: Number(torrent!.completed), quarantined: Number(last!.quarantined) },
      ...{ uploaded: toBytes(user!.uploaded), downloaded: toBytes(user!.downloaded) },
      applied: last!.seq === null ? undefined : Number(last!.seq),
      appliedAt: last!.at === null ? undefined : Number(last!.at),
    };
  }

  async quarantined(): Promise<QuarantinedRow[]> {
    const rows = await this.#mysql.rows(`SELECT * FROM ${this.#ledger.tables.quarantine} ORDER BY id`);
    return rows.map(toQuarantinedRow);
  }

  async retryQuarantined(): Promise<{ credited: number; left: number }> {
    return retryRows(await this.quarantined(), (row) => this.#retry(row), isRowError);
  }

  /** Credits a row. A row without bytes has nothing to credit, and goes. */
  #retry({ id, user_id, uploaded, downloaded }: QuarantinedRow): Promise<void> {
    const { table, id: key } = this.#tables.credits;
    return this.#mysql.transaction(async (transaction) => {
      // Another program may have taken the row meanwhile.
      const sql = `DELETE FROM ${this.#ledger.tables.quarantine} WHERE id = ?`;
      if ((await transaction.run(sql, [id])) === 0 || (uploaded === 0n && downloaded === 0n)) return;
      const credited = await transaction.run(
        `UPDATE ${table} SET uploaded = uploaded + ?, downloaded = downloaded + ? WHERE ${key} = ?`,
        [uploaded, downloaded, user_id],
      );
      if (credited === 0) throw new StillMissing();
    });
  }

  async adopt(instance: string): Promise<void> {
    await this.#mysql.transaction(async (transaction) => {
      await transaction.run(`DELETE FROM ${this.#ledger.tables.applied}`);
      await this.#ledger.note(transaction, instance, 0);
    });
  }

  async lastApplied(instance: string): Promise<number | undefined> {
    return lastOf(
      await this.#mysql.rows(`SELECT instance, seq FROM ${this.#ledger.tables.applied}`),
      instance,
    );
  }
}

function toBytes(value: SqlRow[string] | undefined): bigint {
  return BigInt(String(value ?? 0));
}
