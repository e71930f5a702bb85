import type { DatabaseSync, StatementSync } from "node:sqlite";
import { clientId } from "../../../bittorrent/client-id.ts";
import type { Batch, History, Sums } from "../../accounting/batch.ts";
import type { DirectorySize, DirectoryTorrent, DirectoryUser } from "../../directory-records.ts";
import type { Applied, Site, SiteChange } from "../../site.ts";

type Row = Record<string, number | bigint | string | Uint8Array | null>;

const userColumns = "id, passkey, enabled, can_leech, hidden";
const torrentColumns = "id, info_hash, info_hash_v2, up, down, status";
/** Percent: credits are bytes times percent until they are added. */
const percent = 100n;
/** SQLite's codes for the mistakes of one row: an error, a constraint, a wrong type, a value that is too big. */
const rowErrors: readonly number[] = [1, 18, 19, 20, 25];

/** The tables of {@link file://./schema.ts} in SQLite. */
export class SqlSite implements Site {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #dataVersion: unknown;
  /** Changes that are in the directory already. */
  #lastChange = 0;

  /** @param database  the site closes it */
  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  open(): void {}

  async size(): Promise<DirectorySize> {
    const row = this.#get(
      "SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM torrents) AS torrents",
    );
    return row as unknown as DirectorySize;
  }

  async *users(): AsyncIterable<DirectoryUser> {
    this.#markSeen();
    for (const row of this.#database.prepare(`SELECT ${userColumns} FROM users`).iterate())
      yield toUser(row as Row);
  }

  async *torrents(): AsyncIterable<DirectoryTorrent> {
    const select = `SELECT ${torrentColumns} FROM torrents WHERE status = 1`;
    for (const row of this.#database.prepare(select).iterate()) yield toTorrent(row as Row);
  }

  /** Notes how far the log of changes goes, before everything is read. */
  #markSeen(): void {
    this.#dataVersion = this.#version();
    this.#lastChange = Number(this.#get("SELECT coalesce(max(id), 0) AS last FROM changes")!.last);
  }

  async changes(): Promise<SiteChange | undefined> {
    const version = this.#version();
    if (version === this.#dataVersion) return undefined;
    const rows = this.#all("SELECT * FROM changes WHERE id > ? ORDER BY id", this.#lastChange);
    const change = { passkeys: [] as string[], infoHashes: [] as Uint8Array[] };
    const [users, torrents] = [new Set<number>(), new Set<number>()];
    for (const { user_id, torrent_id, passkey, info_hash, info_hash_v2 } of rows) {
      if (passkey !== null) change.passkeys.push(passkey as string);
      change.infoHashes.push(...infoHashesOf(info_hash, info_hash_v2));
      if (user_id !== null) users.add(Number(user_id));
      if (torrent_id !== null) torrents.add(Number(torrent_id));
    }
    const read = {
      ...change,
      users: [...users].flatMap((id) =>
        this.#all(`SELECT ${userColumns} FROM users WHERE id = ?`, id).map(toUser),
      ),
      torrents: [...torrents].flatMap((id) =>
        this.#all(`SELECT ${torrentColumns} FROM torrents WHERE id = ? AND status = 1`, id).map(toTorrent),
      ),
    };
    if (rows.length > 0) this.#lastChange = Number(rows.at(-1)!.id);
    this.#dataVersion = version;
    return rows.length > 0 ? read : undefined;
  }

  async lastApplied(instance: string): Promise<number | undefined> {
    return this.#lastApplied(instance);
  }

  #lastApplied(instance: string): number | undefined {
    const row = this.#get("SELECT seq FROM applied WHERE instance = ?", instance);
    if (row !== undefined) return Number(row.seq);
    return this.#get("SELECT 1 FROM applied") === undefined ? 0 : undefined;
  }

  async apply(instance: string, batch: Batch): Promise<Applied> {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const last = this.#lastApplied(instance);
      if (last === undefined) throw new Error("the database has been taken over by another journal");
      if (last !== batch.from) {
        this.#database.exec("ROLLBACK");
        return { isApplied: false, last };
      }
      const quarantined = this.#write(batch);
      this.#run(
        "INSERT INTO applied VALUES (?, ?, unixepoch()) ON CONFLICT DO UPDATE SET seq = excluded.seq, at = excluded.at",
        ...[instance, batch.to],
      );
      this.#run("DELETE FROM changes WHERE id <= ?", this.#lastChange);
      this.#database.exec("COMMIT");
      return { isApplied: true, quarantined };
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  async expirePeers(activeAfter: number, keptAfter: number): Promise<void> {
    const expired = this.#get("SELECT 1 FROM peers WHERE active = 1 AND updated_at < ?", activeAfter);
    const forgotten = this.#get("SELECT 1 FROM peers WHERE active = 0 AND updated_at < ?", keptAfter);
    if (expired === undefined && forgotten === undefined) return;
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const rows = this.#all(
        "UPDATE peers SET active = 0 WHERE active = 1 AND updated_at < ? RETURNING user_id, torrent_id",
        activeAfter,
      );
      for (const { user_id, torrent_id } of rows) {
        this.#refreshHistory(Number(user_id), Number(torrent_id));
        this.#countPeers(Number(torrent_id));
      }
      this.#run("DELETE FROM peers WHERE active = 0 AND updated_at < ?", keptAfter);
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  /** Writes a batch in the order of the tables' keys. @returns how many rows were set aside */
  #write({ to, users, histories, peers, snatches }: Batch): number {
    let quarantined = 0;
    const setAside = (user: number, torrent: number | null, sums: Sums | undefined, reason: string): void => {
      quarantined++;
      const { uploaded, downloaded } = creditsOf(sums);
      this.#run(
        "INSERT INTO quarantine (seq, user_id, torrent_id, uploaded, downloaded, reason, at) VALUES (?, ?, ?, ?, ?, ?, unixepoch())",
        ...[to, user, torrent, uploaded, downloaded, reason],
      );
    };
    for (const [user, sums] of sorted(users, ([a], [b]) => a - b)) {
      const { uploaded, downloaded } = creditsOf(sums);
      const problem = this.#try(
        "UPDATE users SET uploaded = uploaded + ?, downloaded = downloaded + ?, raw_uploaded = raw_uploaded + ?, " +
          "raw_downloaded = raw_downloaded + ? WHERE id = ?",
        ...[uploaded, downloaded, sums.rawUploaded, sums.rawDownloaded, user],
      );
      if (problem !== undefined) setAside(user, null, sums, problem === "" ? "no such user" : problem);
    }
    const touched = new Map<number, { completed: number; last: number }>();
    const missing = new Set<string>();
    for (const [key, history] of sorted(
      histories,
      ([, a], [, b]) => a.user - b.user || a.torrent - b.torrent,
    )) {
      const problem = this.#writeHistory(history);
      if (problem !== undefined) {
        missing.add(key);
        setAside(history.user, history.torrent, history, problem);
        continue;
      }
      const torrent = touched.get(history.torrent) ?? { completed: 0, last: 0 };
      torrent.last = Math.max(torrent.last, history.lastSeen);
      touched.set(history.torrent, torrent);
    }
    for (const [, peer] of sorted(
      peers,
      ([, a], [, b]) => a.user - b.user || a.torrent - b.torrent || (a.peerId < b.peerId ? -1 : 1),
    )) {
      if (missing.has(`${peer.user} ${peer.torrent}`)) continue;
      const peerId = Buffer.from(peer.peerId, "latin1");
      const problem = this.#try(
        "INSERT INTO peers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET ip = excluded.ip, " +
          "port = excluded.port, client = excluded.client, uploaded = excluded.uploaded, downloaded = excluded.downloaded, " +
          "left = excluded.left, seeder = excluded.seeder, active = excluded.active, updated_at = excluded.updated_at",
        ...[peer.user, peer.torrent, peerId, peer.ip, peer.port, clientOf(peerId)],
        ...[peer.uploaded, peer.downloaded, peer.left, Number(peer.left === 0), Number(peer.isActive)],
        peer.seconds,
      );
      if (problem !== undefined) setAside(peer.user, peer.torrent, undefined, problem);
    }
    for (const { user, torrent, seconds, ip } of snatches) {
      if (missing.has(`${user} ${torrent}`)) continue;
      touched.get(torrent)!.completed++;
      this.#run(
        "INSERT INTO snatches (user_id, torrent_id, at, ip) VALUES (?, ?, ?, ?)",
        user,
        torrent,
        seconds,
        ip,
      );
    }
    for (const [key, { user, torrent }] of histories)
      if (!missing.has(key)) this.#refreshHistory(user, torrent);
    for (const [torrent, { completed, last }] of sorted(touched, ([a], [b]) => a - b)) {
      this.#run(
        "UPDATE torrents SET completed = completed + ?, last_active = max(coalesce(last_active, 0), ?) WHERE id = ?",
        ...[completed, last, torrent],
      );
      this.#countPeers(torrent);
    }
    return quarantined;
  }

  /** @returns the problem */
  #writeHistory(history: History): string | undefined {
    const { uploaded, downloaded } = creditsOf(history);
    const { user, torrent, rawUploaded, rawDownloaded, seedSeconds, leechSeconds, firstSeen, lastSeen } =
      history;
    const problem = this.#try(
      "INSERT INTO history (user_id, torrent_id, uploaded, downloaded, raw_uploaded, raw_downloaded, seedtime, leechtime, " +
        "first_seen, last_seen, completed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET " +
        "uploaded = uploaded + excluded.uploaded, downloaded = downloaded + excluded.downloaded, " +
        "raw_uploaded = raw_uploaded + excluded.raw_uploaded, raw_downloaded = raw_downloaded + excluded.raw_downloaded, " +
        "seedtime = seedtime + excluded.seedtime, leechtime = leechtime + excluded.leechtime, " +
        "last_seen = max(last_seen, excluded.last_seen), completed_at = coalesce(completed_at, excluded.completed_at)",
      ...[user, torrent, uploaded, downloaded, rawUploaded, rawDownloaded, seedSeconds, leechSeconds],
      ...[firstSeen, lastSeen, history.completedAt ?? null],
    );
    return problem?.includes("FOREIGN KEY") ? "no such user or torrent" : problem;
  }

  #refreshHistory(user: number, torrent: number): void {
    this.#run(
      "UPDATE history SET active = EXISTS (SELECT 1 FROM peers p WHERE p.user_id = history.user_id AND " +
        "p.torrent_id = history.torrent_id AND p.active = 1) WHERE user_id = ? AND torrent_id = ?",
      ...[user, torrent],
    );
  }

  #countPeers(torrent: number): void {
    const count = "(SELECT count(*) FROM peers WHERE torrent_id = torrents.id AND active = 1 AND seeder =";
    this.#run(`UPDATE torrents SET seeders = ${count} 1), leechers = ${count} 0) WHERE id = ?`, torrent);
  }

  #version(): unknown {
    return this.#get("PRAGMA data_version")!.data_version;
  }

  /** Runs a statement of one row. @returns the mistake of the row; "" if there is no such row; undefined if it worked */
  #try(sql: string, ...values: (number | bigint | string | Uint8Array | null)[]): string | undefined {
    try {
      return this.#run(sql, ...values) === 0 ? "" : undefined;
    } catch (error) {
      const code = (error as { errcode?: number }).errcode ?? 0;
      if (this.#database.isTransaction && rowErrors.includes(code & 0xff)) return (error as Error).message;
      throw error;
    }
  }

  #run(sql: string, ...values: (number | bigint | string | Uint8Array | null)[]): number {
    return Number(this.#statement(sql).run(...values).changes);
  }

  #get(sql: string, ...values: (number | string)[]): Row | undefined {
    return this.#statement(sql).get(...values) as Row | undefined;
  }

  #all(sql: string, ...values: (number | string)[]): Row[] {
    return this.#statement(sql).all(...values) as Row[];
  }

  #statement(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** Sums are rounded down to whole bytes once for each batch. */
function creditsOf(sums: Sums | undefined): { uploaded: bigint; downloaded: bigint } {
  if (sums === undefined) return { uploaded: 0n, downloaded: 0n };
  return { uploaded: sums.creditedUploaded / percent, downloaded: sums.creditedDownloaded / percent };
}

function sorted<Key, Value>(
  map: ReadonlyMap<Key, Value>,
  compare: (a: [Key, Value], b: [Key, Value]) => number,
): [Key, Value][] {
  return [...map].sort(compare);
}

function toUser({ id, passkey, enabled, can_leech, hidden }: Row): DirectoryUser {
  const flags = { isEnabled: enabled !== 0, canLeech: can_leech !== 0, isHidden: hidden !== 0 };
  return { id: Number(id), passkey: passkey as string, ...flags };
}

function toTorrent({ id, info_hash, info_hash_v2, up, down }: Row): DirectoryTorrent {
  const infoHashes = infoHashesOf(info_hash, info_hash_v2);
  return { id: Number(id), infoHashes, up: Number(up), down: Number(down) };
}

/** Returns the infohashes that clients announce: of version 2 the first 20 bytes. */
function infoHashesOf(...hashes: (Row[string] | undefined)[]): Uint8Array[] {
  return hashes.flatMap((hash) => (hash instanceof Uint8Array ? [hash.subarray(0, 20)] : []));
}

/** The client of a peer id, in printable characters. */
function clientOf(peerId: Uint8Array): string {
  return clientId(peerId).replace(/[^ -~]/g, "?");
}
