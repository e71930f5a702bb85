import type { Batch, History, PeerRow, Sums } from "../../accounting/batch.ts";
import type { Bytes } from "../../accounting/bytes.ts";
import type {
  DirectoryChange,
  DirectoryClient,
  DirectoryGrant,
  DirectoryGroup,
  DirectorySize,
  DirectoryTorrent,
  DirectoryUser,
  FactorSource,
} from "../../directory-records.ts";
import type { Applied, Site } from "../../site.ts";
import type { SiteRecords } from "../../site-records.ts";
import { clientOf, creditsOf, lastOf } from "../rows.ts";
import type { Database, Dialect, OpenDatabase, SqlRow, SqlRows, SqlValue, Transaction } from "./database.ts";
import { checkTables } from "./schema.ts";
import { SqlRecords } from "./sql-records.ts";
import { type Field, fieldsOf, mostInteger, update, upsert, type Write, writeRows } from "./statements.ts";

const userColumns = "id, passkey, enabled, can_leech, hidden, group_id";
const torrentColumns = "id, info_hash, info_hash_v2, up, down, until";
const grantColumns = "user_id, torrent_id, up, down, until";
/** Rows that one query reads, at most. */
const pageRows = 10_000;
/** Keys that one query names, at most. */
const mostKeys = 1000;
/** Grants that one query names, at most. */
const mostPairs = 200;
/** Users whose peers one call looks at, unless there are more than {@link mostParts} times as many. */
const partUsers = 10_000;
/** Calls after which all peers were looked at. */
const mostParts = 10;
const ofUsers = "user_id BETWEEN ? AND ?";
const takenOver = "the database has been taken over by another journal";

const userFields = fieldsOf({
  ...{ uploaded: "int add", downloaded: "int add", raw_uploaded: "int add", raw_downloaded: "int add" },
  id: "id key",
});
const historyFields = fieldsOf({
  ...{ user_id: "id key", torrent_id: "id key", uploaded: "int add", downloaded: "int add" },
  ...{ raw_uploaded: "int add", raw_downloaded: "int add", seedtime: "int add", leechtime: "int add" },
  ...{ first_seen: "int once", last_seen: "int max", completed_at: "int first", active: "flag last" },
});
const peerFields = fieldsOf({
  ...{ user_id: "id key", torrent_id: "id key", peer_id: "bytes key", ip: "word last", port: "int last" },
  ...{ client: "word last", uploaded: "int last", downloaded: "int last", '"left"': "int last" },
  ...{ seeder: "flag last", active: "flag last", updated_at: "int last" },
});
const snatchFields = fieldsOf({ user_id: "id once", torrent_id: "id once", at: "int once", ip: "word once" });
const torrentFields = fieldsOf({ completed: "int add", last_active: "int max", id: "id key" });
const idFields = fieldsOf({ id: "id key" });
const pairFields = fieldsOf({ user_id: "id key", torrent_id: "id key" });
const expiredFields = fieldsOf({ user_id: "id key", torrent_id: "id key", peer_id: "bytes key" });
const ledgerFields = fieldsOf({ instance: "word key", seq: "int last", at: "int last" });
const quarantineFields = fieldsOf({
  ...{
    seq: "int once",
    user_id: "id once",
    torrent_id: "id once",
    uploaded: "int once",
    downloaded: "int once",
  },
  ...{ reason: "text once", at: "int once" },
});

type GrantChange = NonNullable<DirectoryChange["grants"]>[number];

const activePeers = "SELECT count(*) FROM peers p WHERE p.torrent_id = t.id AND p.active = 1 AND p.seeder";
/** What a torrent shows of its peers, and a history of its own. */
const peerCounts = { seeders: `(${activePeers} = 1)`, leechers: `(${activePeers} = 0)` };
const activity = {
  active:
    "CASE WHEN EXISTS (SELECT 1 FROM peers p WHERE p.user_id = t.user_id AND p.torrent_id = t.torrent_id AND p.active = 1) " +
    "THEN 1 ELSE 0 END",
};

/** A site of the tracker's own: the tables of {@link file://./schema.ts}. */
export class SqlSite implements Site {
  readonly #database: Database;
  readonly #dialect: Dialect;
  readonly records: SiteRecords;
  #hasTables = false;
  /** Numbers of changes that the directory has. */
  #followed: SqlValue[] = [];
  /** Number of calls of {@link expirePeers}. */
  #expired = 0;

  /** @param open  the site closes it */
  constructor(open: OpenDatabase) {
    const { database, dialect } = open;
    this.#database = database;
    this.#dialect = dialect;
    this.records = new SqlRecords(open);
  }

  open(): void {}

  async size(): Promise<DirectorySize> {
    const counted = ["users", "torrents", "groups", "grants", "clients"] as const;
    const counts = counted.map((name) => `(SELECT count(*) FROM "${name}") AS "${name}"`);
    const [row] = await this.#rows(`SELECT ${counts.join(", ")}`);
    return Object.fromEntries(counted.map((name) => [name, Number(row![name])])) as unknown as DirectorySize;
  }

  async *users(): AsyncIterable<DirectoryUser> {
    // What has been noted until now is in the rows that follow.
    this.#followed = (await this.#rows("SELECT id FROM changes")).map(({ id }) => id!);
    for await (const row of this.#pages(userColumns, "users")) yield toUser(row);
  }

  async *torrents(): AsyncIterable<DirectoryTorrent> {
    for await (const row of this.#pages(torrentColumns, "torrents", "status = 1")) yield toTorrent(row);
  }

  async *grants(): AsyncIterable<DirectoryGrant> {
    const after = "user_id > ? OR (user_id = ? AND torrent_id > ?)";
    const sql = `SELECT ${grantColumns} FROM grants WHERE ${after} ORDER BY user_id, torrent_id LIMIT ${pageRows}`;
    for (let [user, torrent]: SqlValue[] = [-1, -1]; ; ) {
      const rows = await this.#rows(sql, [user!, user!, torrent!]);
      yield* rows.map(toGrant);
      if (rows.length < pageRows) return;
      [user, torrent] = [rows.at(-1)!.user_id!, rows.at(-1)!.torrent_id!];
    }
  }

  async rules(): Promise<{ groups: DirectoryGroup[]; clients: DirectoryClient[] }> {
    const groups = await this.#rows('SELECT id, up, down, until, slots FROM "groups"');
    const clients = await this.#rows("SELECT prefix, allow FROM clients");
    return { groups: groups.map(toGroup), clients: clients.map(toClient) };
  }

  async changes(): Promise<DirectoryChange | undefined> {
    await this.#forgetFollowed();
    const rows = await this.#rows(`SELECT * FROM changes ORDER BY id LIMIT ${pageRows}`);
    if (rows.length === 0) return undefined;
    const passkeys: string[] = [];
    const infoHashes: Uint8Array[] = [];
    const [users, torrents] = [new Set<number>(), new Set<number>()];
    const grants = new Map<string, [user: number, torrent: number]>();
    let hasRules = false;
    for (const { kind, user_id, torrent_id, passkey, info_hash, info_hash_v2 } of rows) {
      if (kind === "user") users.add(Number(user_id));
      if (kind === "torrent") torrents.add(Number(torrent_id));
      if (kind === "grant") grants.set(`${user_id} ${torrent_id}`, [Number(user_id), Number(torrent_id)]);
      hasRules ||= kind === "group" || kind === "client";
      if (passkey !== null) passkeys.push(passkey as string);
      infoHashes.push(...infoHashesOf(info_hash, info_hash_v2));
    }
    const change = {
      ...{ passkeys, infoHashes },
      users: (await this.#named(userColumns, "users", [...users])).map(toUser),
      torrents: (await this.#named(torrentColumns, "torrents", [...torrents], " AND status = 1")).map(
        toTorrent,
      ),
      grants: await this.#readGrants([...grants.values()]),
      ...(hasRules && (await this.rules())),
    };
    this.#followed = rows.map(({ id }) => id!);
    return change;
  }

  async lastApplied(instance: string): Promise<number | undefined> {
    const rows = await this.#rows("SELECT instance, seq FROM applied");
    if (rows.length > 0) return lastOf(rows, instance);
    await this.#check();
    return this.#database.transaction(async (transaction) => {
      const last = await this.#lock(transaction, instance);
      if (last === 0) await this.#note(transaction, instance, 0);
      return last;
    });
  }

  async apply(instance: string, batch: Batch): Promise<Applied> {
    await this.#check();
    return this.#database.transaction(async (transaction): Promise<Applied> => {
      const last = await this.#lock(transaction, instance);
      if (last === undefined) throw new Error(takenOver);
      if (last !== batch.from) return { isApplied: false, last };
      const quarantined = await new BatchWriter(transaction, this.#dialect, batch).write();
      await this.#note(transaction, instance, batch.to);
      return { isApplied: true, quarantined };
    });
  }

  /** Notes the last record that the site has. @throws Error if the database has another journal */
  async note(instance: string, seq: number): Promise<void> {
    await this.#check();
    await this.#database.transaction(async (transaction) => {
      if ((await this.#lock(transaction, instance)) === undefined) throw new Error(takenOver);
      await this.#note(transaction, instance, seq);
    });
  }

  /** Returns the last record of a journal, and keeps other transactions from noting one until the end of this transaction. */
  async #lock(transaction: Transaction, instance: string): Promise<number | undefined> {
    const { lockTable, forUpdate } = this.#dialect;
    if (lockTable !== undefined) await transaction.run(lockTable("applied"));
    return lastOf(await transaction.rows(`SELECT instance, seq FROM applied${forUpdate}`), instance);
  }

  async #note(transaction: Transaction, instance: string, seq: number): Promise<void> {
    const { sql, values } = upsert(this.#dialect, "applied", ledgerFields, [[instance, seq, secondsNow()]]);
    await transaction.run(sql, values);
  }

  async expirePeers(activeAfter: number, keptAfter: number): Promise<void> {
    const users = await this.#nextUsers();
    while (await this.#deactivate(users, activeAfter));
    const old = `FROM peers WHERE ${ofUsers} AND active = 0 AND updated_at < ?`;
    const values = [...users, keptAfter];
    if ((await this.#rows(`SELECT 1 AS one ${old} LIMIT 1`, values)).length === 0) return;
    await this.#database.transaction((transaction) => transaction.run(`DELETE ${old}`, values));
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  /**
   * Returns the users whose peers are looked at next. An index of the times of peers would change with every announce, so a large site
   * is read part by part.
   */
  async #nextUsers(): Promise<[first: number, last: number]> {
    const [range] = await this.#rows(
      "SELECT (SELECT min(user_id) FROM peers) AS first_user, (SELECT max(user_id) FROM peers) AS last_user",
    );
    const [least, most] = [Number(range!.first_user), Number(range!.last_user)];
    const parts = Math.min(mostParts, Math.ceil((most - least + 1) / partUsers));
    const part = this.#expired++ % parts;
    const before = (count: number) => least + Math.floor(((most - least + 1) * count) / parts);
    return [before(part), before(part + 1) - 1];
  }

  /** Makes a page of expired peers inactive. @returns whether there may be more */
  async #deactivate(users: readonly number[], activeAfter: number): Promise<boolean> {
    const rows = await this.#rows(
      `SELECT user_id, torrent_id, peer_id FROM peers WHERE ${ofUsers} AND active = 1 AND updated_at < ? LIMIT ${pageRows}`,
      [...users, activeAfter],
    );
    const pairs = distinct(rows.map(({ user_id, torrent_id }) => [user_id!, torrent_id!]));
    const torrents = distinct(rows.map(({ torrent_id }) => [torrent_id!]));
    const peers = rows.map(({ user_id, torrent_id, peer_id }) => [user_id!, torrent_id!, peer_id!]);
    const writes = [
      { table: "peers", fields: expiredFields, rows: peers, more: { active: "0" } },
      { table: "history", fields: pairFields, rows: pairs, more: activity },
      { table: "torrents", fields: idFields, rows: torrents, more: peerCounts },
    ];
    if (rows.length > 0)
      await this.#database.transaction(async (transaction) => {
        for (const { table, fields, more, rows } of writes)
          await writeRows(transaction, this.#dialect, {
            rows,
            values: (row) => row,
            statement: (part) => update(this.#dialect, table, fields, part, more),
            refused: fail,
          });
      });
    return rows.length === pageRows;
  }

  /** Deletes the notes of changes that the directory has. */
  async #forgetFollowed(): Promise<void> {
    while (this.#followed.length > 0) {
      const ids = this.#followed.slice(0, mostKeys);
      await this.#rows(`DELETE FROM changes WHERE id IN (${marks(ids)})`, ids);
      this.#followed = this.#followed.slice(ids.length);
    }
  }

  /** Yields all rows in the order of their ids, a page at a time. */
  async *#pages(columns: string, table: string, condition = "id > 0"): AsyncGenerator<SqlRow> {
    const sql = `SELECT ${columns} FROM ${table} WHERE id > ? AND ${condition} ORDER BY id LIMIT ${pageRows}`;
    for (let last: SqlValue = 0; ; ) {
      const rows = await this.#rows(sql, [last]);
      yield* rows;
      if (rows.length < pageRows) return;
      last = rows.at(-1)!.id!;
    }
  }

  async #named(columns: string, table: string, ids: SqlValue[], more = ""): Promise<SqlRow[]> {
    const rows: SqlRow[] = [];
    for (let at = 0; at < ids.length; at += mostKeys) {
      const some = ids.slice(at, at + mostKeys);
      const sql = `SELECT ${columns} FROM ${table} WHERE id IN (${marks(some)})${more}`;
      rows.push(...(await this.#rows(sql, some)));
    }
    return rows;
  }

  /** Reads grants by user and torrent. Those that are not there were removed. */
  async #readGrants(pairs: readonly [user: number, torrent: number][]): Promise<GrantChange[]> {
    const grants: GrantChange[] = [];
    for (let at = 0; at < pairs.length; at += mostPairs) {
      const some = pairs.slice(at, at + mostPairs);
      const condition = some.map(() => "(user_id = ? AND torrent_id = ?)").join(" OR ");
      const rows = await this.#rows(`SELECT ${grantColumns} FROM grants WHERE ${condition}`, some.flat());
      const found = rows.map(toGrant);
      const isFound = new Set(found.map(({ user, torrent }) => `${user} ${torrent}`));
      const removed = some.filter(([user, torrent]) => !isFound.has(`${user} ${torrent}`));
      grants.push(...found, ...removed.map(([user, torrent]) => ({ user, torrent, isRemoved: true })));
    }
    return grants;
  }

  async #rows(sql: string, values: readonly SqlValue[] = []): Promise<SqlRow[]> {
    await this.#check();
    return this.#database.rows(sql, values);
  }

  async #check(): Promise<void> {
    if (this.#hasTables) return;
    await checkTables({ database: this.#database, dialect: this.#dialect });
    this.#hasTables = true;
  }
}

/** Writes one batch in the order of tables and keys, so that transactions of others wait rather than lock each other out. */
class BatchWriter {
  readonly #transaction: Transaction;
  readonly #dialect: Dialect;
  readonly #batch: Batch;
  readonly #aside: SqlValue[][] = [];
  /** Histories that the site does not have, because they were set aside. */
  readonly #missing = new Set<History>();

  constructor(transaction: Transaction, dialect: Dialect, batch: Batch) {
    this.#transaction = transaction;
    this.#dialect = dialect;
    this.#batch = batch;
  }

  /** @returns how many rows were set aside */
  async write(): Promise<number> {
    if (this.#dialect.forUpdate !== "") await this.#lockParents();
    await this.#credit();
    await this.#writeHistories();
    await this.#writePeers();
    await this.#writeSnatches();
    await this.#deactivateHistories();
    await this.#updateTorrents();
    await this.#upsert("quarantine", quarantineFields, {
      rows: this.#aside,
      values: (row) => row,
      refused: fail,
    });
    return this.#aside.length;
  }

  /**
   * Locks the users and torrents of rows that may be new, before any of those rows. A transaction that removes a user or a torrent
   * locks in the same order.
   */
  async #lockParents(): Promise<void> {
    const { histories, recounts } = this.#batch;
    const changed = histories.filter(({ torrent }) => recounts.has(torrent));
    await this.#existing("users", new Set(changed.map(({ user }) => user)));
    await this.#existing("torrents", recounts);
  }

  /** Returns those of the ids that are in a table, and keeps others from removing them. */
  async #existing(table: string, ids: ReadonlySet<number>): Promise<Set<number>> {
    const sorted = [...ids].sort((a, b) => a - b);
    const found = new Set<number>();
    for (let at = 0; at < sorted.length; at += mostKeys) {
      const some = sorted.slice(at, at + mostKeys);
      const sql = `SELECT id FROM ${table} WHERE id IN (${marks(some)}) ORDER BY id${this.#dialect.forUpdate}`;
      for (const { id } of await this.#transaction.rows(sql, some)) found.add(Number(id));
    }
    return found;
  }

  async #credit(): Promise<void> {
    const { users } = this.#batch;
    const refused = new Map<number, { sums: Sums; reason: string }>();
    const matched = await this.#update("users", userFields, {
      rows: users,
      values: (sums) => [...amounts(sums), sums.user],
      refused: (sums, reason) => refused.set(sums.user, { sums, reason }),
    });
    if (matched + refused.size < users.length) {
      const there = await this.#existing("users", new Set(users.map(({ user }) => user)));
      const gone = users.filter(({ user }) => !there.has(user) && !refused.has(user));
      // The whole transaction is repeated later, because the update has not seen this user.
      if (matched + refused.size + gone.length < users.length) throw new Error("a user was added meanwhile");
      for (const sums of gone) this.#setAside(sums.user, null, sums, "no such user");
    }
    for (const [user, { sums, reason }] of refused) this.#setAside(user, null, sums, reason);
  }

  async #writeHistories(): Promise<void> {
    await this.#upsert("history", historyFields, {
      rows: this.#batch.histories,
      values: (history) => {
        const { user, torrent, seedSeconds, leechSeconds, firstSeen, lastSeen, completedAt = null } = history;
        const [uploaded, downloaded, rawUploaded, rawDownloaded] = amounts(history);
        return [
          ...[user, torrent, uploaded, downloaded, rawUploaded, rawDownloaded, seedSeconds, leechSeconds],
          ...[firstSeen, lastSeen, completedAt, Number(history.isActive)],
        ];
      },
      refused: (history, reason) => this.#leaveOut(history, reason),
      sift: (some) => this.#sift(some),
    });
  }

  /** Leaves out the histories of users and torrents that are gone. @returns the others */
  async #sift(histories: readonly History[]): Promise<History[]> {
    const users = await this.#existing("users", new Set(histories.map(({ user }) => user)));
    const torrents = await this.#existing("torrents", new Set(histories.map(({ torrent }) => torrent)));
    return histories.filter((history) => {
      const isThere = users.has(history.user) && torrents.has(history.torrent);
      if (!isThere) this.#leaveOut(history, "no such user or torrent");
      return isThere;
    });
  }

  async #writePeers(): Promise<void> {
    await this.#upsert<PeerRow>("peers", peerFields, {
      rows: this.#ofHistories(this.#batch.peers),
      values: ({ user, torrent, ip, port, uploaded, downloaded, left, seconds, ...peer }) => {
        const peerId = Buffer.from(peer.peerId, "latin1");
        return [
          ...[user, torrent, peerId, ip, port, clientOf(peerId), uploaded, downloaded, left],
          ...[Number(left === 0), Number(peer.isActive), seconds],
        ];
      },
      refused: ({ user, torrent }, reason) => this.#setAside(user, torrent, undefined, reason),
    });
  }

  async #writeSnatches(): Promise<void> {
    await this.#upsert("snatches", snatchFields, {
      rows: this.#ofHistories(this.#batch.snatches),
      values: ({ user, torrent, seconds, ip }) => [user, torrent, seconds, ip],
      refused: ({ user, torrent }, reason) => this.#setAside(user, torrent, undefined, reason),
    });
  }

  /** Asks the peers of a user and torrent whether another client is active, where those of the batch are not. */
  async #deactivateHistories(): Promise<void> {
    await this.#update(
      "history",
      pairFields,
      {
        rows: this.#batch.histories.filter((one) => !one.isActive && !this.#missing.has(one)),
        values: ({ user, torrent }) => [user, torrent],
        refused: fail,
      },
      activity,
    );
  }

  async #updateTorrents(): Promise<void> {
    const { histories, snatches, recounts } = this.#batch;
    const touched = new Map<number, { torrent: number; completed: number; last: number }>();
    for (const history of histories) {
      const { torrent, lastSeen } = history;
      if (!recounts.has(torrent) || this.#missing.has(history)) continue;
      const row = touched.get(torrent);
      if (row === undefined) touched.set(torrent, { torrent, completed: 0, last: lastSeen });
      else row.last = Math.max(row.last, lastSeen);
    }
    for (const { torrent } of this.#ofHistories(snatches)) touched.get(torrent)!.completed++;
    await this.#update(
      "torrents",
      torrentFields,
      {
        rows: [...touched.values()].sort((a, b) => a.torrent - b.torrent),
        values: ({ torrent, completed, last }) => [completed, last, torrent],
        refused: fail,
      },
      peerCounts,
    );
  }

  /** Returns the rows whose history was not set aside. */
  #ofHistories<Row extends { history: History }>(rows: readonly Row[]): readonly Row[] {
    return this.#missing.size === 0 ? rows : rows.filter(({ history }) => !this.#missing.has(history));
  }

  #leaveOut(history: History, reason: string): void {
    this.#missing.add(history);
    this.#setAside(history.user, history.torrent, history, reason);
  }

  #setAside(user: number, torrent: number | null, sums: Sums | undefined, reason: string): void {
    const [uploaded, downloaded] = sums === undefined ? [0, 0] : amounts(sums);
    const exact = uploaded > mostInteger || downloaded > mostInteger ? `: ${uploaded}, ${downloaded}` : "";
    const [up, down] = exact === "" ? [uploaded, downloaded] : [0, 0];
    this.#aside.push([this.#batch.to, user, torrent, up, down, `${reason}${exact}`, secondsNow()]);
  }

  #upsert<Row>(
    table: string,
    fields: readonly Field[],
    write: Omit<Write<Row>, "statement">,
  ): Promise<number> {
    const statement = (part: SqlRows) => upsert(this.#dialect, table, fields, part);
    return writeRows(this.#transaction, this.#dialect, { ...write, statement });
  }

  #update<Row>(
    table: string,
    fields: readonly Field[],
    write: Omit<Write<Row>, "statement">,
    more?: Readonly<Record<string, string>>,
  ): Promise<number> {
    const statement = (part: SqlRows) => update(this.#dialect, table, fields, part, more);
    return writeRows(this.#transaction, this.#dialect, { ...write, statement });
  }
}

/** Ends a transaction because of a row that every database takes. */
function fail<Row>(_: Row, reason: string): never {
  throw new Error(reason);
}

/** Returns credited and raw bytes. */
function amounts(sums: Sums): [uploaded: Bytes, downloaded: Bytes, rawUploaded: Bytes, rawDownloaded: Bytes] {
  const { uploaded, downloaded } = creditsOf(sums);
  return [uploaded, downloaded, sums.rawUploaded, sums.rawDownloaded];
}

function distinct(rows: readonly SqlValue[][]): SqlValue[][] {
  return [...new Map(rows.map((row) => [row.join(" "), row])).values()];
}

function marks(values: readonly unknown[]): string {
  return values.map(() => "?").join(", ");
}

function secondsNow(): number {
  return Math.floor(Date.now() / 1000);
}

function toUser({ id, passkey, enabled, can_leech, hidden, group_id }: SqlRow): DirectoryUser {
  const flags = {
    isEnabled: Number(enabled) !== 0,
    canLeech: Number(can_leech) !== 0,
    isHidden: Number(hidden) !== 0,
  };
  return { id: Number(id), passkey: passkey as string, group: Number(group_id), ...flags };
}

function toTorrent({ id, info_hash, info_hash_v2, ...factors }: SqlRow): DirectoryTorrent {
  const infoHashes = infoHashesOf(info_hash, info_hash_v2);
  return { id: Number(id), infoHashes, ...toFactors(factors) };
}

function toGrant({ user_id, torrent_id, ...factors }: SqlRow): DirectoryGrant {
  return { user: Number(user_id), torrent: Number(torrent_id), ...toFactors(factors) };
}

function toGroup({ id, slots, ...factors }: SqlRow): DirectoryGroup {
  return { id: Number(id), ...toFactors(factors), slots: toNumber(slots) };
}

function toClient({ prefix, allow }: SqlRow): DirectoryClient {
  return { prefix: prefix as Uint8Array, isAllowed: Number(allow) !== 0 };
}

function toFactors({ up, down, until }: SqlRow): FactorSource {
  return { up: toNumber(up), down: toNumber(down), until: toNumber(until) };
}

function toNumber(value: SqlValue | undefined): number | undefined {
  return value == null ? undefined : Number(value);
}

/** Returns the infohashes that clients announce: of version 2 the first 20 bytes. */
function infoHashesOf(...hashes: (SqlValue | undefined)[]): Uint8Array[] {
  return hashes.flatMap((hash) => (hash instanceof Uint8Array ? [hash.subarray(0, 20)] : []));
}
