import { clientId } from "../../bittorrent/client-id.ts";
import type { Sums } from "../accounting/batch.ts";
import { type Bytes, divideBytes } from "../accounting/bytes.ts";

/** Percent: credits are bytes times percent until they are added. */
const percent = 100;

/** Returns credited bytes, rounded down to whole bytes once for each batch. */
export function creditsOf(sums: Sums): { uploaded: Bytes; downloaded: Bytes } {
  return {
    uploaded: divideBytes(sums.creditedUploaded, percent),
    downloaded: divideBytes(sums.creditedDownloaded, percent),
  };
}

/** Returns the sequence of a journal in the rows of a ledger: 0 without any row, undefined if the rows are of other journals. */
export function lastOf(
  rows: readonly Readonly<Record<string, unknown>>[],
  instance: string,
): number | undefined {
  const row = rows.find((one) => one.instance === instance);
  if (row !== undefined) return Number(row.seq);
  return rows.length === 0 ? 0 : undefined;
}

/** Returns the client of a peer id, in printable characters. */
export function clientOf(peerId: Uint8Array): string {
  return clientId(peerId).replace(/[^ -~]/g, "?");
}

/** Orders rows by user and torrent. */
export function byUserAndTorrent(
  a: { user: number; torrent: number },
  b: { user: number; torrent: number },
): number {
  return a.user - b.user || a.torrent - b.torrent;
}
