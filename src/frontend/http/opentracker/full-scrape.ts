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
 * Copies a page, sorted by infohash. The order of a walk follows from the secret hash of the store, which a reader could
 * learn from it.
 */
function collect({ torrents }: Pick<RecordPage, "torrents">): Torrents {
  const found: number[] = [];
  const counts: number[] = [];
  for (const { infoHash, seeders, leechers, snatches } of torrents) {
    for (let i = 0; i < infoHashLength; i++) found.push(infoHash[i]!);
    counts.push(seeders, leechers, snatches);
  }
  const bytes = Uint8Array.from(found);
  const count = counts.length / 3;
  const order = Uint32Array.from({ length: count }, (_, i) => i).sort((a, b) =>
    compare(bytes, a * infoHashLength, b * infoHashLength),
  );
  const infoHashes = new Uint8Array(bytes.length);
  order.forEach((from, i) => {
    copy(infoHashes, i * infoHashLength, bytes, from * infoHashLength);
  });
  const column = (index: number) => Int32Array.from(order, (from) => counts[3 * from + index]!);
  return { count, infoHashes, seeders: column(0), leechers: column(1), snatches: column(2) };
}

/** Compares two infohashes. */
function compare(bytes: Uint8Array, a: number, b: number): number {
  let i = 0;
  while (i < infoHashLength - 1 && bytes[a + i] === bytes[b + i]) i++;
  return bytes[a + i]! - bytes[b + i]!;
}

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

function copy(out: Uint8Array, at: number, bytes: Uint8Array, start: number): number {
  for (let i = 0; i < infoHashLength; i++) out[at + i] = bytes[start + i]!;
  return at + infoHashLength;
}
