import { createHash } from "node:crypto";
import { startsWithName } from "../http/ascii.ts";
import { findHeader, HeaderValue, type HttpRequest, Method } from "../http/request-reader.ts";

/** Appended to the key of the client (RFC 6455 §1.3). */
const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** Length of 16 bytes in base64. */
const keyLength = 24;
const comma = 0x2c;

const value = new HeaderValue();

/** What a request has to do with WebSocket, as {@link readHandshake} finds. */
export const Handshake = {
  /** The request does not ask for WebSocket. */
  absent: 0,
  accepted: 1,
  /** The request asks for WebSocket, but a proxy has removed `Upgrade` or `Connection`, or the version is not 13. */
  incomplete: 2,
  /** The key is missing or malformed. */
  malformed: 3,
} as const;
export type Handshake = (typeof Handshake)[keyof typeof Handshake];

/** Reads the opening handshake of a client (RFC 6455 §4.2.1) in a request whose head is in `bytes`. Allocates nothing. */
export function readHandshake(bytes: Uint8Array, request: HttpRequest): Handshake {
  const hasKey = find(bytes, request, "sec-websocket-key");
  if (!hasKey && !find(bytes, request, "upgrade")) return Handshake.absent;
  const isUpgrade = lists(bytes, request, "upgrade", "websocket");
  if (!hasKey && !isUpgrade) return Handshake.absent;
  if (request.method !== Method.get) return Handshake.absent;
  const isWhole = isUpgrade && request.minor === 1 && lists(bytes, request, "connection", "upgrade");
  if (!isWhole) return Handshake.incomplete;
  if (!find(bytes, request, "sec-websocket-version") || !isVersion13(bytes)) return Handshake.incomplete;
  return hasKey && readKey(bytes, request) !== undefined ? Handshake.accepted : Handshake.malformed;
}

/** Returns the key of an accepted request. */
export function readKey(bytes: Uint8Array, request: HttpRequest): string | undefined {
  if (!find(bytes, request, "sec-websocket-key") || value.end - value.start !== keyLength) return undefined;
  const key = String.fromCharCode(...bytes.subarray(value.start, value.end));
  return /^[A-Za-z0-9+/]{21}[AQgw]==$/.test(key) ? key : undefined;
}

/** Returns the value of `Sec-WebSocket-Accept` for the key of a client (RFC 6455 §4.2.2). */
export function acceptKey(key: string): string {
  return createHash("sha1")
    .update(key + guid)
    .digest("base64");
}

function find(bytes: Uint8Array, request: HttpRequest, name: string): boolean {
  return findHeader(bytes, request, name, request.headersEnd, value);
}

function isVersion13(bytes: Uint8Array): boolean {
  return value.end - value.start === 2 && bytes[value.start] === 0x31 && bytes[value.start + 1] === 0x33;
}

/** Returns whether a header, a list of one or more lines, has the element `token`. */
function lists(bytes: Uint8Array, request: HttpRequest, name: string, token: string): boolean {
  let before = request.headersEnd;
  while (findHeader(bytes, request, name, before, value)) {
    let start = value.start;
    while (start <= value.end) {
      let end = start;
      while (end < value.end && bytes[end] !== comma) end++;
      if (isToken(bytes, start, end, token)) return true;
      start = end + 1;
    }
    before = value.line;
  }
  return false;
}

function isToken(bytes: Uint8Array, start: number, end: number, token: string): boolean {
  while (start < end && isBlank(bytes[start]!)) start++;
  while (start < end && isBlank(bytes[end - 1]!)) end--;
  return end - start === token.length && startsWithName(bytes, start, token);
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09;
}
