import type { AnnounceResponse } from "../../bittorrent/announce.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { infoHashLength } from "../../bittorrent/info-hash.ts";
import type { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { ascii, put, putNumber } from "../http/byte-writer.ts";
import { MessageKind } from "./message.ts";

/**
 * Maximum number of bytes of a message, without the SDP of an offer or answer, the text of a warning or failure, and the
 * infohashes of a scrape.
 */
export const mostOverhead = 512;
/** The most bytes of one torrent in the response to a scrape. */
export const mostScrapeEntry = 200;
/** The most bytes of the text of a warning or failure in JSON. */
export const mostText = 1024;

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const closeBrace = 0x7d;
const hexDigits = ascii("0123456789abcdef");

const key = {
  announce: ascii('{"action":"announce"'),
  scrape: ascii('{"action":"scrape"'),
  answer: ascii(',"answer":{"type":"answer","sdp":'),
  complete: ascii(',"complete":'),
  downloaded: ascii(',"downloaded":'),
  failure: ascii(',"failure reason":'),
  files: ascii(',"files":{'),
  fileComplete: ascii(':{"complete":'),
  incomplete: ascii(',"incomplete":'),
  infoHash: ascii(',"info_hash":'),
  interval: ascii(',"interval":'),
  offer: ascii(',"offer":{"type":"offer","sdp":'),
  offerId: ascii('},"offer_id":'),
  peerId: ascii(',"peer_id":'),
  warning: ascii(',"warning message":'),
  unicode: ascii("\\u00"),
} as const;

/**
 * Writes the response to an announce. `interval` is an integer, which libtorrent insists on; webtorrent needs `complete`
 * and `incomplete`, libtorrent `info_hash`.
 * Needs {@link mostOverhead} bytes, and {@link mostText} for a warning.
 * @returns the offset after the last byte
 */
export function writeAnnounceResponse(
  out: Uint8Array,
  at: number,
  infoHash: Uint8Array,
  response: AnnounceResponse,
): number {
  at = put(out, at, key.announce);
  at = put(out, at, key.interval);
  at = putNumber(out, at, response.interval);
  at = put(out, at, key.infoHash);
  at = putBinary(out, at, infoHash, 0);
  at = put(out, at, key.complete);
  at = putNumber(out, at, response.complete);
  at = put(out, at, key.incomplete);
  at = putNumber(out, at, response.incomplete);
  at = put(out, at, key.downloaded);
  at = putNumber(out, at, response.snatches);
  if (response.warning !== undefined) {
    at = put(out, at, key.warning);
    at = put(out, at, encodeWarning(response.warning));
  }
  out[at++] = closeBrace;
  return at;
}

/**
 * Writes an offer for the peer that it is relayed to, or an answer for the peer that made the offer.
 * Needs {@link mostOverhead} bytes and the bytes of the SDP.
 * @param peerId   the peer that made the offer or answer
 * @param offerId  20 bytes at `offerIdAt`
 * @param from     `from[sdpStart..sdpEnd)` is the SDP: a valid JSON string with its quotes
 * @returns the offset after the last byte
 */
export function writeRelayed(
  out: Uint8Array,
  at: number,
  kind: "offer" | "answer",
  infoHash: Uint8Array,
  peerId: Uint8Array,
  offerId: Uint8Array,
  offerIdAt: number,
  from: Uint8Array,
  sdpStart: number,
  sdpEnd: number,
): number {
  at = put(out, at, key.announce);
  at = put(out, at, key[kind]);
  for (let i = sdpStart; i < sdpEnd; i++) out[at++] = from[i]!;
  at = put(out, at, key.offerId);
  at = putBinary(out, at, offerId, offerIdAt);
  at = put(out, at, key.peerId);
  at = putBinary(out, at, peerId, 0);
  at = put(out, at, key.infoHash);
  at = putBinary(out, at, infoHash, 0);
  out[at++] = closeBrace;
  return at;
}

/**
 * Writes an error. With `infoHash` and `interval`, libtorrent takes the message for a response, and announces again
 * after the interval; without them it closes the connection or waits for ever.
 * Needs {@link mostOverhead} and {@link mostText} bytes.
 * @param infoHash  20 bytes, or undefined for a scrape of several torrents
 * @returns the offset after the last byte
 */
export function writeFailure(
  out: Uint8Array,
  at: number,
  kind: MessageKind,
  error: ClientError,
  infoHash: Uint8Array | undefined,
  interval: number,
): number {
  at = put(out, at, kind === MessageKind.scrape ? key.scrape : key.announce);
  at = put(out, at, key.failure);
  at = put(out, at, encodeReason(error));
  if (infoHash !== undefined) {
    at = put(out, at, key.infoHash);
    at = putBinary(out, at, infoHash, 0);
  }
  at = put(out, at, key.interval);
  at = putNumber(out, at, interval);
  out[at++] = closeBrace;
  return at;
}

/**
 * Writes the response to a scrape whose infohashes are distinct, as `readMessage` leaves them.
 * Needs {@link mostOverhead} bytes, and {@link mostScrapeEntry} for each infohash.
 * @returns the offset after the last byte
 */
export function writeScrapeResponse(
  out: Uint8Array,
  at: number,
  request: ScrapeRequest,
  response: ScrapeResponse,
): number {
  at = put(out, at, key.scrape);
  at = put(out, at, key.files);
  for (let i = 0; i < request.count; i++) {
    if (i > 0) out[at++] = comma;
    at = putBinary(out, at, request.infoHashes, i * infoHashLength);
    at = put(out, at, key.fileComplete);
    at = putNumber(out, at, response.complete(i));
    at = put(out, at, key.incomplete);
    at = putNumber(out, at, response.incomplete(i));
    at = put(out, at, key.downloaded);
    at = putNumber(out, at, response.snatches(i));
    out[at++] = closeBrace;
  }
  out[at++] = closeBrace;
  out[at++] = closeBrace;
  return at;
}

/** Writes the 20 bytes at `start` as a JSON string of 20 characters, in one form only: at most 122 bytes. */
function putBinary(out: Uint8Array, at: number, from: Uint8Array, start: number): number {
  out[at++] = quote;
  for (let i = start; i < start + 20; i++) {
    const byte = from[i]!;
    if (byte >= 0x80) {
      out[at++] = 0xc0 | (byte >> 6);
      out[at++] = 0x80 | (byte & 0x3f);
    } else if (byte < 0x20 || byte === quote || byte === backslash) {
      at = put(out, at, key.unicode);
      out[at++] = hexDigits[byte >> 4]!;
      out[at++] = hexDigits[byte & 15]!;
    } else {
      out[at++] = byte;
    }
  }
  out[at++] = quote;
  return at;
}

let lastWarning = "";
let lastWarningBytes: Uint8Array = new Uint8Array(0);

function encodeWarning(warning: string): Uint8Array {
  if (warning !== lastWarning) {
    lastWarning = warning;
    lastWarningBytes = encodeText(warning);
  }
  return lastWarningBytes;
}

const reasons: WeakMap<ClientError, Uint8Array> = new WeakMap();

function encodeReason(error: ClientError): Uint8Array {
  let reason = reasons.get(error);
  if (reason === undefined) {
    reason = encodeText(error.message);
    reasons.set(error, reason);
  }
  return reason;
}

const encoder = new TextEncoder();

/** Encodes a text as a JSON string of at most {@link mostText} bytes; cuts off what does not fit. */
function encodeText(text: string): Uint8Array {
  let cut = text.toWellFormed();
  for (;;) {
    const bytes = encoder.encode(JSON.stringify(cut));
    if (bytes.length <= mostText) return bytes;
    cut = cut.slice(0, Math.min(mostText, cut.length - 1)).toWellFormed();
  }
}
