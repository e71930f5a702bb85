import type { Bytes } from "../../accounting/bytes.ts";
import { lastOf } from "../rows.ts";
import { valueLists } from "./bulk.ts";
import { codeOf, type Mysql, type Transaction } from "./mysql.ts";

/** Codes of the server: no such database or table, and no right to it. */
const missing: readonly (number | undefined)[] = [1049, 1146];
const forbidden: readonly (number | undefined)[] = [1044, 1142, 1227];

/** Traffic that the database does not take. */
export interface QuarantinedTraffic {
  user: number;
  torrent: number | null;
  uploaded: Bytes;
  downloaded: Bytes;
  reason: string;
}

/**
 * Notes which records the database of a site has, in a database of the tracker on the same server. The site's tables need no change.
 * The note of the last record is part of each transaction, so no record counts twice.
 */
export class Ledger {
  readonly #mysql: Mysql;
  readonly #name: string;

  /** @param name  of the database */
  constructor(mysql: Mysql, name: string) {
    this.#mysql = mysql;
    this.#name = `\`${name.replaceAll("`", "``")}\``;
  }

  /** The names of the tables, with the database. */
  get tables(): { applied: string; quarantine: string; usedTokens: string } {
    const name = this.#name;
    return {
      ...{ applied: `${name}.applied`, quarantine: `${name}.quarantine` },
      usedTokens: `${name}.used_tokens`,
    };
  }

  /** Creates database and tables, if they are not there. @throws Error with the remedy, if the tracker may not */
  async open(): Promise<void> {
    try {
      await this.#mysql.rows(`SELECT 1 FROM ${this.#name}.applied, ${this.#name}.quarantine LIMIT 1`);
      return;
    } catch (error) {
      if (!missing.includes(codeOf(error)) && !forbidden.includes(codeOf(error))) throw error;
    }
    try {
      await this.#mysql.rows(`CREATE DATABASE IF NOT EXISTS ${this.#name}`);
      await this.#mysql.rows(
        `CREATE TABLE IF NOT EXISTS ${this.#name}.applied (instance VARCHAR(64) CHARACTER SET ascii PRIMARY KEY, ` +
          "seq BIGINT UNSIGNED NOT NULL, at INT UNSIGNED NOT NULL) ENGINE=InnoDB",
      );
      await this.#mysql.rows(
        `CREATE TABLE IF NOT EXISTS ${this.#name}.quarantine (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, ` +
          "seq BIGINT UNSIGNED NOT NULL, user_id INT UNSIGNED NOT NULL, torrent_id INT UNSIGNED, uploaded BIGINT NOT NULL, " +
          "downloaded BIGINT NOT NULL, reason VARCHAR(255) CHARACTER SET ascii NOT NULL, at INT UNSIGNED NOT NULL) ENGINE=InnoDB",
      );
    } catch (error) {
      if (!forbidden.includes(codeOf(error))) throw error;
      throw new Error(
        `the user of the database may not create ${this.#name}, in which the tracker notes what it has credited; run "CREATE DATABASE ` +
          `${this.#name}; GRANT ALL ON ${this.#name}.* TO ..." as an administrator: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  /** As `Site.lastApplied`. */
  async lastApplied(instance: string): Promise<number | undefined> {
    const rows = await this.#mysql.rows(`SELECT instance, seq FROM ${this.#name}.applied`);
    if (rows.length > 0) return lastOf(rows, instance);
    return this.#mysql.transaction(async (transaction) => {
      const last = await this.lock(transaction, instance);
      if (last === 0) await this.note(transaction, instance, 0);
      return last;
    });
  }

  /** As {@link lastApplied}, and keeps other transactions from noting anything until the end of this one. */
  async lock(transaction: Transaction, instance: string): Promise<number | undefined> {
    const rows = await transaction.rows(`SELECT instance, seq FROM ${this.#name}.applied FOR UPDATE`);
    return lastOf(rows, instance);
  }

  /** Notes the last record of a transaction. */
  async note(transaction: Transaction, instance: string, seq: number): Promise<void> {
    await transaction.run(
      `INSERT INTO ${this.#name}.applied VALUES (?, ?, UNIX_TIMESTAMP()) ON DUPLICATE KEY UPDATE seq = VALUES(seq), at = VALUES(at)`,
      [instance, seq],
    );
  }

  /** Sets traffic aside. */
  async quarantine(
    transaction: Transaction,
    seq: number,
    rows: readonly QuarantinedTraffic[],
  ): Promise<void> {
    for (const { user, torrent, uploaded, downloaded, reason } of rows) {
      const text = reason.replace(/[^ -~]/g, "?").slice(0, 255);
      const values = [seq, user, torrent, uploaded, downloaded, text, { sql: "UNIX_TIMESTAMP()" }];
      // A reason has quotes, and placeholders would escape them in a way that not every SQL mode knows.
      await transaction.run(
        `INSERT INTO ${this.#name}.quarantine (seq, user_id, torrent_id, uploaded, downloaded, reason, at) ` +
          `VALUES ${valueLists([values])}`,
      );
    }
  }
}
