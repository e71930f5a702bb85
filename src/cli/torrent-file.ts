import { createHash } from "node:crypto";
import { infoHashLength } from "../bittorrent/info-hash.ts";
import { decodeBencode } from "../protocol/bencode/decode.ts";
import { encodeBencode } from "../protocol/bencode/encode.ts";

/** A metainfo file (BEP 3, BEP 52) whose values keep their very bytes. */
export interface TorrentFile {
  /** 20 bytes: SHA-1 of `info`, or of a pure version 2 torrent the first of its SHA-256. */
  readonly infoHash: Uint8Array;
  /** The encoded value of each key. */
  readonly entries: ReadonlyMap<string, Buffer>;
}

/** Longest file that is read. */
const maxLength = 256 * 1024 * 1024;

/** Parses a metainfo file. @throws Error where it is none */
export function parseTorrentFile(file: Buffer): TorrentFile {
  const top = decodeBencode(file, { maxLength, maxDepth: 64 });
  const info = top instanceof Map ? top.get("info") : undefined;
  if (!(info instanceof Map)) throw new Error("there is no info dictionary");
  const entries = new Map<string, Buffer>();
  for (let at = 1; file[at] !== letter.e; ) {
    const keyEnd = endOfValue(file, at);
    const valueEnd = endOfValue(file, keyEnd);
    entries.set(
      file.toString("latin1", file.indexOf(letter.colon, at) + 1, keyEnd),
      file.subarray(keyEnd, valueEnd),
    );
    at = valueEnd;
  }
  const hash = createHash(info.has("pieces") ? "sha1" : "sha256");
  const infoHash = hash.update(entries.get("info")!).digest().subarray(0, infoHashLength);
  return { infoHash, entries };
}

/** Writes the file anew with `announce` as its only tracker. */
export function withAnnounce(torrent: TorrentFile, announce: string): Buffer {
  const entries = new Map(torrent.entries);
  entries.delete("announce-list");
  entries.set("announce", Buffer.from(encodeBencode(announce)));
  const sorted = [...entries].map(([key, value]) => ({ key: Buffer.from(key, "latin1"), value }));
  sorted.sort((a, b) => a.key.compare(b.key));
  const parts = sorted.flatMap(({ key, value }) => [Buffer.from(encodeBencode(key)), value]);
  return Buffer.concat([Buffer.from("d"), ...parts, Buffer.from("e")]);
}

const letter = { d: 0x64, e: 0x65, i: 0x69, l: 0x6c, colon: 0x3a } as const;

/** Where the value at `at` ends; the file is known to be bencode. */
function endOfValue(file: Buffer, at: number): number {
  const first = file[at];
  if (first === letter.i) return file.indexOf(letter.e, at) + 1;
  if (first === letter.l || first === letter.d) {
    at++;
    while (file[at] !== letter.e) at = endOfValue(file, at);
    return at + 1;
  }
  const colon = file.indexOf(letter.colon, at);
  return colon + 1 + Number(file.toString("latin1", at, colon));
}
