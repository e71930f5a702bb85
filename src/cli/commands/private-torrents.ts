import { existsSync, readFileSync } from "node:fs";
import { parseAnyInfoHash, toHex } from "../../bittorrent/info-hash.ts";
import { cannotRead, explainSystemError } from "../../lib/file-errors.ts";
import type { SiteRecords } from "../../private/site-records.ts";
import { SiteError } from "../../private/sites/sql/administration.ts";
import { UsageError } from "../client-command.ts";
import { complain } from "../terminal.ts";
import { parseTorrentFile, type TorrentFile } from "../torrent-file.ts";

/** A torrent that an argument names. */
interface Subject {
  v1?: Uint8Array;
  v2?: Uint8Array;
  name?: string;
  file?: TorrentFile;
}

/** Reads an argument that is an infohash or a metainfo file. */
export function readSubject(subject: string): Subject {
  const infoHash = parseAnyInfoHash(subject);
  if (infoHash !== undefined) {
    const long = /^(?:1220)?([\da-f]{64})$/i.exec(subject)?.[1];
    return long === undefined ? { v1: infoHash } : { v2: Buffer.from(long, "hex") };
  }
  if (!existsSync(subject))
    throw new UsageError(
      `${subject}: neither an infohash (40 or 64 hexadecimal digits) nor a file${magnetRemedy(subject)}`,
    );
  const file = readTorrent(subject);
  const { infoHashV1: v1, infoHashV2: v2, name } = file;
  return { ...(v1 && { v1 }), ...(v2 && { v2 }), ...(name !== undefined && { name }), file };
}

function magnetRemedy(subject: string): string {
  return subject.startsWith("magnet:") ? "; of a magnet link, give the digits after btih:" : "";
}

/** Reads a metainfo file. @throws SiteError that names the file */
export function readTorrent(file: string): TorrentFile {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new SiteError(cannotRead(file, explainSystemError(error)), { cause: error });
  }
  try {
    return parseTorrentFile(bytes);
  } catch (error) {
    throw new SiteError(`${file}: not a torrent: ${(error as Error).message}`, { cause: error });
  }
}

/** Warns about a public torrent: its clients also find peers elsewhere, whose traffic the tracker does not see. */
export function warnIfPublic(file: string, { isPrivate }: TorrentFile): void {
  if (!isPrivate)
    complain(
      `chihaya private: ${file} is not a private torrent (BEP 27), so clients also find peers by DHT and peer exchange\n`,
    );
}

/** Warns about a torrent that the site does not have: the tracker refuses its announces. */
export async function warnIfUnknown(
  file: string,
  { infoHashV1, infoHashV2 }: TorrentFile,
  records: Pick<SiteRecords, "get">,
): Promise<void> {
  for (const infoHash of [infoHashV1, infoHashV2])
    if (
      infoHash !== undefined &&
      (await records.get("torrents", toHex(infoHash, 0, infoHash.length))) !== undefined
    )
      return;
  complain(
    `chihaya private: ${file} is not a torrent of the site yet; "chihaya private add-torrent" adds it\n`,
  );
}

/** Returns the infohash of a metainfo file, or the one given, in hexadecimal. */
export function infoHashOf(subject: string): string {
  const { v1, v2 } = readSubject(subject);
  return toHex(v1 ?? v2!);
}
