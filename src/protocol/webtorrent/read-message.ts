import { Counter } from "../../bittorrent/announce.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { infoHashLength, peerIdLength } from "../../bittorrent/info-hash.ts";
import { parseCounter, parseEvent, parseNumber, wordRange } from "../values.ts";
import * as errors from "./errors.ts";
import { Element, JsonScanner, Key } from "./json-scanner.ts";
import {
  addOnce,
  MessageKind,
  type MessageLimits,
  mostOffers,
  offerIdLength,
  type WebMessage,
} from "./message.ts";

/** The names of the fields, in the order of {@link Field}. */
const names = [
  "action",
  "info_hash",
  "peer_id",
  "event",
  "left",
  "uploaded",
  "downloaded",
  "numwant",
  "offers",
  "offer",
  "offer_id",
  "answer",
  "to_peer_id",
  "type",
  "sdp",
] as const;
const Field = {
  action: 0,
  infoHash: 1,
  peerId: 2,
  event: 3,
  left: 4,
  uploaded: 5,
  downloaded: 6,
  numwant: 7,
  offers: 8,
  offer: 9,
  offerId: 10,
  answer: 11,
  toPeerId: 12,
  type: 13,
  sdp: 14,
} as const;

/** What `action` says. */
const Action = { unknown: 0, announce: 1, scrape: 2 } as const;
type Action = (typeof Action)[keyof typeof Action];

/** Either word of a counter that the client does not know. */
const unknown = wordRange - 1;

const scanner = new JsonScanner(names);
/** Room for short decoded strings. */
const text = new Uint8Array(32);

/** What the fields of the message that is being read have said so far. */
const seen = {
  action: Action.unknown as Action,
  hasAnswer: false,
  /** The number of bytes of `peer_id`; -1 without `peer_id`, -2 if it is no binary string. */
  peerId: -1,
  hasInfoHashes: false,
  isInfoHashValid: true,
  /** Whether the message has an `offer_id` of 20 bytes, which is in `offerId`. */
  hasOfferId: false,
  numwant: -1,
  /** The SDP of the last description; 0 if it has none that is small enough. */
  sdpStart: 0,
  sdpEnd: 0,
  answerStart: 0,
  answerEnd: 0,
};
const offerId = new Uint8Array(offerIdLength);

/**
 * Reads one message of a WebTorrent client, `bytes[start..end)`, in place into `message`. The keys may be in any order.
 * Skips unknown keys. Ids may have every form of escape; each is a string of 20 characters up to U+00FF.
 *
 * Refuses all that JSON.parse refuses, malformed UTF-8, lone surrogates, nesting deeper than 8, objects of more than 64
 * keys, and a known key twice in one object, because two parsers could take different values. So each SDP token of the
 * message is a JSON string that every client can read. The SDP itself is opaque: Trystero encrypts it.
 *
 * Tolerates what clients send:
 * - `left` that is no unsigned decimal number is unknown, so only the number 0 makes a seeder (webtorrent sends null for
 *   a magnet link, anacrolix -1); in the same way, `uploaded` and `downloaded` are 0;
 * - unknown events are none (anacrolix sends `<regular>`);
 * - `numwant` counts only if it is an unsigned decimal number;
 * - `offers` that is no array means no offers (anacrolix sends null with `stopped`); an element without an object
 *   `offer` with a string `sdp`, without an `offer_id` of 20 bytes, or with a too large SDP is skipped;
 * - the `type` of a description is not read, because the writers write it again; `to_peer_id` is not read, because an
 *   answer belongs to the offer with its `offer_id`;
 * - a scrape takes one infohash or an array of infohashes, of which it skips those beyond its capacity.
 *
 * @returns undefined, or the error that refuses the message. After `malformedMessage`, only `message.hasInfoHash` is
 * valid, and false. After other errors, `kind` and `hasInfoHash` are valid. Never throws, never allocates.
 */
export function readMessage(
  bytes: Uint8Array,
  start: number,
  end: number,
  message: WebMessage,
  limits: MessageLimits,
): ClientError | undefined {
  message.reset(bytes, start, end);
  const { announce } = message;
  const { counters } = announce;
  counters.fill(0);
  counters[2 * Counter.left] = counters[2 * Counter.left + 1] = unknown;
  announce.event = AnnounceEvent.none;
  announce.numWant = 0;
  seen.action = Action.unknown;
  seen.hasAnswer = seen.hasInfoHashes = seen.hasOfferId = false;
  seen.isInfoHashValid = true;
  seen.peerId = seen.numwant = -1;
  seen.answerStart = seen.answerEnd = 0;

  scanner.open(bytes, start, end);
  if (!scanner.isObject() || !readFields(message, limits) || !scanner.isAtEnd()) {
    message.hasInfoHash = false;
    return errors.malformedMessage;
  }
  if (seen.action === Action.unknown) return errors.unknownAction;
  if (seen.action === Action.scrape) return finishScrape(message);
  message.kind = seen.hasAnswer ? MessageKind.answer : MessageKind.announce;
  if (!message.hasInfoHash) return seen.hasInfoHashes ? errors.invalidInfoHash : errors.noInfoHash;
  if (seen.peerId === -1) return errors.missingPeerId;
  if (seen.peerId !== peerIdLength) return errors.invalidPeerId;
  return seen.hasAnswer ? finishAnswer(message) : finishAnnounce(message, limits);
}

function finishScrape(message: WebMessage): ClientError | undefined {
  message.kind = MessageKind.scrape;
  if (!seen.hasInfoHashes) return errors.noInfoHash;
  if (!seen.isInfoHashValid) return errors.invalidInfoHash;
  if (message.hasInfoHash) addOnce(message.scrape, message.announce.infoHash);
  return undefined;
}

function finishAnswer(message: WebMessage): ClientError | undefined {
  message.offers = 0;
  if (!seen.hasOfferId || seen.answerStart === seen.answerEnd) return errors.invalidAnswer;
  message.offerIds.set(offerId);
  message.sdpStarts[0] = seen.answerStart;
  message.sdpEnds[0] = seen.answerEnd;
  return undefined;
}

function finishAnnounce(message: WebMessage, limits: MessageLimits): undefined {
  const { announce } = message;
  if (announce.event === AnnounceEvent.stopped) return;
  announce.numWant = Math.min(message.offers, limits.maxOffers);
  if (seen.numwant >= 0) announce.numWant = Math.min(announce.numWant, seen.numwant);
}

/** Reads the object of the message. @returns false if it is malformed */
function readFields(message: WebMessage, limits: MessageLimits): boolean {
  if (!scanner.enter()) return false;
  for (;;) {
    const key = scanner.nextKey();
    if (key === Key.end) return true;
    if (key === Key.malformed) return false;
    if (!readField(key, message, limits)) return false;
  }
}

function readField(key: number, message: WebMessage, limits: MessageLimits): boolean {
  const { announce } = message;
  switch (key) {
    case Field.action:
      return readAction();
    case Field.infoHash:
      return readInfoHash(message);
    case Field.peerId:
      seen.peerId = -2;
      if (!scanner.isString()) return scanner.skipValue();
      if (!scanner.readString()) return false;
      seen.peerId = scanner.decodeBinary(announce.peerId, 0, peerIdLength);
      if (seen.peerId < 0) seen.peerId = -2;
      return true;
    case Field.event:
      if (!scanner.isString()) return scanner.skipValue();
      if (!scanner.readString()) return false;
      announce.event = parseEvent(text, 0, scanner.decodeBinary(text, 0, text.length));
      return true;
    case Field.left:
      return readCounter(announce.counters, 2 * Counter.left, unknown);
    case Field.uploaded:
      return readCounter(announce.counters, 2 * Counter.uploaded, 0);
    case Field.downloaded:
      return readCounter(announce.counters, 2 * Counter.downloaded, 0);
    case Field.numwant:
      if (!scanner.isNumber()) return scanner.skipValue();
      if (!scanner.readNumber()) return false;
      if (scanner.isDigits) seen.numwant = parseNumber(scanner.bytes, scanner.tokenStart, scanner.tokenEnd);
      return true;
    case Field.offers:
      return scanner.isArray() ? readOffers(message, limits) : scanner.skipValue();
    case Field.answer:
      if (!scanner.isNull()) seen.hasAnswer = true;
      if (!scanner.isObject()) return scanner.skipValue();
      if (!readDescription(limits)) return false;
      seen.answerStart = seen.sdpStart;
      seen.answerEnd = seen.sdpEnd;
      return true;
    case Field.offerId:
      if (!scanner.isString()) return scanner.skipValue();
      if (!scanner.readString()) return false;
      seen.hasOfferId = scanner.decodeBinary(offerId, 0, offerIdLength) === offerIdLength;
      return true;
    default:
      return scanner.skipValue();
  }
}

function readAction(): boolean {
  if (!scanner.isString()) return scanner.skipValue();
  if (!scanner.readString()) return false;
  const length = scanner.decodeBinary(text, 0, text.length);
  if (isText("announce", length)) seen.action = Action.announce;
  else if (isText("scrape", length)) seen.action = Action.scrape;
  return true;
}

/** Returns whether the first `length` bytes of {@link text} spell `name`. */
function isText(name: string, length: number): boolean {
  if (length !== name.length) return false;
  for (let i = 0; i < length; i++) if (text[i] !== name.charCodeAt(i)) return false;
  return true;
}

/** Reads one infohash into the announce, or an array of infohashes into the scrape. */
function readInfoHash(message: WebMessage): boolean {
  seen.hasInfoHashes = true;
  if (scanner.isArray()) return readInfoHashes(message);
  if (!scanner.isString()) {
    seen.isInfoHashValid = false;
    return scanner.skipValue();
  }
  if (!scanner.readString()) return false;
  const length = scanner.decodeBinary(message.announce.infoHash, 0, infoHashLength);
  message.hasInfoHash = seen.isInfoHashValid = length === infoHashLength;
  return true;
}

function readInfoHashes({ scrape }: WebMessage): boolean {
  if (!scanner.enter()) return false;
  for (let i = 0; ; i++) {
    const element = scanner.nextElement();
    if (element !== Element.value) return element === Element.end;
    const isString = scanner.isString();
    if (!scanner.skipValue()) return false;
    if (!isString || scanner.decodeBinary(text, 0, infoHashLength) !== infoHashLength)
      seen.isInfoHashValid = false;
    else if (i < scrape.capacity) addOnce(scrape, text); // each is compared with all before
  }
}

/** Reads an unsigned decimal number; leaves the counter alone for any other value. */
function readCounter(counters: Uint32Array, at: number, fallback: number): boolean {
  if (!scanner.isNumber()) return scanner.skipValue();
  if (!scanner.readNumber()) return false;
  if (scanner.isDigits) {
    parseCounter(scanner.bytes, scanner.tokenStart, scanner.tokenEnd, counters, at, fallback);
  }
  return true;
}

function readOffers(message: WebMessage, limits: MessageLimits): boolean {
  if (!scanner.enter()) return false;
  for (let i = 0; ; i++) {
    const element = scanner.nextElement();
    if (element !== Element.value) return element === Element.end;
    const isOffer = i < mostOffers && scanner.isObject();
    if (!isOffer && i < mostOffers) message.invalidOffers++;
    if (!(isOffer ? readOffer(message, limits) : scanner.skipValue())) return false;
  }
}

function readOffer(message: WebMessage, limits: MessageLimits): boolean {
  if (!scanner.enter()) return false;
  const index = message.offers;
  let hasId = false;
  let sdpStart = 0;
  let sdpEnd = 0;
  for (;;) {
    const key = scanner.nextKey();
    if (key === Key.end) break;
    if (key === Key.malformed) return false;
    if (key === Field.offer && scanner.isObject()) {
      if (!readDescription(limits)) return false;
      sdpStart = seen.sdpStart;
      sdpEnd = seen.sdpEnd;
    } else if (key === Field.offerId && scanner.isString()) {
      if (!scanner.readString()) return false;
      hasId = scanner.decodeBinary(message.offerIds, index * offerIdLength, offerIdLength) === offerIdLength;
    } else if (!scanner.skipValue()) {
      return false;
    }
  }
  if (!hasId || sdpStart === sdpEnd) {
    message.invalidOffers++;
    return true;
  }
  message.sdpStarts[index] = sdpStart;
  message.sdpEnds[index] = sdpEnd;
  message.offers++;
  return true;
}

/** Reads the object of an offer or an answer; leaves the place of its SDP in {@link seen}. */
function readDescription(limits: MessageLimits): boolean {
  seen.sdpStart = seen.sdpEnd = 0;
  if (!scanner.enter()) return false;
  for (;;) {
    const key = scanner.nextKey();
    if (key === Key.end) return true;
    if (key === Key.malformed) return false;
    const isSdp = key === Field.sdp && scanner.isString();
    if (!scanner.skipValue()) return false;
    if (isSdp && scanner.tokenEnd - scanner.tokenStart <= limits.maxSdpBytes) {
      seen.sdpStart = scanner.tokenStart;
      seen.sdpEnd = scanner.tokenEnd;
    }
  }
}
