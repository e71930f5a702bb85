import { createHash } from "node:crypto";
import { infoHashLength } from "../bittorrent/info-hash.ts";
import { decodeBencode } from "../protocol/bencode/decode.ts";
import { encodeBencode } from "../protocol/bencode/encode.ts";

/** A metainfo file (BEP 3, BEP 52), whose values are kept byte for byte. */
export interface TorrentFile {
  /** 20 bytes: the SHA-1 of `info`, or, for a torrent of version 2 only, the first 20 bytes of the SHA-256. */
  readonly infoHash: Uint8Array;
  /** 20 bytes: the SHA-1 of `info`; undefined for a torrent of version 2 only. */
  readonly infoHashV1: Uint8Array | undefined;
  /** 32 bytes: the SHA-256 of `info`; undefined for a torrent of version 1 only. */
  readonly infoHashV2: Uint8Array | undefined;
  /** The name that the torrent suggests; undefined if it is not valid UTF-8. */
  readonly name: string | undefined;
  /** Whether clients find peers by the tracker alone (BEP 27). */
  readonly isPrivate: boolean;
  /** The encoded value of each key. */
  readonly entries: ReadonlyMap<string, Buffer>;
}

/** Maximum length of a file in bytes. */
const maxLength = 256 * 1024 * 1024;

/** Parses a metainfo file. @throws Error if the file is not a metainfo file */
export function parseTorrentFile(file: Buffer): TorrentFile {
  const top = decodeBencode(file, { maxLength, maxDepth: 64 });
  const info = top instanceof Map ? top.get("info") : undefined;
  if (!(info instanceof Map)) throw new Error("the info dictionary is missing");
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
  const digest = (algorithm: string) => createHash(algorithm).update(entries.get("info")!).digest();
  const infoHashV1 = info.has("pieces") ? digest("sha1") : undefined;
  const infoHashV2 =
    Number(info.get("meta version") ?? 1) === 2 || !infoHashV1 ? digest("sha256") : undefined;
  const infoHash = infoHashV1 ?? infoHashV2!.subarray(0, infoHashLength);
  const isPrivate = Number(info.get("private") ?? 0) === 1;
  return { infoHash, infoHashV1, infoHashV2, name: readName(info.get("name")), isPrivate, entries };
}

/** Encodes the file with `announce` as its only tracker. */
export function withAnnounce(torrent: TorrentFile, announce: string): Buffer {
  const entries = new Map(torrent.entries);
  entries.delete("announce-list");
  entries.set("announce", Buffer.from(encodeBencode(announce)));
  const sorted = [...entries].map(([key, value]) => ({ key: Buffer.from(key, "latin1"), value }));
  sorted.sort((a, b) => a.key.compare(b.key));
  const parts = sorted.flatMap(({ key, value }) => [Buffer.from(encodeBencode(key)), value]);
  return Buffer.concat([Buffer.from("d"), ...parts, Buffer.from("e")]);
}

function readName(name: unknown): string | undefined {
  if (!(name instanceof Uint8Array)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(name);
  } catch {
    return undefined;
  }
}

const letter = { d: 0x64, e: 0x65, i: 0x69, l: 0x6c, colon: 0x3a } as const;

/** Returns the end of the value at `at`; the file must be valid bencode. */
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
