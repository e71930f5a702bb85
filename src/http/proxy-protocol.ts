import { Address, type Family, parseAddress } from "../ip/address.ts";

/** Maximum length of a version 1 header, with its CRLF. */
const maxVersion1 = 107;
/** Length of a version 2 header before its addresses. */
const version2Head = 16;

const space = 0x20;
const ascii = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const signature1 = ascii("PROXY ");
const signature2 = ascii("\r\n\r\n\0\r\nQUIT\n");
const unknown = ascii("UNKNOWN");
const tcp4 = ascii("TCP4");
const tcp6 = ascii("TCP6");

/** The content of a PROXY header. */
export class ProxyHeader {
  readonly client: Address = new Address();
  /** Whether the header names a client; otherwise `client` is undefined. */
  isNamed = false;
}

const source = new Address();
const destination = new Address();

/**
 * Reads the header that a proxy sends first on a connection (HAProxy's PROXY protocol, versions 1 and 2) from
 * `bytes[start..end)` into `out`. A header with `UNKNOWN`, `LOCAL`, or a family other than TCP over IP names no client.
 *
 * Version 1 is a line: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`. Version 2 is binary:
 *
 *     | signature 12 | version and command 1 | family 1 | length u16 | source | destination | ports | TLVs |
 *
 * @returns the length of the header; 0 if the header is incomplete; -1 if the bytes are not a valid header. Never throws.
 */
export function readProxyHeader(bytes: Uint8Array, start: number, end: number, out: ProxyHeader): number {
  if (start === end) return 0;
  out.isNamed = false;
  return bytes[start] === signature2[0]
    ? readVersion2(bytes, start, end, out)
    : readVersion1(bytes, start, end, out);
}

function readVersion1(bytes: Uint8Array, start: number, end: number, out: ProxyHeader): number {
  if (!startsWith(bytes, start, end, signature1)) return -1;
  const limit = Math.min(end, start + maxVersion1);
  let lineEnd = start;
  while (lineEnd < limit && bytes[lineEnd] !== 0x0d) lineEnd++;
  if (lineEnd + 1 >= limit) return limit - start === maxVersion1 ? -1 : 0;
  if (bytes[lineEnd + 1] !== 0x0a) return -1;

  const protocol = start + signature1.length;
  const protocolEnd = fieldEnd(bytes, protocol, lineEnd);
  const consumed = lineEnd + 2 - start;
  if (equals(bytes, protocol, protocolEnd, unknown)) return consumed; // the rest of the line has no meaning
  const family = equals(bytes, protocol, protocolEnd, tcp4)
    ? 4
    : equals(bytes, protocol, protocolEnd, tcp6)
      ? 6
      : 0;
  if (family === 0) return -1;

  const sourceEnd = fieldEnd(bytes, protocolEnd + 1, lineEnd);
  const destinationEnd = fieldEnd(bytes, sourceEnd + 1, lineEnd);
  const sourcePortEnd = fieldEnd(bytes, destinationEnd + 1, lineEnd);
  const valid =
    isLiteral(bytes, protocolEnd + 1, sourceEnd, family, source) &&
    isLiteral(bytes, sourceEnd + 1, destinationEnd, family, destination) &&
    isPort(bytes, destinationEnd + 1, sourcePortEnd) &&
    isPort(bytes, sourcePortEnd + 1, lineEnd);
  if (!valid) return -1;
  out.client.copyFrom(source);
  out.isNamed = true;
  return consumed;
}

function readVersion2(bytes: Uint8Array, start: number, end: number, out: ProxyHeader): number {
  if (!startsWith(bytes, start, end, signature2)) return -1;
  if (end - start < version2Head) return 0;
  const command = bytes[start + 12]!;
  if (command !== 0x20 && command !== 0x21) return -1;
  const length = (bytes[start + 14]! << 8) | bytes[start + 15]!;
  const kind = bytes[start + 13]!;
  const family: Family | 0 = kind === 0x11 ? 4 : kind === 0x21 ? 6 : 0;
  const proxied = command === 0x21 && family !== 0;
  if (proxied && length < (family === 4 ? 12 : 36)) return -1;
  if (end - start < version2Head + length) return 0;
  if (proxied) out.client.set(family, bytes, start + version2Head);
  out.isNamed = proxied;
  return version2Head + length;
}

/** Whether the bytes begin with `prefix`, or with a part of it if they are fewer. */
function startsWith(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  const length = Math.min(end - start, prefix.length);
  for (let i = 0; i < length; i++) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

function fieldEnd(bytes: Uint8Array, start: number, end: number): number {
  while (start < end && bytes[start] !== space) start++;
  return Math.min(start, end);
}

function equals(bytes: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  return end - start === text.length && startsWith(bytes, start, end, text);
}

/** Whether a field is an address of the line's family. A mapped address counts as IPv6 here, but is IPv4 in `out`. */
function isLiteral(bytes: Uint8Array, start: number, end: number, family: Family, out: Address): boolean {
  if (start >= end) return false;
  const colon = bytes.indexOf(0x3a, start);
  return (colon >= 0 && colon < end) === (family === 6) && parseAddress(bytes, start, end, out);
}

function isPort(bytes: Uint8Array, start: number, end: number): boolean {
  if (start >= end || end - start > 5) return false;
  let port = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= 0xffff;
}
