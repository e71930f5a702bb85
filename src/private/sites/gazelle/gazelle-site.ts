import type { Batch, History, PeerRow, Snatch } from "../../accounting/batch.ts";
import type { DirectoryChange, DirectoryTorrent } from "../../directory-records.ts";
import { isPasskey } from "../../passkey.ts";
import type { Applied } from "../../site.ts";
import { type Change, grantKey, hexOf } from "../mirror.ts";
import {
  changeRows,
  countPeers,
  creditUsers,
  type Pair,
  recountPeers,
  refuseOf,
  sumTorrents,
  type TorrentSums,
} from "../mysql/batch-rows.ts";
import { derivedTable, valueLists, writeRows } from "../mysql/bulk.ts";
import type { QuarantinedTraffic } from "../mysql/ledger.ts";
import type { SqlRow, Transaction } from "../mysql/mysql.ts";
import { bytesOf, MysqlSite, type MysqlSiteDeps } from "../mysql/mysql-site.ts";
import { clientOf } from "../rows.ts";
import { detectTables, type GazelleTables } from "./tables.ts";
import type { UsedTokens } from "./used-tokens.ts";

/** Seconds for which clients see why a torrent was deleted. */
const deletedSeconds = 86_400;
/** Seconds for which the number of all peers is kept. */
const countSeconds = 60;

/** `FreeTorrent`: 1 is freeleech, 2 is neutral leech, and everything else counts. */
export function factorsOf(freeTorrent: unknown): { up: number; down: number } {
  if (String(freeTorrent) === "2") return { up: 0, down: 0 };
  return { up: 100, down: String(freeTorrent) === "1" ? 0 : 100 };
}

/**
 * The database of Gazelle, as What.CD or Orpheus have it. Users, torrents, tokens and the client whitelist come from its tables and by the
 * site's own calls; traffic goes to the tables that Ocelot writes. No statement adds a row for a user or a torrent that is gone.
 */
export class GazelleSite extends MysqlSite {
  /** Users whose address the site does not want to have. */
  readonly #protected = new Set<number>();
  /** Users whose announces are logged. */
  readonly #traced = new Set<number>();
  #counted: { at: number; seeders: number; leechers: number } | undefined;
  #tables: GazelleTables | undefined;
  #lastUser = 0;
  #lastTorrent = 0;
  /** Until when deleted torrents are kept, in seconds. */
  readonly #deleted = new Map<number, number>();

  readonly #usedTokens: UsedTokens | undefined;

  /** @param usedTokens  calls the site for tokens that are used up; without it, the site finds them by itself */
  constructor(deps: MysqlSiteDeps, usedTokens?: UsedTokens) {
    super(deps);
    this.#usedTokens = usedTokens;
  }

  override async changes(): Promise<DirectoryChange | undefined> {
    const change = await super.changes();
    void this.#usedTokens?.send();
    return change;
  }

  override async apply(instance: string, batch: Batch): Promise<Applied> {
    await this.prepare();
    await this.#usedTokens?.open(); // not in the transaction, which it would commit
    const result = await super.apply(instance, batch);
    if (this.#usedTokens === undefined || !result.isApplied) return result;
    this.steer((change, now, { grants }) => {
      for (const snatch of batch.snatches) if (snatch.usesToken) grants.remove(change, grantKey(snatch), now);
    });
    void this.#usedTokens.send();
    return result;
  }

  override async close(): Promise<void> {
    await this.#usedTokens?.close();
    await super.close();
  }

  protected async detect(): Promise<void> {
    this.#tables = await detectTables(this.mysql);
  }

  /** Returns the tables of this version of Gazelle. */
  async tables(): Promise<GazelleTables> {
    await this.prepare();
    return this.#tables!;
  }

  setProtected(user: number, isProtected: boolean): void {
    if (isProtected) this.#protected.add(user);
    else this.#protected.delete(user);
  }

  isProtected(user: number): boolean {
    return this.#protected.has(user);
  }

  /** Keeps the reason of a deleted torrent for its clients. @param now  seconds */
  noteDeleted(torrent: number, now: number): void {
    this.#deleted.set(torrent, now + deletedSeconds);
  }

  /** Lets the log have the announces of a user. */
  setTraced(user: number, isTraced: boolean): void {
    if (isTraced) this.#traced.add(user);
    else this.#traced.delete(user);
  }

  isTraced(user: number): boolean {
    return this.#traced.has(user);
  }

  /** Finds a torrent that is served, also one of which the site has not told the tracker. */
  async findTorrent(infoHash: Uint8Array): Promise<DirectoryTorrent | undefined> {
    const known = this.mirror.torrents.find(hexOf(infoHash));
    if (known !== undefined) return known.refusal ? undefined : known;
    const [row] = await this.mysql.rows(
      "SELECT ID AS id, info_hash, freetorrent FROM torrents WHERE info_hash = ?",
      [infoHash],
    );
    if (row === undefined) return undefined;
    const torrent = toTorrent(row);
    this.steer((change, now, { torrents }) => torrents.put(change, torrent, now));
    return torrent;
  }

  async hasUser(id: number): Promise<boolean> {
    if (this.mirror.users.get(id) !== undefined) return true;
    const rows = await this.mysql.rows("SELECT ID FROM users_main WHERE ID = ? AND Enabled = '1'", [id]);
    return rows.length > 0;
  }

  /** Counts the active peers of a user. */
  async countUser(user: number): Promise<{ leeching: number; seeding: number }> {
    const [row] = await this.mysql.rows(
      "SELECT COALESCE(SUM(remaining > 0), 0) AS leeching, COALESCE(SUM(remaining = 0), 0) AS seeding FROM xbt_files_users " +
        "WHERE uid = ? AND active = 1",
      [user],
    );
    return { leeching: Number(row!.leeching), seeding: Number(row!.seeding) };
  }

  /** Counts all active peers; at most once a minute, because the database must look at each of them. */
  async countAll(): Promise<{ seeders: number; leechers: number }> {
    const now = this.now;
    if (this.#counted === undefined || now - this.#counted.at >= countSeconds) {
      const [row] = await this.mysql.rows(
        "SELECT COALESCE(SUM(remaining > 0), 0) AS leechers, COALESCE(SUM(remaining = 0), 0) AS seeders FROM xbt_files_users " +
          "WHERE active = 1",
      );
      this.#counted = { at: now, seeders: Number(row!.seeders), leechers: Number(row!.leechers) };
    }
    return this.#counted;
  }

  /** Describes a torrent for the site's staff. */
  async describe(torrent: number): Promise<Record<string, unknown>> {
    const tables = await this.tables();
    const { mysql } = this;
    const [counts] = await mysql.rows(
      `SELECT Snatched AS completed, Balance AS balance FROM ${tables.counts.table} WHERE ${tables.counts.id} = ?`,
      [torrent],
    );
    const peers = await mysql.rows(
      "SELECT uid, remaining, mtime FROM xbt_files_users WHERE fid = ? AND active = 1 ORDER BY uid",
      [torrent],
    );
    const tokens = [...this.mirror.grants.values()].filter((grant) => grant.torrent === torrent);
    const users = (isSeeder: boolean): number[] => [
      ...new Set(
        peers.filter(({ remaining }) => (Number(remaining) === 0) === isSeeder).map(({ uid }) => Number(uid)),
      ),
    ];
    return {
      ...{ id: torrent, completed: Number(counts?.completed ?? 0), balance: Number(counts?.balance ?? 0) },
      last_flushed: Math.max(0, ...peers.map(({ mtime }) => Number(mtime))),
      fltoken_list: tokens.map(({ user }) => user),
      ...{ leecher_list: users(false), seeder_list: users(true) },
    };
  }

  protected async read(change: Change, now: number, comparesAll: boolean): Promise<void> {
    const { version } = await this.tables();
    await this.#readUsers(change, now, comparesAll);
    await this.#readTorrents(change, now, comparesAll, version);
    if (!comparesAll) return;
    await this.#readTokens(change, now);
    await this.#readWhitelist(change, now);
  }

  async #readUsers(change: Change, now: number, comparesAll: boolean): Promise<void> {
    const present = new Set<number>();
    const rows = this.pages(
      "SELECT ID AS id, can_leech, torrent_pass, (Visible = '0' OR IP = '127.0.0.1') AS protected FROM users_main " +
        "WHERE Enabled = '1' AND ID > ? ORDER BY ID",
      comparesAll ? 0 : this.#lastUser,
    );
    for await (const row of rows) {
      const id = Number(row.id);
      this.#lastUser = Math.max(this.#lastUser, id);
      const passkey = String(row.torrent_pass);
      if (!isPasskey(passkey)) continue;
      present.add(id);
      this.setProtected(id, Number(row.protected) === 1);
      const user = { id, passkey, isEnabled: true, canLeech: Number(row.can_leech) !== 0, isHidden: false };
      this.mirror.users.read(change, user, now);
    }
    if (comparesAll) this.mirror.users.keep(change, present, now);
  }

  async #readTorrents(
    change: Change,
    now: number,
    comparesAll: boolean,
    version: GazelleTables["version"],
  ): Promise<void> {
    const present = new Set<number>();
    const join = version === "ops" ? "INNER JOIN torrents_leech_stats s ON s.TorrentID = t.ID" : "";
    const rows = this.pages(
      `SELECT t.ID AS id, t.info_hash, t.freetorrent FROM torrents t ${join} WHERE t.ID > ? ORDER BY t.ID`,
      comparesAll ? 0 : this.#lastTorrent,
    );
    for await (const row of rows) {
      const id = Number(row.id);
      this.#lastTorrent = Math.max(this.#lastTorrent, id);
      const torrent = toTorrent(row);
      if (torrent.infoHashes[0]!.length !== 20 || this.#deleted.has(id)) continue;
      present.add(id);
      this.mirror.torrents.read(change, torrent, now);
    }
    if (!comparesAll) return;
    for (const [id, until] of this.#deleted) {
      if (until < now) this.#deleted.delete(id);
      else present.add(id);
    }
    this.mirror.torrents.keep(change, present, now);
  }

  async #readTokens(change: Change, now: number): Promise<void> {
    const rows = await this.mysql.rows(
      "SELECT UserID AS user, TorrentID AS torrent FROM users_freeleeches WHERE Expired = '0'",
    );
    const present = new Set<string>();
    for (const row of rows) {
      const grant = { user: Number(row.user), torrent: Number(row.torrent), down: 0 };
      present.add(grantKey(grant));
      this.mirror.grants.read(change, grant, now);
    }
    this.mirror.grants.keep(change, present, now);
  }

  async #readWhitelist(change: Change, now: number): Promise<void> {
    const rows = await this.mysql.rows("SELECT peer_id FROM xbt_client_whitelist");
    const present = new Set<string>();
    for (const { peer_id } of rows) {
      const prefix = bytesOf(peer_id);
      if (prefix.length === 0 || prefix.length > 20) continue;
      present.add(prefix.toString("latin1"));
      this.mirror.clients.read(change, { prefix, isAllowed: true }, now);
    }
    this.mirror.clients.keep(change, present, now);
  }

  protected async write(transaction: Transaction, batch: Batch): Promise<QuarantinedTraffic[]> {
    const tables = await this.tables();
    const sums = sumTorrents(batch);
    const { users, quarantined } = await creditUsers(transaction, batch, tables.credits);
    const torrents = await this.#addBalances(transaction, tables, sums);
    const isThere = ({ user, torrent }: Pair) => users.has(user) && torrents.has(torrent);
    const refuse = refuseOf(quarantined);
    await this.#writePeers(transaction, tables, batch.peers.filter(isThere), refuse);
    await writeRows<Snatch>(transaction, {
      rows: batch.snatches.filter(isThere),
      sql: (values) => `INSERT INTO xbt_snatched (uid, fid, tstamp, IP) VALUES ${valueLists(values)}`,
      values: ({ user, torrent, seconds, ip }) => [
        ...[user, torrent, seconds],
        this.#addressOf(user, ip, tables.snatchIpLength),
      ],
      refused: refuse,
    });
    await this.#usedTokens?.note(
      transaction,
      batch.snatches.filter((snatch) => snatch.usesToken && isThere(snatch)),
    );
    await writeRows<History>(transaction, {
      rows: batch.histories.filter((history) => history.tokenDownloaded > 0 && isThere(history)),
      sql: (values) =>
        `UPDATE users_freeleeches f JOIN ${derivedTable(["uid", "fid", "down"], values)} d ON d.uid = f.UserID AND d.fid = f.TorrentID ` +
        "SET f.Downloaded = f.Downloaded + d.down WHERE f.Expired = '0'",
      values: ({ user, torrent, tokenDownloaded }) => [user, torrent, tokenDownloaded],
      refused: refuse,
    });
    await this.#countTorrents(
      transaction,
      tables,
      sums.filter(({ id }) => batch.recounts.has(id) && torrents.has(id)),
    );
    return quarantined;
  }

  async #writePeers(
    transaction: Transaction,
    { ipLength, agentLength }: GazelleTables,
    peers: PeerRow[],
    refused: (peer: PeerRow, reason: string) => void,
  ): Promise<void> {
    const isNewRun = "active = 0 OR VALUES(uploaded) < uploaded OR VALUES(downloaded) < downloaded";
    const speed = (column: string): string =>
      `IF(VALUES(mtime) > mtime AND VALUES(${column}) > ${column}, ` +
      `LEAST((VALUES(${column}) - ${column}) DIV (VALUES(mtime) - mtime), 4294967295), 0)`;
    await writeRows(transaction, {
      rows: peers.sort((a, b) => a.torrent - b.torrent || a.user - b.user || (a.peerId < b.peerId ? -1 : 1)),
      // MariaDB assigns from left to right, so columns that depend on the earlier row come first.
      sql: (values) =>
        "INSERT INTO xbt_files_users (uid, fid, active, uploaded, downloaded, upspeed, downspeed, remaining, corrupt, timespent, " +
        `announced, ip, peer_id, useragent, mtime) VALUES ${valueLists(values)} ON DUPLICATE KEY UPDATE ` +
        `upspeed = ${speed("uploaded")}, downspeed = ${speed("downloaded")}, ` +
        `timespent = IF(${isNewRun}, 0, timespent + GREATEST(CAST(VALUES(mtime) AS SIGNED) - CAST(mtime AS SIGNED), 0)), ` +
        `announced = IF(${isNewRun}, VALUES(announced), announced + VALUES(announced)), ` +
        "active = VALUES(active), uploaded = VALUES(uploaded), downloaded = VALUES(downloaded), remaining = VALUES(remaining), " +
        "ip = VALUES(ip), useragent = VALUES(useragent), mtime = VALUES(mtime)",
      values: ({ user, torrent, peerId, ...peer }) => [
        ...[user, torrent, Number(peer.isActive), peer.uploaded, peer.downloaded, 0, 0, peer.left, 0, 0],
        ...[peer.announces, this.#addressOf(user, peer.ip, ipLength), Buffer.from(peerId, "latin1")],
        ...[clientOf(Buffer.from(peerId, "latin1")).slice(0, agentLength), peer.seconds],
      ],
      refused,
    });
  }

  /** Adds to the balances of torrents. @returns the torrents that the site has */
  #addBalances(
    transaction: Transaction,
    { counts }: GazelleTables,
    sums: readonly TorrentSums[],
  ): Promise<Set<number>> {
    return changeRows(transaction, counts, new Set(sums.map(({ id }) => id)), {
      rows: sums.filter(({ balance }) => balance !== 0),
      sql: (values) =>
        `UPDATE ${counts.table} t JOIN ${derivedTable(["id", "balance"], values)} d ON d.id = t.${counts.id} ` +
        "SET t.Balance = t.Balance + d.balance, t.last_action = IF(t.Seeders > 0, NOW(), t.last_action)",
      values: ({ id, balance }) => [id, balance],
      refused: () => undefined,
    });
  }

  /** Counts the peers of torrents anew, and adds their downloads. */
  async #countTorrents(
    transaction: Transaction,
    { counts }: GazelleTables,
    sums: readonly TorrentSums[],
  ): Promise<void> {
    const ids = sums.map(({ id }) => id);
    const countsOf = await countPeers(transaction, peerCounts, ids);
    await writeRows(transaction, {
      rows: sums,
      sql: (values) =>
        `UPDATE ${counts.table} t JOIN ${derivedTable(["id", "seeders", "leechers", "snatched"], values)} d ` +
        `ON d.id = t.${counts.id} SET t.Seeders = d.seeders, t.Leechers = d.leechers, t.Snatched = t.Snatched + d.snatched, ` +
        "t.last_action = IF(d.seeders > 0, NOW(), t.last_action)",
      values: ({ id, completed }) => [id, ...countsOf(id), completed],
      refused: () => undefined,
    });
  }

  async expirePeers(activeAfter: number): Promise<void> {
    const tables = await this.tables();
    const { mysql } = this;
    const gone = await mysql.rows("SELECT DISTINCT fid FROM xbt_files_users WHERE active = 1 AND mtime < ?", [
      activeAfter,
    ]);
    if (gone.length === 0) return;
    await mysql.transaction(async (transaction) => {
      await transaction.run(
        "UPDATE xbt_files_users SET active = 0, upspeed = 0, downspeed = 0 WHERE active = 1 AND mtime < ?",
        [activeAfter],
      );
      const torrents = gone.map(({ fid }) => Number(fid));
      await recountPeers(transaction, tables.counts, peerCounts, torrents);
    });
  }

  /** The address of a peer as the column takes it: none of a protected user, and none that is too long. */
  #addressOf(user: number, ip: string, length: number): string {
    return this.#protected.has(user) || ip.length > length ? "" : ip;
  }
}

/** Returns the query of {@link countPeers}. */
function peerCounts(list: string): string {
  return (
    "SELECT fid AS id, SUM(remaining = 0) AS seeders, SUM(remaining > 0) AS leechers FROM xbt_files_users " +
    `WHERE active = 1 AND fid IN (${list}) GROUP BY fid`
  );
}

function toTorrent(row: SqlRow): DirectoryTorrent {
  return { id: Number(row.id), infoHashes: [bytesOf(row.info_hash)], ...factorsOf(row.freetorrent) };
}
