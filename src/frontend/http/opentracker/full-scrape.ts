import { infoHashLength } from "../../../bittorrent/info-hash.ts";
import { type RecordPage, type Records, walk } from "../../../storage/records.ts";

/** A form in which all torrents are listed. */
export interface ScrapeFormat {
  readonly type: "text/plain" | "application/octet-stream";
  readonly header: string;
  readonly footer: string;
  /** Maximum length of a record in bytes. */
  readonly maxLength: number;
  /** Writes a record. @returns the offset after its last byte */
  write(out: Buffer, at: number, torrents: Torrents, index: number, minutes: number): number;
}

/** The torrents of a page, in the order of their infohashes. */
interface Torrents {
  readonly count: number;
  readonly infoHashes: Uint8Array;
  readonly seeders: Int32Array;
  readonly leechers: Int32Array;
  readonly snatches: Int32Array;
}

/** Maximum length of a count. */
const digits = 10;
const text = "text/plain";
const binary = "application/octet-stream";
const hex = Buffer.from("0123456789ABCDEF");
/** Bytes that stand for themselves in the format `url`. */
const isLiteral = new Uint8Array(256);
for (const character of "$-./=_~") isLiteral[character.charCodeAt(0)] = 1;
for (let i = 0; i < 256; i++) if (/[0-9A-Za-z]/.test(String.fromCharCode(i))) isLiteral[i] = 1;

/** Writes `HEX:seeders:leechers` and more counts. */
function lines(...counts: ("seeders" | "leechers" | "snatches" | "minutes")[]): ScrapeFormat {
  return {
    type: text,
    header: "",
    footer: "",
    maxLength: 2 * infoHashLength + counts.length * (digits + 1) + 1,
    write(out, at, torrents, index, minutes) {
      at = writeHex(out, at, torrents.infoHashes, index * infoHashLength);
      return writeCounts(
        out,
        at,
        counts.map((count) => (count === "minutes" ? minutes : torrents[count][index]!)),
      );
    },
  };
}

const bencoded: ScrapeFormat = {
  type: binary,
  header: "d5:filesd",
  footer: "ee",
  maxLength: 3 + infoHashLength + 45 + 3 * digits,
  write(out, at, { infoHashes, seeders, leechers, snatches }, index) {
    at += out.write("20:", at, "latin1");
    at = copy(out, at, infoHashes, index * infoHashLength);
    const counts = `d8:completei${seeders[index]}e10:downloadedi${snatches[index]}e10:incompletei${leechers[index]}ee`;
    return at + out.write(counts, at, "latin1");
  },
};

const packed: ScrapeFormat = {
  type: binary,
  header: "",
  footer: "",
  maxLength: infoHashLength + 8,
  write(out, at, { infoHashes, seeders, leechers }, index) {
    at = copy(out, at, infoHashes, index * infoHashLength);
    at = out.writeUInt32BE(seeders[index]!, at);
    return out.writeUInt32BE(leechers[index]!, at);
  },
};

const percent: ScrapeFormat = {
  type: text,
  header: "",
  footer: "",
  maxLength: 3 * infoHashLength + 2 * (digits + 1) + 1,
  write(out, at, { infoHashes, seeders, leechers }, index) {
    const start = index * infoHashLength;
    for (let i = start; i < start + infoHashLength; i++) {
      const byte = infoHashes[i]!;
      if (isLiteral[byte] === 1) out[at++] = byte;
      else at += out.write(`%${byte < 16 ? "0" : ""}${byte.toString(16)}`, at, "latin1");
    }
    return writeCounts(out, at, [seeders[index]!, leechers[index]!]);
  },
};

/** opentracker's formats of `mode=tpbs`, by their names. */
export const formats: ReadonlyMap<string, ScrapeFormat> = new Map([
  ["ben", bencoded],
  ["bin", packed],
  ["txt", lines("seeders", "leechers")],
  ["txtp", lines("seeders", "leechers", "snatches")],
  ["url", percent],
]);

/** opentracker's `mode=statedump`: the minute (since 1970) of the torrent, and its snatches. */
export const stateDump: ScrapeFormat = lines("minutes", "snatches");

/**
 * Lists all torrents of a store, a page of the walk at a time. Reading a chunk makes one step of the walk.
 * @param minutes  since 1970
 */
export async function* listTorrents(
  records: Pick<Records, "torrents">,
  { header, footer, maxLength, write }: ScrapeFormat,
  minutes: number,
): AsyncGenerator<Buffer, void, void> {
  if (header !== "") yield Buffer.from(header);
  for await (const page of walk((cursor) => records.torrents(cursor))) {
    const torrents = collect(page);
    if (torrents.count === 0) continue;
    const out = Buffer.allocUnsafeSlow(torrents.count * maxLength);
    let end = 0;
    for (let i = 0; i < torrents.count; i++) end = write(out, end, torrents, i, minutes);
    yield out.subarray(0, end);
  }
  if (footer !== "") yield Buffer.from(footer);
}

/**
 * Copies a page, sorted by the first bytes of the infohashes. The order of a walk follows from the secret hash of the store,
 * which a reader could learn from it.
 */
function collect({ torrents }: Pick<RecordPage, "torrents">): Torrents {
  const infoHashes: number[] = [];
  const counts: number[] = [];
  for (const { infoHash, seeders, leechers, snatches } of torrents) {
    for (let i = 0; i < infoHashLength; i++) infoHashes.push(infoHash[i]!);
    counts.push(seeders, leechers, snatches);
  }
  const count = counts.length / 3;
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const at = i * infoHashLength;
    const first = infoHashes[at]! * 2 ** 24 + infoHashes[at + 1]! * 2 ** 16 + infoHashes[at + 2]! * 2 ** 8;
    keys[i] = (first + infoHashes[at + 3]!) * maxPage + i;
  }
  keys.sort();
  const sorted = {
    count,
    infoHashes: new Uint8Array(count * infoHashLength),
    seeders: new Int32Array(count),
    leechers: new Int32Array(count),
    snatches: new Int32Array(count),
  };
  for (let i = 0; i < count; i++) {
    const from = keys[i]! % maxPage;
    for (let byte = 0; byte < infoHashLength; byte++)
      sorted.infoHashes[i * infoHashLength + byte] = infoHashes[from * infoHashLength + byte]!;
    sorted.seeders[i] = counts[3 * from]!;
    sorted.leechers[i] = counts[3 * from + 1]!;
    sorted.snatches[i] = counts[3 * from + 2]!;
  }
  return sorted;
}

/** More torrents than a page has: the 32 bits of a key and the index fit into a number. */
const maxPage = 2 ** 20;

function writeHex(out: Buffer, at: number, bytes: Uint8Array, start: number): number {
  for (let i = start; i < start + infoHashLength; i++) {
    out[at++] = hex[bytes[i]! >> 4]!;
    out[at++] = hex[bytes[i]! & 15]!;
  }
  return at;
}

function writeCounts(out: Buffer, at: number, counts: readonly number[]): number {
  return at + out.write(`:${counts.join(":")}\n`, at, "latin1");
}

function copy(out: Buffer, at: number, bytes: Uint8Array, start: number): number {
  for (let i = 0; i < infoHashLength; i++) out[at + i] = bytes[start + i]!;
  return at + infoHashLength;
}
