import { hashKeys, hashWords } from "../lib/keyed-hash.ts";

/** An address family by its IP version. IPv4-mapped IPv6 addresses count as 4 everywhere. */
export type Family = 4 | 6;

/** The other family of each. */
export const otherFamily = { 4: 6, 6: 4 } as const;
/** Bytes of an address. */
export const addressLength = { 4: 4, 6: 16 } as const;

/** The number of key words that {@link Address.hashNetwork} reads. */
export const networkKeys: number = hashKeys(2);

/**
 * An IP address as packed bytes, made to be reused: it is written in place for each request.
 *
 * Shape: `bytes` holds 16 bytes in network order; IPv4 uses the first four and leaves the rest zero.
 */
export class Address {
  family: Family = 4;
  readonly bytes: Uint8Array = new Uint8Array(16);
  /** The same bytes as four 32-bit words in machine order, for stores that compare words. */
  readonly words: Int32Array = new Int32Array(this.bytes.buffer);

  /** Copies the 4 or 16 bytes of `family` at `at`. An IPv4-mapped address (::ffff:a.b.c.d) becomes IPv4. */
  set(family: Family, from: Uint8Array, at: number): void {
    const { bytes, words } = this;
    if (family === 6 && isMapped(from, at)) {
      family = 4;
      at += 12;
    }
    this.family = family;
    if (family === 4) {
      words[1] = words[2] = words[3] = 0;
      bytes[0] = from[at]!;
      bytes[1] = from[at + 1]!;
      bytes[2] = from[at + 2]!;
      bytes[3] = from[at + 3]!;
    } else {
      for (let i = 0; i < 16; i++) bytes[i] = from[at + i]!;
    }
  }

  copyFrom(other: Address): void {
    this.family = other.family;
    this.words[0] = other.words[0]!;
    this.words[1] = other.words[1]!;
    this.words[2] = other.words[2]!;
    this.words[3] = other.words[3]!;
  }

  equals(other: Address): boolean {
    const a = this.words;
    const b = other.words;
    return this.family === other.family && a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
  }

  /**
   * Returns whether a peer with this address can be reached at all. False for the unspecified address (`0.0.0.0/8`,
   * `::`), multicast (`224.0.0.0/4`, `ff00::/8`) and broadcast. True for private and loopback addresses, and for
   * `240.0.0.0/4`, which some fleets announce.
   */
  isUsable(): boolean {
    const { bytes, words } = this;
    if (this.family === 4) return bytes[0] !== 0 && (bytes[0]! & 0xf0) !== 224 && words[0] !== -1;
    if (bytes[0] === 0xff) return false;
    return words[0] !== 0 || words[1] !== 0 || words[2] !== 0 || words[3] !== 0;
  }

  /**
   * Hashes the part of the address that one client controls: an IPv4 address, or the first 64 bits of an IPv6 address.
   * @param keys  {@link networkKeys} random, secret words from `at`; see {@link hashWords}
   * @returns 32 bits, signed
   */
  hashNetwork(keys: Int32Array, at = 0): number {
    return hashWords(this.words, 0, 2, this.family, keys, at);
  }

  /** Formats the address as text: dotted quad, or IPv6 in the canonical form of RFC 5952. */
  toString(): string {
    return this.family === 4 ? formatIPv4(this.bytes, 0) : formatIPv6(this.bytes, 0);
  }

  /** Parses an IP literal; an IPv4-mapped address becomes IPv4. @throws RangeError if `text` is not an IP address */
  static parse(text: string): Address {
    const address = new Address();
    if (!parseAddressText(text, address)) throw new RangeError(`not an IP address: ${JSON.stringify(text)}`);
    return address;
  }
}

function isMapped(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false;
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
}

/** Formats the four bytes at `at` as a dotted quad. */
export function formatIPv4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/** Formats the sixteen bytes at `at` as RFC 5952 writes them: lower case, the longest run of zeros as `::`. */
export function formatIPv6(bytes: Uint8Array, at: number): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[at + i]! << 8) | bytes[at + i + 1]!);
  let best = -1;
  let bestLength = 1; // a single zero group is not shortened
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
    if (length > 0) i += length;
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (best < 0) return hex(groups);
  return `${hex(groups.slice(0, best))}::${hex(groups.slice(best + bestLength))}`;
}

const scratch = new Uint8Array(64);

/**
 * Parses an IP literal into `out`; see {@link parseAddress}.
 * @returns whether `text` is an IP literal
 */
export function parseAddressText(text: string, out: Address): boolean {
  if (text.length > scratch.length) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return false;
    scratch[i] = code;
  }
  return parseAddress(scratch, 0, text.length, out);
}

const parsed = new Uint8Array(16);

/**
 * Parses the IP literal in ASCII `bytes[start..end)` into `out`: a dotted quad, or IPv6 with `::`, an embedded quad and
 * a zone (`%eth0`), all optional. The zone is dropped. An IPv4-mapped address becomes IPv4. Brackets, a port, white
 * space and leading zeros in a quad are errors.
 * @returns whether the bytes are an IP literal; if not, `out` is unchanged. Never throws, never allocates.
 */
export function parseAddress(bytes: Uint8Array, start: number, end: number, out: Address): boolean {
  for (let i = start; i < end; i++) {
    if (bytes[i] === 0x3a) {
      if (!parseIPv6(bytes, start, end)) return false;
      out.set(6, parsed, 0);
      return true;
    }
  }
  if (!parseIPv4(bytes, start, end, 0)) return false;
  out.set(4, parsed, 0);
  return true;
}

/** Parses a dotted quad into `parsed[at..at+4)`. */
function parseIPv4(bytes: Uint8Array, start: number, end: number, at: number): boolean {
  let octets = 0;
  let i = start;
  while (octets < 4) {
    let value = 0;
    const first = i;
    while (i < end && bytes[i]! >= 0x30 && bytes[i]! <= 0x39) {
      value = value * 10 + bytes[i]! - 0x30;
      if (value > 255) return false;
      i++;
    }
    if (i === first || (i - first > 1 && bytes[first] === 0x30)) return false;
    parsed[at + octets++] = value;
    if (octets < 4 && (i >= end || bytes[i++] !== 0x2e)) return false;
  }
  return i === end;
}

/** Parses IPv6 text into `parsed`. */
function parseIPv6(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if (bytes[i] === 0x25) {
      if (i + 1 === end) return false;
      end = i; // a zone means something only on the machine that wrote it
    }
  }
  let at = 0;
  let gap = -1;
  let i = start;
  if (i + 1 < end && bytes[i] === 0x3a && bytes[i + 1] === 0x3a) {
    gap = 0;
    i += 2;
  }
  while (i < end) {
    if (at === 16) return false;
    let value = 0;
    const first = i;
    while (i < end) {
      const digit = hexDigit(bytes[i]!);
      if (digit < 0) break;
      if (i - first === 4) return false;
      value = (value << 4) | digit;
      i++;
    }
    if (i < end && bytes[i] === 0x2e) {
      if (at > 12 || !parseIPv4(bytes, first, end, at)) return false;
      at += 4;
      i = end;
      break;
    }
    if (i === first) return false;
    parsed[at++] = value >> 8;
    parsed[at++] = value & 0xff;
    if (i === end) break;
    if (bytes[i++] !== 0x3a) return false;
    if (i < end && bytes[i] === 0x3a) {
      if (gap >= 0) return false;
      gap = at;
      i++;
    } else if (i === end) return false;
  }
  if (gap < 0) return at === 16;
  if (at === 16) return false;
  parsed.copyWithin(16 - (at - gap), gap, at);
  parsed.fill(0, gap, 16 - (at - gap));
  return true;
}

/** Returns the value of an ASCII hexadecimal digit of either case, or -1. */
export function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
