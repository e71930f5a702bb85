import { type AnnounceRequest, Counter } from "../../bittorrent/announce.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { infoHashLength, readWords20 } from "../../bittorrent/info-hash.ts";
import type { ScrapeRequest } from "../../bittorrent/scrape.ts";
import type { Address } from "../../ip/address.ts";
import type { Networks } from "../../ip/networks.ts";
import { parseOptions } from "./options.ts";
import {
  Action,
  announceLength,
  invalidPort,
  malformedPacket,
  maxScrapeInfoHashes,
  requestHeadLength,
} from "./packet.ts";

/** Options for parsing an announce over UDP. */
export interface AnnounceRules {
  /** Whether the address field counts. */
  allowIpSpoofing: boolean;
  /** The sources whose address field counts; undefined for all. */
  spoofers?: Networks | undefined;
  maxNumWant: number;
  defaultNumWant: number;
}

/**
 * Parses an announce request in place into `request` (BEP 15 "IPv4 announce request", BEP 41; with action 4 the form of
 * older opentrackers, whose address field has 16 bytes).
 * Shape: connection id 8 | action 4 | transaction id 4 | infohash 20 | peer id 20 | downloaded 8 | left 8 | uploaded 8
 * | event 4 | address 4 or 16 | key 4 | numwant 4 | port 2 | options.
 *
 * Any length from 98 (110) bytes on is valid: real clients send 98, 100 and more. Unknown events count as none. A
 * negative numwant means the default, and so does 0 from a leecher that has not stopped: anacrolix/torrent (1.61) sends
 * 0 with `started`, and a leecher cannot want no peers. numwant is capped. The address field counts only if the rules
 * allow its source, and the field holds a usable address of the source's family; otherwise `source` is the peer's
 * address.
 *
 * @param view     a view of exactly `bytes`
 * @param action   the action at `at + 8`: 1 or 4
 * @param scratch  room to join split URL data, see {@link parseOptions}
 * @returns undefined, or the error that refuses the request. Never throws, never allocates.
 */
export function parseAnnounce(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
  action: typeof Action.announce | typeof Action.announceIPv6,
  source: Address,
  rules: AnnounceRules,
  scratch: Uint8Array,
  request: AnnounceRequest,
): ClientError | undefined {
  const head = announceLength[action];
  if (length < head) return malformedPacket;

  readWords20(view, at + 16, request.infoHashWords);
  readWords20(view, at + 36, request.peerIdWords);
  const { counters } = request;
  counters[2 * Counter.downloaded + 1] = view.getUint32(at + 56);
  counters[2 * Counter.downloaded] = view.getUint32(at + 60);
  counters[2 * Counter.left + 1] = view.getUint32(at + 64);
  counters[2 * Counter.left] = view.getUint32(at + 68);
  counters[2 * Counter.uploaded + 1] = view.getUint32(at + 72);
  counters[2 * Counter.uploaded] = view.getUint32(at + 76);
  const event = view.getUint32(at + 80);
  request.event = event <= AnnounceEvent.paused ? (event as AnnounceEvent) : AnnounceEvent.none;

  const { address } = request;
  if (rules.allowIpSpoofing && (rules.spoofers === undefined || rules.spoofers.contains(source))) {
    address.set(action === Action.announce ? 4 : 6, bytes, at + 84);
    if (address.family !== source.family || !address.isUsable()) address.copyFrom(source);
  } else {
    address.copyFrom(source);
  }

  const tail = at + head;
  const numWant = view.getInt32(tail - 6);
  const isDefault = numWant < 0 || (numWant === 0 && !request.isSeeder && event !== AnnounceEvent.stopped);
  request.numWant = Math.min(isDefault ? rules.defaultNumWant : numWant, rules.maxNumWant);
  request.port = view.getUint16(tail - 2);
  request.compact = true;
  parseOptions(bytes, tail, at + length, scratch, request.params);
  return request.port === 0 ? invalidPort : undefined;
}

/**
 * Parses a scrape request in place into `request` (BEP 15 "Scrape request").
 * Shape: connection id 8 | action 4 | transaction id 4 | infohashes, 20 each.
 *
 * Drops infohashes beyond `max` or 74, since clients match the rows of the response in order. Ignores trailing bytes
 * that are not a whole infohash.
 *
 * @returns undefined, or the error that refuses the request. Never throws, never allocates.
 */
export function parseScrape(
  bytes: Uint8Array,
  at: number,
  length: number,
  source: Address,
  max: number,
  request: ScrapeRequest,
): ClientError | undefined {
  request.reset();
  request.address.copyFrom(source);
  request.params.clear();
  const sent = Math.floor((length - requestHeadLength) / infoHashLength);
  const count = Math.min(sent, max, maxScrapeInfoHashes);
  for (let i = 0; i < count; i++) request.add(bytes, at + requestHeadLength + i * infoHashLength);
  return sent < 1 ? malformedPacket : undefined;
}
