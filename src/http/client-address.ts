import { Address, parseAddress } from "../ip/address.ts";
import type { Networks } from "../ip/networks.ts";
import { findHeader, HeaderValue, type HttpRequest } from "../protocol/http/request-reader.ts";

const tab = 0x09;
const space = 0x20;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const closeBracket = 0x5d;

const line = new HeaderValue();
const hop = new Address();

/**
 * Writes the address of the client of a request into `out`. The address is `peer`, the address of the connection, unless
 * `peer` is a trusted proxy that names another address in `header`.
 *
 * Such a header (`X-Forwarded-For`, `X-Real-IP`) is a list; several lines form one list. Each proxy appends the address of
 * its client. This function reads the list from the right up to the first address that is not a trusted proxy, because the
 * entries left of this address may be forged. Entries may have ports, brackets and zones; empty entries are skipped.
 * @param header  name in lower case, "" for none
 * @returns false if an entry that was read is not an address. Never throws, never allocates.
 */
export function resolveClient(
  bytes: Uint8Array,
  request: HttpRequest,
  header: string,
  trusted: Networks,
  peer: Address,
  out: Address,
): boolean {
  out.copyFrom(peer);
  if (header === "" || !trusted.contains(peer)) return true;
  let before = request.headersEnd;
  while (findHeader(bytes, request, header, before, line)) {
    let end = line.end;
    while (end > line.start) {
      let start = end;
      while (start > line.start && bytes[start - 1] !== comma) start--;
      const entry = parseHop(bytes, start, end);
      if (entry === Hop.invalid) return false;
      if (entry === Hop.address) {
        out.copyFrom(hop);
        if (!trusted.contains(hop)) return true;
      }
      end = start - 1;
    }
    before = line.line;
  }
  return true;
}

const Hop = { invalid: -1, empty: 0, address: 1 } as const;

/** Parses one entry of the list into `hop`: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`. */
function parseHop(bytes: Uint8Array, start: number, end: number): number {
  while (start < end && isBlank(bytes[start]!)) start++;
  while (start < end && isBlank(bytes[end - 1]!)) end--;
  if (start === end) return Hop.empty;
  let addressEnd = end;
  let portStart = end;
  if (bytes[start] === openBracket) {
    start++;
    addressEnd = start;
    while (addressEnd < end && bytes[addressEnd] !== closeBracket) addressEnd++;
    if (addressEnd === end) return Hop.invalid;
    portStart = addressEnd + 1;
  } else {
    // A single colon ends an IPv4 address; an IPv6 address has at least two colons.
    const first = bytes.indexOf(colon, start);
    if (first >= 0 && first < end) {
      const second = bytes.indexOf(colon, first + 1);
      if (second < 0 || second >= end) addressEnd = portStart = first;
    }
  }
  if (portStart < end && !isPort(bytes, portStart, end)) return Hop.invalid;
  return parseAddress(bytes, start, addressEnd, hop) ? Hop.address : Hop.invalid;
}

/** Whether `bytes[start..end)` is a colon and one to five digits. */
function isPort(bytes: Uint8Array, start: number, end: number): boolean {
  const digits = end - start - 1;
  if (bytes[start] !== colon || digits < 1 || digits > 5) return false;
  for (let i = start + 1; i < end; i++) if (bytes[i]! < 0x30 || bytes[i]! > 0x39) return false;
  return true;
}

function isBlank(byte: number): boolean {
  return byte === space || byte === tab;
}
