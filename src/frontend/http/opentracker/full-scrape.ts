import { setImmediate } from "node:timers/promises";
import { infoHashLength } from "../../../bittorrent/info-hash.ts";
import { ascii, put, putNumber } from "../../../protocol/http/byte-writer.ts";
import { type RecordPage, type Records, walk } from "../../../storage/records.ts";

/** A form in which all torrents are listed. */
export interface ScrapeFormat {
  readonly type: "text/plain" | "application/octet-stream";
  readonly header: string;
  readonly footer: string;
  /** Maximum length of a record in bytes. */
  readonly maxLength: number;
  /** Writes a record. @returns the offset after its last byte */
  write(out: Uint8Array, at: number, torrents: Torrents, index: number, minutes: number): number;
}

/** The torrents of a page, in the order of their infohashes. */
interface Torrents {
  readonly count: number;
  readonly infoHashes: Uint8Array;
  /** Seeders, leechers and snatches of each torrent. */
  readonly counts: Int32Array;
}

/** Maximum length of a count. */
const digits = 10;
const colon = 0x3a;
const newline = 0x0a;
const text = "text/plain";
const binary = "application/octet-stream";
const hexDigits = ascii("0123456789ABCDEF");
/** What the format `url` writes for each byte. */
const percentEncoded: readonly Uint8Array[] = Array.from({ length: 256 }, (_, byte) =>
  ascii(
    /[0-9A-Za-z$./=_~-]/.test(String.fromCharCode(byte))
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).padStart(2, "0")}`,
  ),
);
const key = {
  infoHash: ascii("20:"),
  complete: ascii("d8:completei"),
  downloaded: ascii("e10:downloadedi"),
  incomplete: ascii("e10:incompletei"),
  end: ascii("ee"),
} as const;

function putCount(out: Uint8Array, at: number, count: number): number {
  out[at] = colon;
  return putNumber(out, at + 1, count);
}

function putEnd(out: Uint8Array, at: number): number {
  out[at] = newline;
  return at + 1;
}

/** Lines of `HEX:seeders:leechers`, or with the snatches, or `HEX:minute:snatches`. */
function hexLines(kind: "peers" | "all" | "dump"): ScrapeFormat {
  return {
    type: text,
    header: "",
    footer: "",
    maxLength: 2 * infoHashLength + 3 * (digits + 1) + 1,
    write(out, at, { infoHashes, counts }, index, minutes) {
      const start = index * infoHashLength;
      for (let i = start; i < start + infoHashLength; i++) {
        out[at++] = hexDigits[infoHashes[i]! >> 4]!;
        out[at++] = hexDigits[infoHashes[i]! & 15]!;
      }
      const isDump = kind === "dump";
      at = putCount(out, at, isDump ? minutes : counts[3 * index]!);
      if (!isDump) at = putCount(out, at, counts[3 * index + 1]!);
      if (kind !== "peers") at = putCount(out, at, counts[3 * index + 2]!);
      return putEnd(out, at);
    },
  };
}

const bencoded: ScrapeFormat = {
  type: binary,
  header: "d5:filesd",
  footer: "ee",
  maxLength: infoHashLength + 3 * digits + Object.values(key).reduce((sum, { length }) => sum + length, 0),
  write(out, at, { infoHashes, counts }, index) {
    at = put(out, at, key.infoHash);
    at = copy(out, at, infoHashes, index * infoHashLength);
    at = putNumber(out, put(out, at, key.complete), counts[3 * index]!);
    at = putNumber(out, put(out, at, key.downloaded), counts[3 * index + 2]!);
    at = putNumber(out, put(out, at, key.incomplete), counts[3 * index + 1]!);
    return put(out, at, key.end);
  },
};

const packed: ScrapeFormat = {
  type: binary,
  header: "",
  footer: "",
  maxLength: infoHashLength + 8,
  write(out, at, { infoHashes, counts }, index) {
    at = copy(out, at, infoHashes, index * infoHashLength);
    for (let i = 3 * index; i < 3 * index + 2; i++) {
      for (let shift = 24; shift >= 0; shift -= 8) out[at++] = counts[i]! >>> shift;
    }
    return at;
  },
};

const percent: ScrapeFormat = {
  type: text,
  header: "",
  footer: "",
  maxLength: 3 * infoHashLength + 2 * (digits + 1) + 1,
  write(out, at, { infoHashes, counts }, index) {
    const start = index * infoHashLength;
    for (let i = start; i < start + infoHashLength; i++) at = put(out, at, percentEncoded[infoHashes[i]!]!);
    at = putCount(out, at, counts[3 * index]!);
    return putEnd(out, putCount(out, at, counts[3 * index + 1]!));
  },
};

/** opentracker's formats of `mode=tpbs`, by their names. */
export const formats: ReadonlyMap<string, ScrapeFormat> = new Map([
  ["ben", bencoded],
  ["bin", packed],
  ["txt", hexLines("peers")],
  ["txtp", hexLines("all")],
  ["url", percent],
]);

/** opentracker's `mode=statedump`: the minute (since 1970) of the torrent, and its snatches. */
export const stateDump: ScrapeFormat = hexLines("dump");

/**
 * Lists all torrents of a store, a page of the walk at a time. Reading a chunk makes one step of the walk.
 * @param minutes  since 1970
 */
export async function* listTorrents(
  records: Pick<Records, "torrents">,
  { header, footer, maxLength, write }: ScrapeFormat,
  minutes: number,
): AsyncGenerator<Uint8Array, void, void> {
  if (header !== "") yield ascii(header);
  for await (const page of walk((cursor) => records.torrents(cursor))) {
    const torrents = collect(page);
    if (torrents.count === 0) continue;
    await setImmediate(); // separates the step of the walk from the writing
    const out = new Uint8Array(torrents.count * maxLength);
    let end = 0;
    for (let i = 0; i < torrents.count; i++) end = write(out, end, torrents, i, minutes);
    yield out.subarray(0, end);
  }
  if (footer !== "") yield ascii(footer);
}

/** Torrents that a page has at first room for. */
const usualPage = 2048;

/**
 * Copies a page, sorted by infohash. The order of a walk follows from the secret hash of the store, which a reader could
 * learn from it.
 */
function collect({ torrents }: Pick<RecordPage, "torrents">): Torrents {
  let found = new Uint8Array(usualPage * infoHashLength);
  let given = new Int32Array(usualPage * 3);
  let count = 0;
  for (const { infoHash, seeders, leechers, snatches } of torrents) {
    if (given.length === 3 * count) {
      found = grown(found, new Uint8Array(2 * found.length));
      given = grown(given, new Int32Array(2 * given.length));
    }
    copy(found, count * infoHashLength, infoHash, 0);
    given[3 * count] = seeders;
    given[3 * count + 1] = leechers;
    given[3 * count + 2] = snatches;
    count++;
  }
  const order = sort(found, count);
  const infoHashes = new Uint8Array(count * infoHashLength);
  const counts = new Int32Array(count * 3);
  for (let i = 0; i < count; i++) {
    const from = order[i]!;
    copy(infoHashes, i * infoHashLength, found, from * infoHashLength);
    for (let column = 0; column < 3; column++) counts[3 * i + column] = given[3 * from + column]!;
  }
  return { count, infoHashes, counts };
}

/** Returns the indexes of infohashes in their order: by the first four bytes, and where these are equal, by all bytes. */
function sort(infoHashes: Uint8Array, count: number): Uint32Array {
  const view = new DataView(infoHashes.buffer);
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i++) keys[i] = view.getUint32(i * infoHashLength) * indexRange + i;
  keys.sort();
  const order = Uint32Array.from(keys, (key) => key % indexRange);
  const first = (i: number) => (i < count ? Math.floor(keys[i]! / indexRange) : -1);
  for (let i = 0, end: number; i < count; i = end) {
    for (end = i + 1; first(end) === first(i); ) end++;
    if (end - i > 1)
      order
        .subarray(i, end)
        .sort((one, other) => compare(infoHashes, one * infoHashLength, other * infoHashLength));
  }
  return order;
}

/** More torrents than a page has. 32 bits of an infohash and an index fit into a number. */
const indexRange = 2 ** 20;

/** Compares two infohashes. */
function compare(bytes: Uint8Array, one: number, other: number): number {
  let i = 0;
  while (i < infoHashLength - 1 && bytes[one + i] === bytes[other + i]) i++;
  return bytes[one + i]! - bytes[other + i]!;
}

function grown<Words extends Uint8Array | Int32Array>(from: Words, to: Words): Words {
  to.set(from);
  return to;
}

function copy(out: Uint8Array, at: number, bytes: Uint8Array, start: number): number {
  for (let i = 0; i < infoHashLength; i++) out[at + i] = bytes[start + i]!;
  return at + infoHashLength;
}
