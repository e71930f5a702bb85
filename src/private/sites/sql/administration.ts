import { createPasskey } from "../../passkey.ts";
import { lastOf } from "../rows.ts";
import type { Database, Dialect, OpenDatabase, SqlRow, SqlValue } from "./database.ts";

/** A mistake of the operator, for the command line; the message has the remedy. */
export class SiteError extends Error {}

/** A user, as operators see one. */
export interface UserAccount {
  id: number;
  name: string;
  passkey: string;
  enabled: boolean;
  uploaded: bigint;
  downloaded: bigint;
}

/** The numbers of a site. */
export interface SiteStats {
  users: number;
  torrents: number;
  seeders: number;
  leechers: number;
  completed: number;
  uploaded: bigint;
  downloaded: bigint;
  /** Rows that were set aside. */
  quarantined: number;
  /** Sequence and time of the last record that the database has; undefined before the first. */
  applied: number | undefined;
  appliedAt: number | undefined;
}

/** A row that the database did not take. */
export interface QuarantinedRow {
  id: number;
  seq: number;
  user_id: number;
  torrent_id: number | null;
  uploaded: bigint;
  downloaded: bigint;
  reason: string;
  at: number;
}

/** What operators do with the accounts of any site in a database. */
export interface Accounts {
  /** @throws SiteError if there is no such user */
  user(name: string): Promise<UserAccount>;
  stats(): Promise<SiteStats>;
  quarantined(): Promise<QuarantinedRow[]>;
  /**
   * Credits the rows that were set aside, each in its own transaction, for instance after a deleted user was restored.
   * @returns how many rows were credited, and how many the database still does not take
   */
  retryQuarantined(): Promise<{ credited: number; left: number }>;
  /** Makes a journal the one whose traffic the database has, up to none of its records. */
  adopt(instance: string): Promise<void>;
  /** Returns the sequence that the database has of a journal. @returns undefined if the database knows another journal only */
  lastApplied(instance: string): Promise<number | undefined>;
}

/** The user of a row that was set aside is not there. */
export class StillMissing extends Error {}

/** Reads a row of the table `quarantine`. */
export function toQuarantinedRow(row: SqlRow): QuarantinedRow {
  const { id, seq, user_id, torrent_id, uploaded, downloaded, reason, at } = row;
  return {
    ...{ id: Number(id), seq: Number(seq), user_id: Number(user_id), at: Number(at) },
    torrent_id: torrent_id === null ? null : Number(torrent_id),
    ...{ uploaded: BigInt(String(uploaded)), downloaded: BigInt(String(downloaded)), reason: String(reason) },
  };
}

/**
 * Retries rows that were set aside, one after the other.
 * @param retry       credits a row in a transaction of its own; throws {@link StillMissing} for a user who is not there
 * @param isRowError  whether the database does not take the row
 */
export async function retryRows(
  rows: readonly QuarantinedRow[],
  retry: (row: QuarantinedRow) => Promise<void>,
  isRowError: (error: unknown) => boolean,
): Promise<{ credited: number; left: number }> {
  let left = 0;
  for (const row of rows) {
    try {
      await retry(row);
    } catch (error) {
      if (!(error instanceof StillMissing) && !isRowError(error)) throw error;
      left++;
    }
  }
  return { credited: rows.length - left, left };
}

/** What operators do with the database of a private site. */
export class SiteAdministration implements Accounts {
  readonly #database: Database;
  readonly #dialect: Dialect;

  /** @param open  the caller closes it */
  constructor({ database, dialect }: OpenDatabase) {
    this.#database = database;
    this.#dialect = dialect;
  }

  /** Adds a user with a new passkey. @throws SiteError if there is a user of that name */
  addUser(name: string): Promise<{ id: number; passkey: string }> {
    return this.#database.transaction(async (transaction) => {
      const [known] = await transaction.rows("SELECT id FROM users WHERE name = ?", [name]);
      if (known !== undefined) throw new SiteError(`there is a user ${JSON.stringify(name)} already`);
      const passkey = createPasskey();
      await transaction.run("INSERT INTO users (name, passkey) VALUES (?, ?)", [name, passkey]);
      const [added] = await transaction.rows("SELECT id FROM users WHERE name = ?", [name]);
      return { id: Number(added!.id), passkey };
    });
  }

  async user(name: string): Promise<UserAccount> {
    const columns = "id, name, passkey, enabled, uploaded, downloaded";
    const [row] = await this.#database.rows(`SELECT ${columns} FROM users WHERE name = ?`, [name]);
    if (row === undefined) throw noUser(name);
    return {
      ...{ id: Number(row.id), name: row.name as string, passkey: row.passkey as string },
      enabled: Number(row.enabled) !== 0,
      uploaded: BigInt(row.uploaded as string),
      downloaded: BigInt(row.downloaded as string),
    };
  }

  /** Gives a user a new passkey; the old one is refused from then on. @throws SiteError if there is no such user */
  async resetPasskey(name: string): Promise<{ id: number; passkey: string }> {
    const { id } = await this.user(name);
    const passkey = createPasskey();
    await this.#run("UPDATE users SET passkey = ? WHERE id = ?", [passkey, id]);
    return { id, passkey };
  }

  /** @throws SiteError if there is no such user */
  async setEnabled(name: string, isEnabled: boolean): Promise<void> {
    const changed = await this.#run("UPDATE users SET enabled = ? WHERE name = ?", [Number(isEnabled), name]);
    if (changed === 0) throw noUser(name);
  }

  /**
   * Adds a torrent, or finds it. A torrent of both versions that is known by one infohash gets the other one too.
   * @param hashes  of version 1 with 20 bytes, of version 2 with 32, at least one of them
   */
  addTorrent({ v1, v2, name }: { v1?: Uint8Array; v2?: Uint8Array; name?: string }): Promise<{
    id: number;
    isNew: boolean;
  }> {
    const hashes = [v1 ?? null, v2 ?? null];
    const find = "SELECT id FROM torrents WHERE info_hash = ? OR info_hash_v2 = ?";
    return this.#database.transaction(async (transaction) => {
      const known = (await transaction.rows(find, hashes)).map(({ id }) => Number(id));
      if (known.length > 1)
        throw new SiteError(
          `its two infohashes belong to the torrents ${known.join(" and ")}; remove one of these`,
        );
      if (known.length === 1) {
        await transaction.run(
          "UPDATE torrents SET info_hash = coalesce(info_hash, ?), info_hash_v2 = coalesce(info_hash_v2, ?) WHERE id = ? " +
            "AND (info_hash IS NULL OR info_hash_v2 IS NULL)",
          [...hashes, known[0]!],
        );
        return { id: known[0]!, isNew: false };
      }
      await transaction.run("INSERT INTO torrents (info_hash, info_hash_v2, name) VALUES (?, ?, ?)", [
        ...hashes,
        name ?? null,
      ]);
      const [added] = await transaction.rows(find, hashes);
      return { id: Number(added!.id), isNew: true };
    });
  }

  async stats(): Promise<SiteStats> {
    const [row] = await this.#database.rows(
      "SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM torrents) AS torrents, " +
        "(SELECT coalesce(sum(uploaded), 0) FROM users) AS uploaded, (SELECT coalesce(sum(downloaded), 0) FROM users) AS downloaded, " +
        "(SELECT coalesce(sum(seeders), 0) FROM torrents) AS seeders, (SELECT coalesce(sum(leechers), 0) FROM torrents) AS leechers, " +
        "(SELECT coalesce(sum(completed), 0) FROM torrents) AS completed, (SELECT count(*) FROM quarantine) AS quarantined, " +
        "(SELECT max(seq) FROM applied) AS applied, (SELECT max(at) FROM applied) AS applied_at",
    );
    const count = (key: string) => Number(row![key]);
    return {
      ...{ users: count("users"), torrents: count("torrents"), seeders: count("seeders") },
      ...{ leechers: count("leechers"), completed: count("completed"), quarantined: count("quarantined") },
      ...{ uploaded: BigInt(row!.uploaded as string), downloaded: BigInt(row!.downloaded as string) },
      applied: row!.applied === null ? undefined : count("applied"),
      appliedAt: row!.applied_at === null ? undefined : count("applied_at"),
    };
  }

  async quarantined(): Promise<QuarantinedRow[]> {
    const rows = await this.#database.rows("SELECT * FROM quarantine ORDER BY id");
    return rows.map(toQuarantinedRow);
  }

  async retryQuarantined(): Promise<{ credited: number; left: number }> {
    return retryRows(await this.quarantined(), (row) => this.#retry(row), this.#dialect.isRowError);
  }

  #retry({ id, user_id, torrent_id, uploaded, downloaded, at }: QuarantinedRow): Promise<void> {
    const set = "SET uploaded = uploaded + ?, downloaded = downloaded + ?";
    const bytes = [uploaded, downloaded];
    return this.#database.transaction(async (transaction) => {
      // Another program may have taken the row meanwhile.
      if ((await transaction.run("DELETE FROM quarantine WHERE id = ?", [id])) === 0) return;
      if (torrent_id === null) {
        if ((await transaction.run(`UPDATE users ${set} WHERE id = ?`, [...bytes, user_id])) === 0)
          throw new StillMissing();
        return;
      }
      const key = [user_id, torrent_id];
      const condition = "user_id = ? AND torrent_id = ?";
      if ((await transaction.run(`UPDATE history ${set} WHERE ${condition}`, [...bytes, ...key])) > 0) return;
      await transaction.run(
        "INSERT INTO history (user_id, torrent_id, uploaded, downloaded, raw_uploaded, raw_downloaded, seedtime, leechtime, " +
          "first_seen, last_seen, completed_at, active) VALUES (?, ?, ?, ?, 0, 0, 0, 0, ?, ?, NULL, 0)",
        [...key, ...bytes, at, at],
      );
    });
  }

  async adopt(instance: string): Promise<void> {
    await this.#database.transaction(async (transaction) => {
      await transaction.run("DELETE FROM applied");
      await transaction.run("INSERT INTO applied VALUES (?, 0, ?)", [
        instance,
        Math.floor(Date.now() / 1000),
      ]);
    });
  }

  async lastApplied(instance: string): Promise<number | undefined> {
    return lastOf(await this.#database.rows("SELECT instance, seq FROM applied"), instance);
  }

  #run(sql: string, values: readonly SqlValue[]): Promise<number> {
    return this.#database.transaction((transaction) => transaction.run(sql, values));
  }
}

function noUser(name: string): SiteError {
  return new SiteError(`there is no user ${JSON.stringify(name)}; "chihaya private add-user" adds one`);
}
