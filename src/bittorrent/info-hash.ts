import { hexDigit } from "../ip/address.ts";

/** Bytes of an infohash: SHA-1, or the first twenty of SHA-256 for v2 torrents (BEP 52). */
export const infoHashLength = 20;
/** Bytes of a peer id. */
export const peerIdLength = 20;

/** Formats the twenty bytes at `at` (an infohash or a peer id) as lower-case hexadecimal. */
export function toHex(bytes: Uint8Array, at = 0, length: number = infoHashLength): string {
  let text = "";
  for (let i = at; i < at + length; i++) text += (bytes[i]! < 16 ? "0" : "") + bytes[i]!.toString(16);
  return text;
}

/** Digits of the hash of a version 2 torrent (BEP 52). Clients announce the first 40 digits only. */
export const longInfoHashDigits: number = 64;
/** The remedy for such a hash in a list. */
export const longInfoHashRemedy: string =
  "64 digits are a BEP 52 hash; clients announce its first 40 digits, so write those";

/**
 * Parses an infohash of 40 hexadecimal digits of either case.
 * @returns 20 fresh bytes, or undefined for any other text
 */
export function parseInfoHash(text: string): Uint8Array | undefined {
  if (text.length !== 2 * infoHashLength) return undefined;
  const bytes = new Uint8Array(infoHashLength);
  for (let i = 0; i < infoHashLength; i++) {
    const high = hexDigit(text.charCodeAt(2 * i));
    const low = hexDigit(text.charCodeAt(2 * i + 1));
    if (high < 0 || low < 0) return undefined;
    bytes[i] = (high << 4) | low;
  }
  return bytes;
}

/**
 * Parses an infohash as people have it: 40 hexadecimal digits; 32 characters of base32, as in old magnet links; or the 64
 * digits of a hash of version 2 (BEP 52), also behind `1220` as in new magnet links, of which clients announce the first 40.
 * @returns 20 fresh bytes, or undefined for any other text
 */
export function parseAnyInfoHash(text: string): Uint8Array | undefined {
  if (/^[a-z2-7]{32}$/i.test(text)) return parseBase32(text);
  if (!/^[\da-f]*$/i.test(text)) return undefined;
  if (text.length === longInfoHashDigits + 4 && text.startsWith("1220")) text = text.slice(4);
  return parseInfoHash(text.length === longInfoHashDigits ? text.slice(0, 2 * infoHashLength) : text);
}

/** Parses 32 characters of base32 (RFC 4648). */
function parseBase32(text: string): Uint8Array {
  const bytes = new Uint8Array(infoHashLength);
  let bits = 0;
  let count = 0;
  let at = 0;
  for (const letter of text.toLowerCase()) {
    bits = ((bits << 5) | "abcdefghijklmnopqrstuvwxyz234567".indexOf(letter)) & 0xfff;
    count += 5;
    if (count < 8) continue;
    count -= 8;
    bytes[at++] = bits >>> count;
  }
  return bytes;
}

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * Copies the 20 bytes at `at` into `to`, as five words in machine order. Faster to read than words written byte by
 * byte, which the CPU cannot forward from its store buffer.
 */
export function readWords20(from: DataView, at: number, to: Int32Array): void {
  for (let i = 0; i < 5; i++) to[i] = from.getInt32(at + 4 * i, littleEndian);
}

/** Copies 20 bytes from `from[at..]` to the start of `to`. Faster than `set(subarray)`, which allocates. */
export function copy20(from: Uint8Array, at: number, to: Uint8Array, toAt = 0): void {
  for (let i = 0; i < 20; i++) to[toAt + i] = from[at + i]!;
}
