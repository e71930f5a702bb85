import { ascii } from "./byte-writer.ts";

const percent = 0x25;
const ampersand = 0x26;
const plus = 0x2b;
const equals = 0x3d;

/** The result of {@link QueryReader.next}: a parameter that a tracker reads, another one, or the end. */
export const Param = {
  end: 0,
  badEscape: 1,
  unknown: 2,
  infoHash: 3,
  peerId: 4,
  port: 5,
  uploaded: 6,
  downloaded: 7,
  left: 8,
  event: 9,
  numWant: 10,
  compact: 11,
  noPeerId: 12,
  cryptoPort: 13,
  ip: 14,
  ipv4: 15,
  ipv6: 16,
} as const;
export type Param = (typeof Param)[keyof typeof Param];

/** Parameters that a query may have, beside the infohashes of a scrape; real clients send up to about 30. */
export const maxParams = 64;

/** The value of a hexadecimal digit, or -1. */
const hexDigits = new Int8Array(256).fill(-1);
for (let i = 0; i < 16; i++) {
  const digit = i.toString(16);
  hexDigits[digit.charCodeAt(0)] = hexDigits[digit.toUpperCase().charCodeAt(0)] = i;
}

/**
 * Percent-decodes `bytes[start..end)` into the beginning of `out`; `+` becomes `space`. The caller has checked the
 * escapes. Bytes beyond the room are counted but not written.
 * @returns the decoded length
 */
function decodeQuery(bytes: Uint8Array, start: number, end: number, out: Uint8Array, space: number): number {
  let length = 0;
  for (let i = start; i < end; i++) {
    let byte = bytes[i]!;
    if (byte === percent) {
      byte = (hexDigits[bytes[i + 1]!]! << 4) | hexDigits[bytes[i + 2]!]!;
      i += 2;
    } else if (byte === plus) byte = space;
    if (length < out.length) out[length] = byte;
    length++;
  }
  return length;
}

const decoded = new Uint8Array(128);

/**
 * Walks the parameters of a raw query in place. `&` separates parameters (`;` does not); empty parameters are skipped;
 * a parameter without `=` has an empty value. Names are decoded and compared in any case, but `info_hash` exactly (as
 * in Chihaya). The reader checks every escape, also in unknown parameters. Reused; never allocates.
 */
export class QueryReader {
  #bytes: Uint8Array = decoded;
  #at = 0;
  #end = 0;
  #escaped = false;
  /** The raw value of the current parameter is `[valueStart, valueEnd)` of the query's bytes. */
  valueStart = 0;
  valueEnd = 0;
  /** {@link readText} leaves the decoded value in `text[textStart..textEnd)`. */
  text: Uint8Array = decoded;
  textStart = 0;
  textEnd = 0;

  /** Starts at the query `bytes[start..end)`. */
  open(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Moves to the next parameter. @returns its kind */
  next(): Param {
    const bytes = this.#bytes;
    const end = this.#end;
    let i = this.#at;
    while (i < end && bytes[i] === ampersand) i++;
    if (i >= end) return Param.end;

    const name = i;
    let escaped = false;
    for (; i < end; i++) {
      const byte = bytes[i]!;
      if (byte === equals || byte === ampersand) break;
      if (byte === percent) {
        if (!isEscape(bytes, i, end)) return Param.badEscape;
        escaped = true;
      }
    }
    const nameEnd = i;

    this.#escaped = false;
    if (i < end && bytes[i] === equals) i++;
    this.valueStart = i;
    for (; i < end; i++) {
      const byte = bytes[i]!;
      if (byte > plus) continue;
      if (byte === ampersand) break;
      if (byte === percent) {
        if (!isEscape(bytes, i, end)) return Param.badEscape;
        this.#escaped = true;
      } else if (byte === plus) this.#escaped = true;
    }
    this.valueEnd = i;
    this.#at = i;

    if (!escaped) return identifyParam(bytes, name, nameEnd);
    return identifyParam(decoded, 0, decodeQuery(bytes, name, nameEnd, decoded, 0x20));
  }

  /**
   * Decodes the current value as text (`+` is a space) into `text[textStart..textEnd)`, valid until the next call. An
   * escaped value longer than any sensible value comes out empty.
   */
  readText(): void {
    if (!this.#escaped) {
      this.text = this.#bytes;
      this.textStart = this.valueStart;
      this.textEnd = this.valueEnd;
      return;
    }
    const length = decodeQuery(this.#bytes, this.valueStart, this.valueEnd, decoded, 0x20);
    this.text = decoded;
    this.textStart = 0;
    this.textEnd = length > decoded.length ? 0 : length;
  }

  /**
   * Decodes the current value as binary into `out`. `+` stays `+`, because clients escape infohashes and peer ids by
   * hand.
   * @returns the length of the value, which may exceed the room
   */
  readBinary(out: Uint8Array): number {
    return decodeQuery(this.#bytes, this.valueStart, this.valueEnd, out, plus);
  }
}

function isEscape(bytes: Uint8Array, at: number, end: number): boolean {
  return at + 2 < end && hexDigits[bytes[at + 1]!]! >= 0 && hexDigits[bytes[at + 2]!]! >= 0;
}

interface Name {
  readonly text: Uint8Array;
  readonly param: Param;
  /** Another name of the same length and first letter. */
  readonly next: Name | undefined;
}

/** Names by length and first letter; a chain of comparisons takes 1.3 times as long (bench/micro/http-codec.ts). */
const names: (Name | undefined)[] = new Array(11 * 32).fill(undefined);
for (const [name, param] of [
  ["info_hash", Param.infoHash],
  ["peer_id", Param.peerId],
  ["port", Param.port],
  ["uploaded", Param.uploaded],
  ["downloaded", Param.downloaded],
  ["left", Param.left],
  ["event", Param.event],
  ["numwant", Param.numWant],
  ["compact", Param.compact],
  ["no_peer_id", Param.noPeerId],
  ["cryptoport", Param.cryptoPort],
  ["ip", Param.ip],
  ["ipv4", Param.ipv4],
  ["ipv6", Param.ipv6],
] as const) {
  const text = ascii(name);
  const slot = slotOf(text, 0, text.length);
  names[slot] = { text, param, next: names[slot] };
}

function slotOf(bytes: Uint8Array, at: number, length: number): number {
  return length * 32 + (bytes[at]! & 31);
}

function identifyParam(bytes: Uint8Array, at: number, end: number): Param {
  const length = end - at;
  if (length > 10) return Param.unknown;
  for (let name = names[slotOf(bytes, at, length)]; name !== undefined; name = name.next) {
    const { text, param } = name;
    let i = 0;
    for (; i < length; i++) {
      const byte = bytes[at + i]!;
      if (byte === text[i]) continue;
      if (byte < 0x41 || byte > 0x5a || (byte | 0x20) !== text[i] || param === Param.infoHash) break;
    }
    if (i === length) return param;
  }
  return Param.unknown;
}
