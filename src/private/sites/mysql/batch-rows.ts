import type { Batch } from "../../accounting/batch.ts";
import { addBytes, type Bytes, subtractBytes } from "../../accounting/bytes.ts";
import { creditsOf } from "../rows.ts";
import { type BulkWrite, derivedTable, writeRows } from "./bulk.ts";
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
  /** The users of the batch that the site has. */
  users: ReadonlySet<number>;
  /** All that was set aside. */
  quarantined: QuarantinedTraffic[];
}

/** Adds the traffic of a batch to its users, in the columns `uploaded` and `downloaded`. Credits of a user who is gone are set aside. */
export async function creditUsers(
  transaction: Transaction,
  { histories, users: sums }: Batch,
  key: TableKey,
): Promise<Credited> {
  const quarantined: QuarantinedTraffic[] = [];
  const credits = sums
    .map((of) => ({ id: of.user, ...creditsOf(of) }))
    .filter(({ uploaded, downloaded }) => uploaded > 0 || downloaded > 0);
  const { table, id } = key;
  const ids = new Set(histories.map(({ user }) => user));
  const users = await changeRows(transaction, key, ids, {
    rows: credits,
    sql: (values) =>
      `UPDATE ${table} u JOIN ${derivedTable(["id", "up", "down"], values)} d ON d.id = u.${id} ` +
      "SET u.uploaded = u.uploaded + d.up, u.downloaded = u.downloaded + d.down",
    values: ({ id, uploaded, downloaded }) => [id, uploaded, downloaded],
    refused: ({ id: user, ...credit }, reason) =>
      quarantined.push({ ...credit, user, torrent: null, reason }),
  });
  for (const { id: user, ...credit } of credits)
    if (!users.has(user)) quarantined.push({ ...credit, user, torrent: null, reason: "no such user" });
  return { users, quarantined };
}

/**
 * Changes rows of a table, and finds out which of the ids it has, by a query only where the number of changed rows does not say so.
 * @param ids  those of the rows, and others
 * @returns the ids that the table has @throws Error if a row was added meanwhile, so that the transaction must be repeated
 */
export async function changeRows<Row extends { id: number }>(
  transaction: Transaction,
  key: TableKey,
  ids: ReadonlySet<number>,
  write: BulkWrite<Row>,
): Promise<Set<number>> {
  const { rows } = write;
  const refused = new Set<Row>();
  const matched = await writeRows(transaction, {
    ...write,
    refused(row, reason) {
      refused.add(row);
      write.refused(row, reason);
    },
  });
  const changed = new Set(rows.map(({ id }) => id));
  if (matched + refused.size === rows.length) {
    const others = await existing(
      transaction,
      key,
      [...ids].filter((id) => !changed.has(id)),
    );
    return new Set([...changed, ...others]);
  }
  const there = await existing(transaction, key, [...ids]);
  const gone = rows.filter((row) => !there.has(row.id) && !refused.has(row));
  if (matched + refused.size + gone.length < rows.length)
    throw new Error(`${key.table}: a row was added meanwhile`);
  return there;
}

/** Returns what sets a row aside that the database does not take. */
export function refuseOf(quarantined: QuarantinedTraffic[]): (pair: Pair, reason: string) => void {
  return ({ user, torrent }, reason) =>
    quarantined.push({ user, torrent, uploaded: 0, downloaded: 0, reason });
}

/** What a batch says of one torrent. */
export interface TorrentSums {
  id: number;
  completed: number;
  /** Uploaded bytes less downloaded ones. */
  balance: Bytes;
}

/** Returns what a batch says of its torrents, in the order of their ids. */
export function sumTorrents({ histories, snatches }: Batch): TorrentSums[] {
  const sums = new Map<number, TorrentSums>();
  for (const { torrent, rawUploaded, rawDownloaded } of histories) {
    const balance = subtractBytes(rawUploaded, rawDownloaded);
    const row = sums.get(torrent);
    if (row === undefined) sums.set(torrent, { id: torrent, completed: 0, balance });
    else row.balance = addBytes(row.balance, balance);
  }
  for (const { torrent } of snatches) sums.get(torrent)!.completed++;
  return [...sums.values()].sort((a, b) => a.id - b.id);
}

/** Numbers of the active peers of a torrent. Null if they were not counted. */
export type PeerCounts = readonly [seeders: number | null, leechers: number | null];

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
  const counts = new Map<number, PeerCounts>(torrents.map((torrent) => [torrent, [0, 0]]));
  for (const { id, seeders, leechers } of await rowsOf(transaction, sql, torrents))
    counts.set(Number(id), [Number(seeders), Number(leechers)]);
  return (torrent) => counts.get(torrent) ?? [null, null];
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
    sql: (values) =>
      `UPDATE ${table} t JOIN ${derivedTable(["id", "seeders", "leechers"], values)} d ON d.id = t.${id} ` +
      "SET t.seeders = d.seeders, t.leechers = d.leechers",
    values: (torrent) => [torrent, ...countsOf(torrent)],
    refused: () => undefined,
  });
}

/** Returns those of the ids that a table has. */
export async function existing(
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
