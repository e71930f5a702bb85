import { Address } from "../../../ip/address.ts";
import type { Batch, History, PeerRow } from "../../accounting/batch.ts";
import type { DirectoryGroup, DirectoryTorrent, DirectoryUser } from "../../directory-records.ts";
import { isPasskey } from "../../passkey.ts";
import { type Change, clientKey, grantKey } from "../mirror.ts";
import {
  countPeers,
  creditUsers,
  existing,
  type Pair,
  recountPeers,
  refuseOf,
  rowsOf,
  sumTorrents,
  type TableKey,
  type TorrentSums,
} from "../mysql/batch-rows.ts";
import { type BulkValue, derivedTable, valueLists, writeRows } from "../mysql/bulk.ts";
import type { QuarantinedTraffic } from "../mysql/ledger.ts";
import type { SqlRow, Transaction } from "../mysql/mysql.ts";
import { bytesOf, MysqlSite } from "../mysql/mysql-site.ts";
import { byUserAndTorrent, clientOf, creditsOf } from "../rows.ts";
import { torrentRefusal } from "./refusals.ts";

/** Groups whose users may not use the tracker, by their slugs. */
const disabledGroups: readonly string[] = ["banned", "validating", "disabled"];
/** Longest text of `agent`. */
const agentLength = 64;

/** Columns that every version of UNIT3D has. */
const needed: Readonly<Record<string, readonly string[]>> = {
  users: ["id", "passkey", "group_id", "can_download", "uploaded", "downloaded", "deleted_at"],
  torrents: [
    ...["id", "info_hash", "status", "free", "doubleup", "deleted_at"],
    ...["seeders", "leechers", "times_completed"],
  ],
  groups: ["id", "slug", "download_slots", "is_immune", "is_freeleech", "is_double_upload"],
  peers: [
    ...[
      "user_id",
      "torrent_id",
      "peer_id",
      "ip",
      "port",
      "agent",
      "uploaded",
      "downloaded",
      "left",
      "active",
    ],
    ...["seeder", "created_at", "updated_at"],
  ],
  history: [
    ...["user_id", "torrent_id", "agent", "uploaded", "actual_uploaded", "client_uploaded", "downloaded"],
    ...["actual_downloaded", "client_downloaded", "seeder", "active", "seedtime", "immune", "created_at"],
    ...["updated_at", "completed_at"],
  ],
  freeleech_tokens: ["user_id", "torrent_id"],
  personal_freeleeches: ["user_id"],
  featured_torrents: ["torrent_id"],
  blacklist_clients: ["peer_id_prefix"],
};

/** A group as UNIT3D has it. */
export interface Unit3dGroup {
  id: number;
  slug: string;
  slots: number | undefined;
  isImmune: boolean;
  isFreeleech: boolean;
  isDoubleUpload: boolean;
}

/** A user as UNIT3D has it. */
export interface Unit3dUser {
  id: number;
  passkey: string;
  group: number;
  canDownload: boolean;
  /** Undefined if the site does not say; nothing changes then. */
  isDonor: boolean | undefined;
}

/**
 * The database of UNIT3D. Users, groups, torrents, tokens and blacklisted clients come from its tables and by the site's own calls;
 * traffic goes to the tables that UNIT3D-Announce writes. No statement adds a row for a user or a torrent that is gone.
 */
export class Unit3dSite extends MysqlSite {
  /** `table.column`, in lower case. */
  #columns = new Set<string>();
  #lastUser = 0;
  #lastTorrent = 0;
  readonly #groups = new Map<number, Unit3dGroup>();
  /** Users with freeleech of their own, and donors, who have it too. */
  readonly #personal = new Set<number>();
  readonly #donors = new Set<number>();

  protected async detect(): Promise<void> {
    const rows = await this.mysql.rows(
      "SELECT LOWER(CONCAT(TABLE_NAME, '.', COLUMN_NAME)) AS name FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()",
    );
    this.#columns = new Set(rows.map(({ name }) => String(name)));
    const missing = Object.entries(needed).flatMap(([table, columns]) =>
      columns.map((column) => `${table}.${column}`).filter((name) => !this.#columns.has(name)),
    );
    if (missing.length > 0)
      throw new Error(
        `the database is not of UNIT3D: it has no ${missing.slice(0, 3).join(", no ")}; set private.database to UNIT3D's database, ` +
          "and let the tracker's user read it",
      );
  }

  group(id: number): Unit3dGroup | undefined {
    return this.#groups.get(id);
  }

  isDonor(user: number): boolean {
    return this.#donors.has(user);
  }

  /** Adds or replaces a group, with the rights of its users. */
  putGroup(change: Change, group: Unit3dGroup, now: number): void {
    this.#groups.set(group.id, group);
    this.mirror.groups.put(change, toGroup(group), now);
    const isEnabled = !disabledGroups.includes(group.slug);
    for (const user of [...this.mirror.users.values()])
      if (user.group === group.id && user.isEnabled !== isEnabled)
        this.mirror.users.put(change, { ...user, isEnabled }, now);
  }

  removeGroup(change: Change, id: number, now: number): void {
    this.#groups.delete(id);
    this.mirror.groups.remove(change, id, now);
  }

  putUser(change: Change, { id, passkey, group, canDownload, isDonor }: Unit3dUser, now: number): void {
    this.mirror.users.put(change, this.#toUser(id, passkey, group, canDownload), now);
    if (isDonor === undefined) return;
    if (isDonor) this.#donors.add(id);
    else this.#donors.delete(id);
    this.#putPersonal(change, id, now);
  }

  removeUser(change: Change, id: number, now: number): void {
    this.#donors.delete(id);
    this.#personal.delete(id);
    this.mirror.users.remove(change, id, now);
    this.#putPersonal(change, id, now);
  }

  setPersonalFreeleech(change: Change, user: number, hasIt: boolean, now: number): void {
    if (hasIt) this.#personal.add(user);
    else this.#personal.delete(user);
    this.#putPersonal(change, user, now);
  }

  /** Featured torrents are free, and their upload counts twice. */
  setFeatured(change: Change, torrent: number, isFeatured: boolean, now: number): void {
    const grant = { user: 0, torrent, up: 200, down: 0 };
    if (isFeatured) this.mirror.grants.put(change, grant, now);
    else this.mirror.grants.remove(change, grantKey(grant), now);
  }

  #putPersonal(change: Change, user: number, now: number): void {
    const grant = { user, torrent: 0, down: 0 };
    if (this.#personal.has(user) || this.#donors.has(user)) this.mirror.grants.put(change, grant, now);
    else this.mirror.grants.remove(change, grantKey(grant), now);
  }

  #toUser(id: number, passkey: string, group: number, canLeech: boolean): DirectoryUser {
    const isEnabled = !disabledGroups.includes(this.#groups.get(group)?.slug ?? "");
    return { id, passkey, isEnabled, canLeech, isHidden: false, group };
  }

  protected async read(change: Change, now: number, comparesAll: boolean): Promise<void> {
    if (comparesAll) await this.#readGroups(change, now);
    await this.#readUsers(change, now, comparesAll);
    await this.#readTorrents(change, now, comparesAll);
    if (!comparesAll) return;
    await this.#readGrants(change, now);
    await this.#readBlacklist(change, now);
  }

  async #readGroups(change: Change, now: number): Promise<void> {
    const rows = await this.mysql.rows(
      "SELECT id, slug, download_slots, is_immune, is_freeleech, is_double_upload FROM `groups`",
    );
    for (const row of rows) {
      const group: Unit3dGroup = {
        ...{ id: Number(row.id), slug: String(row.slug), isImmune: Number(row.is_immune) === 1 },
        slots: row.download_slots === null ? undefined : Number(row.download_slots),
        ...{
          isFreeleech: Number(row.is_freeleech) === 1,
          isDoubleUpload: Number(row.is_double_upload) === 1,
        },
      };
      this.#groups.set(group.id, group);
      this.mirror.groups.read(change, toGroup(group), now);
    }
    this.mirror.groups.keep(change, new Set(rows.map(({ id }) => Number(id))), now);
  }

  async #readUsers(change: Change, now: number, comparesAll: boolean): Promise<void> {
    const present = new Set<number>();
    const donor = this.#columns.has("users.is_donor") ? "is_donor" : "0";
    const rows = this.pages(
      `SELECT id, passkey, group_id, can_download, ${donor} AS is_donor FROM users WHERE deleted_at IS NULL AND id > ? ORDER BY id`,
      comparesAll ? 0 : this.#lastUser,
    );
    for await (const row of rows) {
      const [id, passkey] = [Number(row.id), String(row.passkey)];
      this.#lastUser = Math.max(this.#lastUser, id);
      if (!isPasskey(passkey)) continue;
      present.add(id);
      if (Number(row.is_donor) === 1) this.#donors.add(id);
      else this.#donors.delete(id);
      const user = this.#toUser(id, passkey, Number(row.group_id), Number(row.can_download) !== 0);
      this.mirror.users.read(change, user, now);
    }
    if (comparesAll) this.mirror.users.keep(change, present, now);
  }

  async #readTorrents(change: Change, now: number, comparesAll: boolean): Promise<void> {
    const byHash = new Map<string, DirectoryTorrent>();
    const rows = this.pages(
      "SELECT id, info_hash, status, free, doubleup, deleted_at IS NOT NULL AS is_deleted FROM torrents WHERE id > ? ORDER BY id",
      comparesAll ? 0 : this.#lastTorrent,
    );
    for await (const row of rows) {
      this.#lastTorrent = Math.max(this.#lastTorrent, Number(row.id));
      const infoHash = bytesOf(row.info_hash);
      if (infoHash.length !== 20) continue;
      const torrent = {
        ...{ id: Number(row.id), infoHashes: [infoHash], up: Number(row.doubleup) === 1 ? 200 : 100 },
        down: Math.max(0, 100 - Number(row.free)),
        refusal: torrentRefusal(Number(row.status), Number(row.is_deleted) === 1),
      };
      // Of several torrents with one infohash, the first approved one counts, or else the first that is not deleted.
      const hash = infoHash.toString("latin1");
      const other = byHash.get(hash);
      if (other === undefined || rank(torrent) < rank(other)) byHash.set(hash, torrent);
    }
    for (const torrent of byHash.values()) this.mirror.torrents.read(change, torrent, now);
    if (comparesAll)
      this.mirror.torrents.keep(change, new Set([...byHash.values()].map(({ id }) => id)), now);
  }

  async #readGrants(change: Change, now: number): Promise<void> {
    const tokens = await this.mysql.rows("SELECT user_id, torrent_id FROM freeleech_tokens");
    const personal = await this.mysql.rows("SELECT user_id FROM personal_freeleeches");
    const featured = await this.mysql.rows("SELECT torrent_id FROM featured_torrents");
    this.#personal.clear();
    for (const { user_id } of personal) this.#personal.add(Number(user_id));
    const grants = [
      ...tokens.map((row) => ({ user: Number(row.user_id), torrent: Number(row.torrent_id), down: 0 })),
      ...[...new Set([...this.#personal, ...this.#donors])].map((user) => ({ user, torrent: 0, down: 0 })),
      ...featured.map((row) => ({ user: 0, torrent: Number(row.torrent_id), up: 200, down: 0 })),
    ];
    for (const grant of grants) this.mirror.grants.read(change, grant, now);
    this.mirror.grants.keep(change, new Set(grants.map(grantKey)), now);
  }

  /** Reads the blacklist because the site has changed it. */
  async rereadBlacklist(): Promise<void> {
    const rows = await this.#blacklist();
    this.steer((change, now, { clients }) => {
      const present = new Set(rows.map(clientKey));
      for (const prefix of rows) clients.put(change, { prefix, isAllowed: false }, now);
      for (const { prefix } of [...clients.values()])
        if (!present.has(clientKey(prefix))) clients.remove(change, clientKey(prefix), now);
    });
  }

  async #blacklist(): Promise<Buffer[]> {
    const rows = await this.mysql.rows("SELECT peer_id_prefix FROM blacklist_clients");
    return rows.map((row) => bytesOf(row.peer_id_prefix)).filter(({ length }) => length > 0 && length <= 20);
  }

  async #readBlacklist(change: Change, now: number): Promise<void> {
    const prefixes = await this.#blacklist();
    for (const prefix of prefixes) this.mirror.clients.read(change, { prefix, isAllowed: false }, now);
    this.mirror.clients.keep(change, new Set(prefixes.map(clientKey)), now);
  }

  protected async write(transaction: Transaction, batch: Batch): Promise<QuarantinedTraffic[]> {
    const sums = sumTorrents(batch);
    const { users, quarantined } = await creditUsers(transaction, batch, { table: "users", id: "id" });
    const torrents = await existing(
      transaction,
      torrentsTable,
      sums.map(({ id }) => id),
    );
    const isThere = ({ user, torrent }: Pair) => users.has(user) && torrents.has(torrent);
    const refuse = refuseOf(quarantined);
    const peers = batch.peers.filter(isThere);
    await this.#writePeers(transaction, peers, refuse);
    await this.#writeHistories(transaction, batch.histories.filter(isThere), peers, refuse);
    await this.#writeTorrents(
      transaction,
      batch,
      sums.filter(({ id }) => torrents.has(id)),
    );
    return quarantined;
  }

  async #writePeers(
    transaction: Transaction,
    peers: readonly PeerRow[],
    refused: (peer: PeerRow, reason: string) => void,
  ): Promise<void> {
    const more = ["visible", "connectable"].filter((column) => this.#columns.has(`peers.${column}`));
    const columns = [
      ...["user_id", "torrent_id", "peer_id", "ip", "port", "agent", "uploaded", "downloaded", "`left`"],
      ...["active", "seeder", "created_at", "updated_at", ...more],
    ];
    const refreshed = columns.slice(3).filter((column) => column !== "created_at");
    await writeRows<PeerRow>(transaction, {
      rows: peers,
      sql: (values) =>
        `INSERT INTO peers (${columns.join(", ")}) VALUES ${valueLists(values)} ` +
        `ON DUPLICATE KEY UPDATE ${refreshed.map((column) => `${column} = VALUES(${column})`).join(", ")}`,
      values: (peer) => [
        ...[peer.user, peer.torrent, Buffer.from(peer.peerId, "latin1"), packAddress(peer.ip), peer.port],
        ...[agentOf(peer.peerId), peer.uploaded, peer.downloaded, peer.left, Number(peer.isActive)],
        ...[Number(peer.left === 0), timeOf(peer.seconds), timeOf(peer.seconds), ...more.map(() => 1)],
      ],
      refused,
    });
  }

  async #writeHistories(
    transaction: Transaction,
    histories: readonly History[],
    peers: readonly PeerRow[],
    refused: (history: History, reason: string) => void,
  ): Promise<void> {
    const last = new Map(peers.map((peer) => [peer.history, peer]));
    const states = await readStates(transaction, histories);
    const columns = [
      ...["user_id", "torrent_id", "agent", "uploaded", "actual_uploaded", "client_uploaded", "downloaded"],
      ...["actual_downloaded", "client_downloaded", "seeder", "active", "seedtime", "immune"],
    ];
    const times = ["created_at", "updated_at", "completed_at"];
    const added = ["uploaded", "actual_uploaded", "downloaded", "actual_downloaded", "seedtime"];
    const replaced = ["agent", "client_uploaded", "client_downloaded", "seeder", "active"];
    const changes = [
      ...added.map((column) => `${column} = ${column} + VALUES(${column})`),
      ...replaced.map((column) => `${column} = VALUES(${column})`),
      "immune = (immune = 1 AND VALUES(immune) = 1)",
      "updated_at = GREATEST(COALESCE(updated_at, VALUES(updated_at)), VALUES(updated_at))",
      "completed_at = COALESCE(completed_at, VALUES(completed_at))",
    ].join(", ");
    await writeRows<History>(transaction, {
      rows: histories,
      sql: (values) =>
        `INSERT INTO history (${[...columns, ...times].join(", ")}) VALUES ${valueLists(values)} ` +
        `ON DUPLICATE KEY UPDATE ${changes}`,
      values: (history): BulkValue[] => {
        const { user, torrent, rawUploaded, rawDownloaded } = history;
        const { uploaded, downloaded } = creditsOf(history);
        const peer = last.get(history);
        const { isActive, isSeeder } = states.get(`${user} ${torrent}`) ?? { isActive: 0, isSeeder: 0 };
        return [
          ...[user, torrent, agentOf(peer?.peerId ?? ""), uploaded, rawUploaded, peer?.uploaded ?? 0],
          ...[downloaded, rawDownloaded, peer?.downloaded ?? 0, isSeeder, isActive, history.seedSeconds],
          ...[Number(this.#isImmune(user)), timeOf(history.firstSeen), timeOf(history.lastSeen)],
          history.completedAt === undefined ? null : timeOf(history.completedAt),
        ];
      },
      refused,
    });
  }

  #isImmune(user: number): boolean {
    const group = this.mirror.users.get(user)?.group ?? 0;
    return this.#donors.has(user) || (this.#groups.get(group)?.isImmune ?? false);
  }

  async #writeTorrents(
    transaction: Transaction,
    { recounts }: Batch,
    sums: readonly TorrentSums[],
  ): Promise<void> {
    const hasBalance = this.#columns.has("torrents.balance");
    const ids = sums.map(({ id }) => id).filter((id) => recounts.has(id));
    const countsOf = await countPeers(transaction, peerCounts, ids);
    const balances = hasBalance ? ", t.balance = t.balance + d.balance" : "";
    await writeRows(transaction, {
      rows: sums.filter(({ id, balance }) => recounts.has(id) || (hasBalance && balance !== 0)),
      sql: (values) =>
        `UPDATE torrents t JOIN ${derivedTable(["id", "seeders", "leechers", "completed", "balance"], values)} d ON d.id = t.id ` +
        "SET t.seeders = COALESCE(d.seeders, t.seeders), t.leechers = COALESCE(d.leechers, t.leechers), " +
        `t.times_completed = t.times_completed + d.completed${balances}`,
      values: ({ id, completed, balance }) => [id, ...countsOf(id), completed, balance],
      refused: () => undefined,
    });
  }

  async expirePeers(activeAfter: number, keptAfter: number): Promise<void> {
    await this.prepare();
    const gone = await this.mysql.rows(
      "SELECT DISTINCT user_id, torrent_id FROM peers WHERE active = 1 AND updated_at < FROM_UNIXTIME(?)",
      [activeAfter],
    );
    const old = await this.mysql.rows(
      "SELECT 1 FROM peers WHERE active = 0 AND updated_at < FROM_UNIXTIME(?) LIMIT 1",
      [keptAfter],
    );
    if (gone.length === 0 && old.length === 0) return;
    const pairs = gone
      .map((row) => ({ user: Number(row.user_id), torrent: Number(row.torrent_id) }))
      .sort(byUserAndTorrent);
    await this.mysql.transaction(async (transaction) => {
      await transaction.run(
        "UPDATE peers SET active = 0 WHERE active = 1 AND updated_at < FROM_UNIXTIME(?)",
        [activeAfter],
      );
      await transaction.run("DELETE FROM peers WHERE active = 0 AND updated_at < FROM_UNIXTIME(?)", [
        keptAfter,
      ]);
      const states = await readStates(transaction, pairs);
      await writeRows(transaction, {
        rows: pairs.filter(({ user, torrent }) => states.get(`${user} ${torrent}`)?.isActive !== 1),
        sql: (values) =>
          `UPDATE history h JOIN ${derivedTable(["uid", "tid"], values)} d ON d.uid = h.user_id AND d.tid = h.torrent_id ` +
          "SET h.active = 0",
        values: ({ user, torrent }) => [user, torrent],
        refused: () => undefined,
      });
      const torrents = [...new Set(pairs.map(({ torrent }) => torrent))];
      await recountPeers(transaction, torrentsTable, peerCounts, torrents);
    });
  }

  /** Reads the peers of a torrent for the site's staff. */
  peersOf(torrent: number): Promise<SqlRow[]> {
    return this.mysql.rows(
      "SELECT user_id, peer_id, INET6_NTOA(ip) AS ip, port, seeder, active, UNIX_TIMESTAMP(updated_at) AS updated_at, " +
        "uploaded, downloaded FROM peers WHERE torrent_id = ?",
      [torrent],
    );
  }

  async completionsOf(torrent: number): Promise<number> {
    const [row] = await this.mysql.rows("SELECT times_completed FROM torrents WHERE id = ?", [torrent]);
    return Number(row?.times_completed ?? 0);
  }

  /** Counts the active peers of a user. */
  async countUser(user: number): Promise<{ seeding: number; leeching: number }> {
    const [row] = await this.mysql.rows(
      "SELECT COALESCE(SUM(seeder = 1), 0) AS seeding, COALESCE(SUM(seeder = 0), 0) AS leeching FROM peers " +
        "WHERE user_id = ? AND active = 1",
      [user],
    );
    return { seeding: Number(row!.seeding), leeching: Number(row!.leeching) };
  }
}

/** Returns a time as the columns have it. @param seconds  since 1970 */
function timeOf(seconds: number): BulkValue {
  return { sql: `FROM_UNIXTIME(${seconds})` };
}

const torrentsTable: TableKey = { table: "torrents", id: "id" };

/** Returns the query of {@link countPeers}. */
function peerCounts(list: string): string {
  return (
    "SELECT torrent_id AS id, SUM(seeder = 1) AS seeders, SUM(seeder = 0) AS leechers FROM peers " +
    `WHERE active = 1 AND torrent_id IN (${list}) GROUP BY torrent_id`
  );
}

/** Whether any peer of a user and torrent is active, and whether one seeds: the end of one client is not the end of the others. */
async function readStates(
  transaction: Transaction,
  pairs: readonly { user: number; torrent: number }[],
): Promise<Map<string, { isActive: number; isSeeder: number }>> {
  const torrents = [...new Set(pairs.map(({ torrent }) => torrent))];
  const users = [...new Set(pairs.map(({ user }) => user))];
  const rows = await rowsOf(
    transaction,
    (list) =>
      "SELECT user_id, torrent_id, MAX(active) AS active, IF(MAX(active) = 1, MAX(active AND seeder), MAX(seeder)) AS seeder FROM peers " +
      `WHERE user_id IN (${list}) AND torrent_id IN (${torrents.join(", ") || 0}) GROUP BY user_id, torrent_id`,
    users,
  );
  return new Map(
    rows.map((row) => [
      `${row.user_id} ${row.torrent_id}`,
      { isActive: Number(row.active), isSeeder: Number(row.seeder) },
    ]),
  );
}

/** Approved torrents come before others, and deleted ones last. */
function rank({ refusal = 0 }: DirectoryTorrent): number {
  if (refusal === 0) return 0;
  return refusal === torrentRefusal(1, true) ? 2 : 1;
}

function toGroup({ id, slots, isFreeleech, isDoubleUpload }: Unit3dGroup): DirectoryGroup {
  return { id, slots, ...(isFreeleech && { down: 0 }), ...(isDoubleUpload && { up: 200 }) };
}

/** Packs an address as `INET6_ATON` does. An address that is not kept becomes 0.0.0.0. */
function packAddress(text: string): Buffer {
  if (/^[\da-f]{32}$/.test(text)) return Buffer.from(text, "hex");
  if (text === "") return Buffer.alloc(4);
  const { family, bytes } = Address.parse(text);
  return Buffer.from(bytes.subarray(0, family === 4 ? 4 : 16));
}

/** Returns the client of a peer id as the column takes it. */
function agentOf(peerId: string): string {
  return clientOf(Buffer.from(peerId, "latin1")).slice(0, agentLength);
}
