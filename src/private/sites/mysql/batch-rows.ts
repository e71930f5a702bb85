import type { Batch } from "../../accounting/batch.ts";
import { creditsOf } from "../rows.ts";
import { derivedTable, writeRows } from "./bulk.ts";
import type { QuarantinedTraffic } from "./ledger.ts";
import type { SqlRow, SqlValue, Transaction } from "./mysql.ts";

/** Ids in one list. */
const idRows = 5000;

/** A table, and its column with the id. */
export interface TableKey {
  readonly table: string;
  readonly id: string;
}

/** A user and a torrent. */
export interface Pair {
  user: number;
  torrent: number;
}

/** What {@link creditUsers} has done. */
export interface Credited {
  /** The torrents of the batch that the site has. */
  torrents: ReadonlySet<number>;
  /** Whether the site has user and torrent. */
  isThere(pair: Pair): boolean;
  /** Sets a row aside that the database does not take. */
  refuse(pair: Pair, reason: string): void;
  /** All that was set aside. */
  quarantined: QuarantinedTraffic[];
}

/** Adds the traffic of a batch to its users, in the columns `uploaded` and `downloaded`. Credits of a user who is gone are set aside. */
export async function creditUsers(
  transaction: Transaction,
  { histories, users: sums }: Batch,
  tables: { users: TableKey; torrents: TableKey },
): Promise<Credited> {
  const pairs = [...histories.values()];
  const idsOf = (key: keyof Pair): number[] => [...new Set(pairs.map((pair) => pair[key]))];
  const users = await existing(transaction, tables.users, idsOf("user"));
  const torrents = await existing(transaction, tables.torrents, idsOf("torrent"));
  const quarantined: QuarantinedTraffic[] = [];
  const credits = [...sums]
    .map(([user, of]) => ({ user, torrent: null, ...creditsOf(of) }))
    .filter(({ uploaded, downloaded }) => uploaded > 0n || downloaded > 0n)
    .sort((a, b) => a.user - b.user);
  for (const credit of credits)
    if (!users.has(credit.user)) quarantined.push({ ...credit, reason: "no such user" });
  const { table, id } = tables.users;
  await writeRows(transaction, {
    rows: credits.filter(({ user }) => users.has(user)),
    sql: (count) =>
      `UPDATE ${table} u JOIN ${derivedTable(["id", "up", "down"], count)} d ON d.id = u.${id} ` +
      "SET u.uploaded = u.uploaded + d.up, u.downloaded = u.downloaded + d.down",
    values: ({ user, uploaded, downloaded }) => [user, uploaded, downloaded],
    refused: (credit, reason) => quarantined.push({ ...credit, reason }),
  });
  return {
    torrents,
    isThere: ({ user, torrent }) => users.has(user) && torrents.has(torrent),
    refuse: ({ user, torrent }, reason) =>
      quarantined.push({ user, torrent, uploaded: 0n, downloaded: 0n, reason }),
    quarantined,
  };
}

/** What a batch says of one torrent. */
export interface TorrentSums {
  id: number;
  completed: number;
  /** Uploaded bytes less downloaded ones. */
  balance: bigint;
}

/** Returns what a batch says of torrents, in the order of their ids. */
export function sumTorrents({ histories, snatches }: Batch, torrents: ReadonlySet<number>): TorrentSums[] {
  const ids = [...torrents].sort((a, b) => a - b);
  const sums = new Map(ids.map((id) => [id, { id, completed: 0, balance: 0n }]));
  for (const { torrent, rawUploaded, rawDownloaded } of histories.values()) {
    const row = sums.get(torrent);
    if (row !== undefined) row.balance += rawUploaded - rawDownloaded;
  }
  for (const { torrent } of snatches) {
    const row = sums.get(torrent);
    if (row !== undefined) row.completed++;
  }
  return [...sums.values()];
}

/** Numbers of the active peers of a torrent. */
export interface PeerCounts {
  seeders: number;
  leechers: number;
}

const none: PeerCounts = { seeders: 0, leechers: 0 };

/**
 * Counts the active peers of torrents.
 * @param sql  returns the query of `id`, `seeders` and `leechers` for a list of placeholders
 * @returns the numbers by the id of a torrent
 */
export async function countPeers(
  transaction: Transaction,
  sql: (list: string) => string,
  torrents: readonly number[],
): Promise<(torrent: number) => PeerCounts> {
  const rows = await rowsOf(transaction, sql, torrents);
  const counts = new Map(
    rows.map(({ id, seeders, leechers }) => [
      Number(id),
      { seeders: Number(seeders), leechers: Number(leechers) },
    ]),
  );
  return (torrent) => counts.get(torrent) ?? none;
}

/** Writes the numbers of peers of torrents, in the order of their ids. @param sql  as for {@link countPeers} */
export async function recountPeers(
  transaction: Transaction,
  { table, id }: TableKey,
  sql: (list: string) => string,
  torrents: readonly number[],
): Promise<void> {
  const countsOf = await countPeers(transaction, sql, torrents);
  await writeRows(transaction, {
    rows: [...torrents].sort((a, b) => a - b),
    sql: (count) =>
      `UPDATE ${table} t JOIN ${derivedTable(["id", "seeders", "leechers"], count)} d ON d.id = t.${id} ` +
      "SET t.seeders = d.seeders, t.leechers = d.leechers",
    values(torrent) {
      const { seeders, leechers } = countsOf(torrent);
      return [torrent, seeders, leechers];
    },
    refused: () => undefined,
  });
}

/** Returns those of the ids that a table has. */
async function existing(
  transaction: Transaction,
  { table, id }: TableKey,
  ids: readonly number[],
): Promise<Set<number>> {
  const sql = (list: string) => `SELECT ${id} AS id FROM ${table} WHERE ${id} IN (${list})`;
  return new Set((await rowsOf(transaction, sql, ids)).map((row) => Number(row.id)));
}

/** Runs a query for any number of ids. @param sql  returns the query for a list of placeholders */
export async function rowsOf(
  transaction: Pick<Transaction, "rows">,
  sql: (list: string) => string,
  ids: readonly SqlValue[],
): Promise<SqlRow[]> {
  const found: SqlRow[] = [];
  for (let at = 0; at < ids.length; at += idRows) {
    const part = ids.slice(at, at + idRows);
    found.push(...(await transaction.rows(sql(part.map(() => "?").join(", ")), part)));
  }
  return found;
}
