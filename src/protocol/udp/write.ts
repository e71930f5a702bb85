import type { AnnounceResponse } from "../../bittorrent/announce.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { compactLength, type PeerList } from "../../bittorrent/peer-list.ts";
import type { ScrapeResponse } from "../../bittorrent/scrape.ts";
import type { Address } from "../../ip/address.ts";
import type { ConnectionIds } from "./connection-id.ts";
import { Action, announceHeadLength } from "./packet.ts";

/** Characters of an error's text, of up to 3 bytes each; longer ones are cut, so that the packet stays whole on every path. */
const maxErrorLength = 400;

const encoder = new TextEncoder();
/** Texts as bytes with a NUL at the end; an error is made once and sent often. */
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
 * Writes the head of an announce response (BEP 15) in front of peers that are in their place already: `peers`
 * starts at `at + 20`.
 * Shape: action u32 | transaction id u32 | interval u32 s | leechers u32 | seeders u32 | peers, 6 B each (18 B for
 * IPv6).
 * @param action  as in the request: 1, or 4 for an older opentracker's form
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
 * Writes an error response (BEP 15), if it has no more than `limit` bytes.
 * Shape: action 3 u32 | transaction id u32 | text in UTF-8 | NUL, which Chihaya and opentracker send too.
 * @returns offset after the last byte, or `at` where it does not fit. Allocates for the first use of an error only.
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
