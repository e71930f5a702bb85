import { startsWithName } from "./ascii.ts";

const percent = 0x25;
const ampersand = 0x26;
const plus = 0x2b;
const equals = 0x3d;

/** What {@link QueryReader.next} comes upon: one of the parameters that a tracker reads, or the end. */
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

/** Parameters in a query, infohashes aside; the longest captured announce has 16. */
export const maxParams = 64;

/** The value of a hexadecimal digit, or -1. */
const hexDigits = new Int8Array(256).fill(-1);
for (let i = 0; i < 16; i++) {
  const digit = i.toString(16);
  hexDigits[digit.charCodeAt(0)] = hexDigits[digit.toUpperCase().charCodeAt(0)] = i;
}

/**
 * Percent-decodes `bytes[start..end)`, whose escapes are known to be good, into the beginning of `out`; `+` becomes
 * `space`. What does not fit is counted but not written.
 * @returns the decoded length
 */
export function decodeQuery(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  space: number,
): number {
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

/** As {@link decodeQuery}, where `+` stands for itself: for infohashes and peer ids, which clients escape by hand. */
export function decodeBinary(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  return decodeQuery(bytes, start, end, out, plus);
}

const decoded = new Uint8Array(128);

/**
 * Walks the parameters of a raw query in place: `&` separates (`;` does not), empty parameters are skipped, a
 * parameter without `=` has an empty value. Names are decoded and compared in any case, `info_hash` exactly (as
 * Chihaya does). Every escape is checked, also those of unknown parameters. Reused; never allocates.
 */
export class QueryReader {
  #bytes: Uint8Array = decoded;
  #at = 0;
  #end = 0;
  #escaped = false;
  /** The raw value of the current parameter is `[valueStart, valueEnd)` of the query's bytes. */
  valueStart = 0;
  valueEnd = 0;
  /** Where {@link readText} has left the decoded value: `text[textStart..textEnd)`. */
  text: Uint8Array = decoded;
  textStart = 0;
  textEnd = 0;

  /** Starts at the query `bytes[start..end)`. */
  open(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Goes to the next parameter. @returns what it is */
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
   * escaped value that is longer than any sensible one comes out empty.
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

  /** Decodes the current value as binary into `out`. @returns its length, which may be more than fits */
  readBinary(out: Uint8Array): number {
    return decodeBinary(this.#bytes, this.valueStart, this.valueEnd, out);
  }
}

function isEscape(bytes: Uint8Array, at: number, end: number): boolean {
  return at + 2 < end && hexDigits[bytes[at + 1]!]! >= 0 && hexDigits[bytes[at + 2]!]! >= 0;
}

function identifyParam(bytes: Uint8Array, at: number, end: number): Param {
  switch (end - at) {
    case 2:
      if (startsWithName(bytes, at, "ip")) return Param.ip;
      break;
    case 4:
      if (startsWithName(bytes, at, "port")) return Param.port;
      if (startsWithName(bytes, at, "left")) return Param.left;
      if (startsWithName(bytes, at, "ipv4")) return Param.ipv4;
      if (startsWithName(bytes, at, "ipv6")) return Param.ipv6;
      break;
    case 5:
      if (startsWithName(bytes, at, "event")) return Param.event;
      break;
    case 7:
      if (startsWithName(bytes, at, "peer_id")) return Param.peerId;
      if (startsWithName(bytes, at, "numwant")) return Param.numWant;
      if (startsWithName(bytes, at, "compact")) return Param.compact;
      break;
    case 8:
      if (startsWithName(bytes, at, "uploaded")) return Param.uploaded;
      break;
    case 9:
      if (startsWithName(bytes, at, "info_hash") && isLowerCase(bytes, at, end)) return Param.infoHash;
      break;
    case 10:
      if (startsWithName(bytes, at, "downloaded")) return Param.downloaded;
      if (startsWithName(bytes, at, "no_peer_id")) return Param.noPeerId;
      if (startsWithName(bytes, at, "cryptoport")) return Param.cryptoPort;
      break;
  }
  return Param.unknown;
}

function isLowerCase(bytes: Uint8Array, at: number, end: number): boolean {
  for (let i = at; i < end; i++) if (bytes[i]! < 0x5f) return false;
  return true;
}
