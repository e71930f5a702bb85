import { randomBytes } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";

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

/** What operators do with the database of a private site. */
export class SiteAdministration {
  readonly #database: DatabaseSync;

  /** @param database  the caller closes it */
  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Adds a user with a new passkey. @throws SiteError if there is a user of that name */
  addUser(name: string): { id: number; passkey: string } {
    if (this.#userId(name) !== undefined)
      throw new SiteError(`there is a user ${JSON.stringify(name)} already`);
    const passkey = createPasskey();
    const insert = this.#database.prepare("INSERT INTO users (name, passkey) VALUES (?, ?)");
    return { id: Number(insert.run(name, passkey).lastInsertRowid), passkey };
  }

  /** @throws SiteError if there is no such user */
  user(name: string): UserAccount {
    const select = this.#database.prepare(
      "SELECT id, name, passkey, enabled, uploaded, downloaded FROM users WHERE name = ?",
    );
    select.setReadBigInts(true);
    const row = select.get(name) as Record<string, unknown> | undefined;
    if (row === undefined) throw noUser(name);
    return { ...row, id: Number(row.id), enabled: row.enabled !== 0n } as UserAccount;
  }

  /** Gives a user a new passkey; the old one is refused from then on. @throws SiteError if there is no such user */
  resetPasskey(name: string): { id: number; passkey: string } {
    const { id } = this.user(name);
    const passkey = createPasskey();
    this.#database.prepare("UPDATE users SET passkey = ? WHERE id = ?").run(passkey, id);
    return { id, passkey };
  }

  /** @throws SiteError if there is no such user */
  setEnabled(name: string, isEnabled: boolean): void {
    const update = this.#database.prepare("UPDATE users SET enabled = ? WHERE name = ?");
    if (update.run(Number(isEnabled), name).changes === 0) throw noUser(name);
  }

  /**
   * Adds a torrent, or finds it. A torrent of both versions that is known by one infohash gets the other one too.
   * @param hashes  of version 1 with 20 bytes, of version 2 with 32, at least one of them
   */
  addTorrent({ v1, v2, name }: { v1?: Uint8Array; v2?: Uint8Array; name?: string }): {
    id: number;
    isNew: boolean;
  } {
    const [one, two, called] = [v1 ?? null, v2 ?? null, name ?? null];
    const known = this.#database
      .prepare("SELECT id FROM torrents WHERE info_hash = ? OR info_hash_v2 = ?")
      .all(one, two);
    if (known.length > 1)
      throw new SiteError(
        `its two infohashes belong to the torrents ${known.map(({ id }) => id).join(" and ")}; remove one of these`,
      );
    if (known.length === 1) {
      const id = Number(known[0]!.id);
      this.#database
        .prepare(
          "UPDATE torrents SET info_hash = coalesce(info_hash, ?), info_hash_v2 = coalesce(info_hash_v2, ?) WHERE id = ? " +
            "AND (info_hash IS NULL OR info_hash_v2 IS NULL)",
        )
        .run(one, two, id);
      return { id, isNew: false };
    }
    const insert = this.#database.prepare(
      "INSERT INTO torrents (info_hash, info_hash_v2, name) VALUES (?, ?, ?)",
    );
    return { id: Number(insert.run(one, two, called).lastInsertRowid), isNew: true };
  }

  stats(): SiteStats {
    const select = this.#database.prepare(
      "SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM torrents) AS torrents, " +
        "(SELECT coalesce(sum(uploaded), 0) FROM users) AS uploaded, (SELECT coalesce(sum(downloaded), 0) FROM users) AS downloaded, " +
        "(SELECT coalesce(sum(seeders), 0) FROM torrents) AS seeders, (SELECT coalesce(sum(leechers), 0) FROM torrents) AS leechers, " +
        "(SELECT coalesce(sum(completed), 0) FROM torrents) AS completed, (SELECT count(*) FROM quarantine) AS quarantined, " +
        "(SELECT max(seq) FROM applied) AS applied, (SELECT max(at) FROM applied) AS appliedAt",
    );
    select.setReadBigInts(true);
    const row = select.get() as Record<string, bigint | null>;
    const count = (key: string) => Number(row[key]);
    return {
      ...{ users: count("users"), torrents: count("torrents"), seeders: count("seeders") },
      ...{ leechers: count("leechers"), completed: count("completed"), quarantined: count("quarantined") },
      ...{ uploaded: row.uploaded!, downloaded: row.downloaded! },
      applied: row.applied === null ? undefined : count("applied"),
      appliedAt: row.appliedAt === null ? undefined : count("appliedAt"),
    };
  }

  quarantined(): QuarantinedRow[] {
    const select = this.#database.prepare("SELECT * FROM quarantine ORDER BY id");
    select.setReadBigInts(true);
    return select.all().map((row) => ({
      ...row,
      ...{ id: Number(row.id), seq: Number(row.seq), user_id: Number(row.user_id), at: Number(row.at) },
      torrent_id: row.torrent_id === null ? null : Number(row.torrent_id),
    })) as QuarantinedRow[];
  }

  /** Makes a journal the one whose traffic the database has, up to none of its records. */
  adopt(instance: string): void {
    this.#database.exec("BEGIN IMMEDIATE; DELETE FROM applied");
    this.#database.prepare("INSERT INTO applied VALUES (?, 0, unixepoch())").run(instance);
    this.#database.exec("COMMIT");
  }

  /** Returns the sequence that the database has of a journal. @returns undefined if the database knows another journal only */
  lastApplied(instance: string): number | undefined {
    const row = this.#database.prepare("SELECT seq FROM applied WHERE instance = ?").get(instance);
    if (row !== undefined) return Number(row.seq);
    return this.#database.prepare("SELECT 1 FROM applied").get() === undefined ? 0 : undefined;
  }

  #userId(name: string): number | undefined {
    return this.#database.prepare("SELECT id FROM users WHERE name = ?").get(name)?.id as number | undefined;
  }
}

function noUser(name: string): SiteError {
  return new SiteError(`there is no user ${JSON.stringify(name)}; "chihaya private add-user" adds one`);
}

function createPasskey(): string {
  return randomBytes(16).toString("hex");
}
