import type { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { peerIdLength } from "../../bittorrent/info-hash.ts";
import { compactLength, type PeerList } from "../../bittorrent/peer-list.ts";
import { type Address, addressLength, formatIPv6 } from "../../ip/address.ts";
import { ascii, digitCount, put, putBefore, putNumber, putNumberBefore } from "./byte-writer.ts";
import { commonFields, encodeText, finishResponse, type ResponseBuffer } from "./response-buffer.ts";

export { ResponseBuffer } from "./response-buffer.ts";
export { writeScrapeResponse } from "./scrape-response.ts";

const e = 0x65;
const dot = 0x2e;
const key = {
  complete: ascii("d8:completei"),
  downloaded: ascii("e10:downloadedi"),
  externalIp4: ascii("11:external ip4:"),
  externalIp6: ascii("11:external ip16:"),
  incomplete: ascii("10:incompletei"),
  interval: ascii("e8:intervali"),
  minInterval: ascii("e12:min intervali"),
  peers: ascii("e5:peers"),
  peerDicts: ascii("e5:peersl"),
  colon: ascii(":"),
  peers6: ascii("6:peers6"),
  warning: ascii("15:warning message"),
  ip: ascii("d2:ip"),
  peerId: ascii("7:peer id20:"),
  port: ascii("4:porti"),
  endOfPeer: ascii("ee"),
} as const;

/**
 * Writes the response to an announce (BEP 3, 7, 21, 23, 24): `complete`, `downloaded`, `external ip`, `incomplete`,
 * `interval`, `min interval`, `peers`, `peers6`, `warning message`. `peers` is always present, since rTorrent fails
 * without `peers`. `peers6` is present for IPv6 clients and if it has peers. A list of dictionaries holds both
 * families.
 *
 * The response's lists say where the peers are. Peers in the buffer's own place are not moved.
 * @param noPeerId    leaves peer ids out of a list of dictionaries even if the store has them
 * @param externalIp  the client's address as the tracker sees it, or undefined to leave `external ip` out
 */
export function writeAnnounceResponse(
  out: ResponseBuffer,
  request: AnnounceRequest,
  response: AnnounceResponse,
  keepAlive: boolean,
  noPeerId: boolean,
  externalIp: Address | undefined,
): void {
  if (request.compact) writeCompact(out, request, response, keepAlive, externalIp);
  else writeDictionaries(out, response, keepAlive, noPeerId, externalIp);
}

function writeCompact(
  out: ResponseBuffer,
  request: AnnounceRequest,
  response: AnnounceResponse,
  keepAlive: boolean,
  externalIp: Address | undefined,
): void {
  const { bytes } = out;
  const peersAt = out.peers4.at;
  const length4 = response.peers4.count * compactLength[4];
  const length6 = response.peers6.count * compactLength[6];
  copyPeers(response.peers4, length4, bytes, peersAt);
  let end = peersAt + length4;
  if (length6 > 0 || request.address.family === 6) {
    copyPeers(response.peers6, length6, bytes, end + key.peers6.length + digitCount(length6) + 1);
    end = put(bytes, end, key.peers6);
    end = putNumber(bytes, end, length6);
    end = put(bytes, end, key.colon) + length6;
  }
  end = putWarning(bytes, end, response.warning);
  bytes[end++] = e;

  let at = putBefore(bytes, peersAt, key.colon);
  at = putNumberBefore(bytes, at, length4);
  at = putBefore(bytes, at, key.peers);
  finishResponse(out, putCountsBefore(bytes, at, response, externalIp), end, keepAlive);
}

function copyPeers(list: PeerList, length: number, bytes: Uint8Array, at: number): void {
  if (length === 0) return;
  if (list.bytes !== bytes) bytes.set(list.bytes.subarray(list.at, list.at + length), at);
  else if (list.at !== at) bytes.copyWithin(at, list.at, list.at + length);
}

/** Writes the entries in front of the peers, ending where the peers begin. @returns the offset of the first entry */
function putCountsBefore(
  bytes: Uint8Array,
  at: number,
  response: AnnounceResponse,
  externalIp: Address | undefined,
): number {
  at = putNumberBefore(bytes, at, response.minInterval);
  at = putBefore(bytes, at, key.minInterval);
  at = putNumberBefore(bytes, at, response.interval);
  at = putBefore(bytes, at, key.interval);
  at = putNumberBefore(bytes, at, response.incomplete);
  at = putBefore(bytes, at, key.incomplete);
  if (externalIp !== undefined) {
    const length = addressLength[externalIp.family];
    at -= length;
    for (let i = 0; i < length; i++) bytes[at + i] = externalIp.bytes[i]!;
    at = putBefore(bytes, at, length === 4 ? key.externalIp4 : key.externalIp6);
  }
  bytes[--at] = e;
  at = putNumberBefore(bytes, at, response.snatches);
  at = putBefore(bytes, at, key.downloaded);
  at = putNumberBefore(bytes, at, response.complete);
  return putBefore(bytes, at, key.complete);
}

function writeDictionaries(
  out: ResponseBuffer,
  response: AnnounceResponse,
  keepAlive: boolean,
  noPeerId: boolean,
  externalIp: Address | undefined,
): void {
  const { bytes, bodyAt } = out;
  let end = putPeerDicts(bytes, bodyAt, response.peers4, noPeerId);
  end = putPeerDicts(bytes, end, response.peers6, noPeerId);
  bytes[end++] = e;
  end = putWarning(bytes, end, response.warning);
  bytes[end++] = e;
  const at = putBefore(bytes, bodyAt, key.peerDicts);
  finishResponse(out, putCountsBefore(bytes, at, response, externalIp), end, keepAlive);
}

function putPeerDicts(bytes: Uint8Array, at: number, list: PeerList, noPeerId: boolean): number {
  const stride = compactLength[list.family];
  const peerIds = list.hasPeerIds && !noPeerId ? list.peerIds : undefined;
  for (let i = 0; i < list.count; i++) {
    const peer = list.at + i * stride;
    at = put(bytes, at, key.ip);
    at = list.family === 4 ? putIPv4(bytes, at, list.bytes, peer) : putIPv6(bytes, at, list.bytes, peer);
    if (peerIds !== undefined) {
      at = put(bytes, at, key.peerId);
      for (let k = 0; k < peerIdLength; k++) bytes[at++] = peerIds[i * peerIdLength + k]!;
    }
    at = put(bytes, at, key.port);
    at = putNumber(bytes, at, (list.bytes[peer + stride - 2]! << 8) | list.bytes[peer + stride - 1]!);
    at = put(bytes, at, key.endOfPeer);
  }
  return at;
}

/** Writes the IPv4 address `from[peer..peer+4)` as a bencoded string. */
function putIPv4(bytes: Uint8Array, at: number, from: Uint8Array, peer: number): number {
  let length = 3;
  for (let k = 0; k < 4; k++) length += digitCount(from[peer + k]!);
  at = putNumber(bytes, at, length);
  at = put(bytes, at, key.colon);
  for (let k = 0; k < 4; k++) {
    if (k > 0) bytes[at++] = dot;
    at = putNumber(bytes, at, from[peer + k]!);
  }
  return at;
}

/** Writes the IPv6 address `from[peer..peer+16)` as a bencoded string. Allocates, to find the shortest form. */
function putIPv6(bytes: Uint8Array, at: number, from: Uint8Array, peer: number): number {
  const ip = formatIPv6(from, peer);
  at = putNumber(bytes, at, ip.length);
  at = put(bytes, at, key.colon);
  for (let k = 0; k < ip.length; k++) bytes[at++] = ip.charCodeAt(k);
  return at;
}

let lastWarning = "";
let lastWarningBytes: Uint8Array = new Uint8Array(0);

function putWarning(bytes: Uint8Array, at: number, warning: string | undefined): number {
  if (warning === undefined) return at;
  if (warning !== lastWarning) {
    lastWarning = warning;
    lastWarningBytes = encodeText(warning);
  }
  at = put(bytes, at, key.warning);
  at = putNumber(bytes, at, lastWarningBytes.length);
  at = put(bytes, at, key.colon);
  return put(bytes, at, lastWarningBytes);
}

const failures: WeakMap<ClientError, Uint8Array> = new WeakMap();

/**
 * Writes an error for a BitTorrent client: status 200 and `failure reason`. If the error has a time to retry, `retry
 * in` (BEP 31) has the minutes as text, and `interval` the seconds for libtorrent, which reads only `interval`.
 */
export function writeFailure(out: ResponseBuffer, error: ClientError, keepAlive: boolean): void {
  let body = failures.get(error);
  if (body === undefined) {
    body = encodeFailure(error);
    failures.set(error, body);
  }
  finishResponse(out, out.bodyAt, put(out.bytes, out.bodyAt, body), keepAlive);
}

function encodeFailure(error: ClientError): Uint8Array {
  const reason = encodeText(error.message);
  let rest = "e";
  if (error.retryIn === "never") rest = "8:retry in5:nevere";
  else if (error.retryIn !== undefined) {
    const minutes = `${Math.ceil(error.retryIn)}`;
    rest = `8:intervali${Math.ceil(error.retryIn) * 60}e8:retry in${minutes.length}:${minutes}e`;
  }
  const parts = [ascii(`d14:failure reason${reason.length}:`), reason, ascii(rest)];
  const body = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) at = put(body, at, part);
  return body;
}

const reasons = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
} as const;

/**
 * The body of a 404. A poisoned resolver may send clients of another tracker here; this body makes them stop (uTorrent
 * obeys exactly this text, BitTorrent Inc. 2015). Not a 410: after a 410, libtorrent would never return, even if the
 * cause was a mistake.
 */
const notATracker = "d14:failure reason13:not a tracker8:retry in5:nevere";

/** The body of `/`, for monitors and curious people. */
const aTracker = "BitTorrent tracker\n";

/** The statuses of responses to requests that are neither announce nor scrape; 200 is for `/`. */
export type PlainStatus = keyof typeof reasons;

const plain = new Map<number, { keepAlive: Uint8Array; close: Uint8Array; bodyLength: number }>();
const bodies: Partial<Record<string, string>> = { 200: aTracker, 404: notATracker };
const allowed: Partial<Record<string, string>> = { 200: "GET, HEAD, OPTIONS", 405: "GET, HEAD" };
for (const [status, reason] of Object.entries(reasons)) {
  const body = bodies[status] ?? `${reason}\n`;
  const allow = allowed[status];
  const response = (connection: string) =>
    ascii(
      `HTTP/1.1 ${status} ${reason}\r\n${commonFields}${allow ? `Allow: ${allow}\r\n` : ""}` +
        `Connection: ${connection}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  plain.set(Number(status), {
    keepAlive: response("keep-alive"),
    close: response("close"),
    bodyLength: body.length,
  });
}

/** Writes a response with a status whose name is the body; 200 and 404 have the bodies above. */
export function writeStatus(out: ResponseBuffer, status: PlainStatus, keepAlive: boolean): void {
  const response = plain.get(status)!;
  out.start = out.bodyAt;
  out.end = put(out.bytes, out.bodyAt, keepAlive ? response.keepAlive : response.close);
  out.headEnd = out.end - response.bodyLength;
}
