import type { AnnounceResponse } from "../../bittorrent/announce.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { compactLength, type PeerList } from "../../bittorrent/peer-list.ts";
import type { ScrapeResponse } from "../../bittorrent/scrape.ts";
import type { Address } from "../../ip/address.ts";
import type { ConnectionIds } from "./connection-id.ts";
import { Action, announceHeadLength } from "./packet.ts";

/**
 * Maximum characters of an error's text, with up to 3 bytes each. Longer texts are cut, so that no path splits the
 * packet.
 */
const maxErrorLength = 400;

const encoder = new TextEncoder();
/** Texts as bytes with a NUL at the end, cached by error. */
const errorTexts = new WeakMap<ClientError, Uint8Array>();

/**
 * Writes a connect response (BEP 15) with a fresh connection id.
 * Shape: action 0 u32 | transaction id u32 | connection id 8. Exactly 16 bytes: aria2 refuses any other length.
 * @returns offset after the last byte. Never throws, never allocates.
 */
export function writeConnect(
  view: DataView,
  at: number,
  transactionId: number,
  ids: ConnectionIds,
  address: Address,
  unixSeconds: number,
): number {
  view.setUint32(at, Action.connect);
  view.setUint32(at + 4, transactionId);
  ids.write(view, at + 8, address, unixSeconds);
  return at + 16;
}

/**
 * Writes the head of an announce response (BEP 15) in front of the peers, which are in place already: `peers` starts at
 * `at + 20`.
 * Shape: action u32 | transaction id u32 | interval u32 s | leechers u32 | seeders u32 | peers, 6 B each (18 B for
 * IPv6).
 * @param action  the action of the request: 1, or 4 for the form of older opentrackers
 * @returns offset after the last byte. Never throws, never allocates.
 */
export function writeAnnounce(
  view: DataView,
  at: number,
  action: number,
  transactionId: number,
  response: AnnounceResponse,
  peers: PeerList,
): number {
  view.setUint32(at, action);
  view.setUint32(at + 4, transactionId);
  view.setUint32(at + 8, response.interval);
  view.setUint32(at + 12, response.incomplete);
  view.setUint32(at + 16, response.complete);
  return at + announceHeadLength + peers.count * compactLength[peers.family];
}

/**
 * Writes a scrape response (BEP 15) of `count` rows.
 * Shape: action 2 u32 | transaction id u32 | rows of seeders u32, completed u32, leechers u32.
 * @returns offset after the last byte. Never throws, never allocates.
 */
export function writeScrape(
  view: DataView,
  at: number,
  transactionId: number,
  response: ScrapeResponse,
  count: number,
): number {
  view.setUint32(at, Action.scrape);
  view.setUint32(at + 4, transactionId);
  at += 8;
  for (let i = 0; i < count; i++) {
    view.setUint32(at, response.complete(i));
    view.setUint32(at + 4, response.snatches(i));
    view.setUint32(at + 8, response.incomplete(i));
    at += 12;
  }
  return at;
}

/**
 * Writes an error response (BEP 15) of at most `limit` bytes.
 * Shape: action 3 u32 | transaction id u32 | text in UTF-8 | NUL, as Chihaya and opentracker send it.
 * @returns offset after the last byte, or `at` if the response does not fit. Allocates only on the first use of an
 * error.
 */
export function writeError(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  transactionId: number,
  error: ClientError,
  limit: number,
): number {
  let text = errorTexts.get(error);
  if (text === undefined) {
    text = encoder.encode(`${error.message.slice(0, maxErrorLength)}\0`);
    errorTexts.set(error, text);
  }
  const length = text.length;
  if (8 + length > limit) return at;
  view.setUint32(at, Action.error);
  view.setUint32(at + 4, transactionId);
  for (let i = 0; i < length; i++) bytes[at + 8 + i] = text[i]!;
  return at + 8 + length;
}
