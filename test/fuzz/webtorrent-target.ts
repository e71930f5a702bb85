import type { ClientError } from "../../src/bittorrent/client-error.ts";
import { eventName } from "../../src/bittorrent/event.ts";
import { ScrapeRequest } from "../../src/bittorrent/scrape.ts";
import { createRandom, type Random } from "../../src/lib/clock.ts";
import {
  invalidAnswer,
  invalidInfoHash,
  invalidPeerId,
  malformedMessage,
  missingPeerId,
  noInfoHash,
  unknownAction,
} from "../../src/protocol/webtorrent/errors.ts";
import { MessageKind, mostOffers, WebMessage } from "../../src/protocol/webtorrent/message.ts";
import { readMessage } from "../../src/protocol/webtorrent/read-message.ts";
import { mostOverhead, writeRelayed } from "../../src/protocol/webtorrent/write.ts";
import { below, mutate, oneIn, pick } from "./mutate.ts";
import { ensure, type FuzzTarget } from "./target.ts";

const capacity = 64 * 1024;
const limits = { maxOffers: 10, maxSdpBytes: 2048 };
const scrapes = 8;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Characters of an SDP whose token is within the limit, however the SDP is escaped. */
const smallSdp = 200;
const most = 2n ** 64n - 1n;

/** Values that clients have sent in any field, and values that parsers trip over; JSON text. */
const oddValues = [
  ...["null", "true", "false", "0", "-0", "0.0", "0e5", "-1", "1", "16384", "9223372036854775807", "1e999"],
  ...["18446744073709551616", "01", "+1", ".5", "1.", "0x0", "NaN", "Infinity", '""', '"0"', "[]", "{}"],
  ...['"<regular>"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"\u2028"', "'a'"],
  ...[
    "[null]",
    '[{"offer":null}]',
    '{"length":1e9}',
    '{"__proto__":1}',
    "[[[[[[[[[]]]]]]]]]",
    '"\\x"',
    '"\u0100"',
  ],
];

/** The fields of a message as JSON.parse returns them. */
interface Parsed {
  action?: unknown;
  answer?: unknown;
  downloaded?: unknown;
  event?: unknown;
  info_hash?: unknown;
  left?: unknown;
  offer_id?: unknown;
  offers?: unknown;
  peer_id?: unknown;
  uploaded?: unknown;
}

/**
 * Messages of WebTorrent clients, generated and mutated, through the reader. Compares what the reader says with what
 * JSON.parse says, and reads relayed offers and answers back with JSON.parse.
 */
export class WebTorrentTarget implements FuzzTarget {
  readonly name = "webtorrent";
  count = 0;
  /** Messages that were not malformed. */
  accepted = 0;
  readonly #random: Random;
  readonly #bytes = new Uint8Array(capacity);
  readonly #encoder = new TextEncoder();
  readonly #out = new Uint8Array(limits.maxSdpBytes + mostOverhead);
  readonly #message = new WebMessage(undefined, new ScrapeRequest(scrapes));
  #start = 0;
  #end = 0;
  /** Whether the message has a key twice, which its parsed form does not show. */
  #isRepeated = false;

  constructor(seed: number) {
    this.#random = createRandom(seed);
  }

  input(): Uint8Array {
    return this.#bytes.slice(this.#start, this.#end);
  }

  run(cases: number): Promise<void> {
    for (let i = 0; i < cases; i++) {
      this.count++;
      this.#case();
    }
    return Promise.resolve();
  }

  check(): void {
    ensure(this.count < 1000 || this.accepted > this.count / 10, () => "hardly a message was accepted");
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  #case(): void {
    const random = this.#random;
    const isWhole = this.#generate();
    const isMutated = !isWhole || oneIn(random, 2);
    if (isMutated) {
      const length = mutate(random, this.#bytes, this.#start, this.#end - this.#start, capacity - 64);
      this.#end = this.#start + length;
    }
    this.#bytes[this.#end] = pick(random, [0x22, 0x30, 0x7d, 0x5c, 0xff]); // nothing behind the end may count
    const before = this.input();
    const error = readMessage(this.#bytes, this.#start, this.#end, this.#message, limits);
    ensure(Buffer.compare(before, this.input()) === 0, () => "the message has been changed");
    if (error === malformedMessage) {
      ensure(!this.#message.hasInfoHash, () => "a malformed message has an infohash");
      ensure(isMutated || this.#isRepeated || !isReadable(before), () => "a readable message is malformed");
      return;
    }
    this.accepted++;
    let parsed: unknown;
    try {
      parsed = JSON.parse(decoder.decode(before));
    } catch (cause) {
      throw new Error(`JSON.parse refuses what was accepted: ${(cause as Error).message}`, { cause });
    }
    ensure(
      typeof parsed === "object" && parsed !== null && !Array.isArray(parsed),
      () => "accepted no object",
    );
    this.#compare(parsed as Parsed, error);
  }

  /** Compares the message with what JSON.parse has made of it. */
  #compare(parsed: Parsed, error: ClientError | undefined): void {
    const message = this.#message;
    const { announce, scrape } = message;
    const infoHash = binary(parsed.info_hash);
    same(message.hasInfoHash, infoHash !== undefined, "hasInfoHash");
    if (infoHash !== undefined) same(text(announce.infoHash), infoHash, "info_hash");
    const expected = expectedError(parsed);
    // A large SDP is refused by the bytes of its token, which the parsed text does not say.
    const isLarge = error === invalidAnswer && `${sdpOf(parsed.answer)}`.length > smallSdp;
    if (!isLarge) same(error?.message, expected?.message, "error");
    if (error !== undefined) return;
    if (parsed.action === "scrape") {
      same(message.kind, MessageKind.scrape, "kind");
      const hashes = [parsed.info_hash].flat().map(binary);
      const read = Array.from({ length: scrape.count }, (_, i) => text(scrape.infoHash(i)));
      same(read.join(), [...new Set(hashes.slice(0, scrapes))].join(), "scraped infohashes");
      return;
    }
    same(text(announce.peerId), binary(parsed.peer_id), "peer_id");
    const isAnswer = (parsed.answer ?? undefined) !== undefined;
    same(message.kind, isAnswer ? MessageKind.answer : MessageKind.announce, "kind");
    if (isAnswer) this.#relay("answer", 0, sdpOf(parsed.answer), binary(parsed.offer_id));
    else this.#compareAnnounce(parsed);
  }

  #compareAnnounce(parsed: Parsed): void {
    const message = this.#message;
    const { announce } = message;
    const event = typeof parsed.event === "string" ? parsed.event.toLowerCase() : "";
    const isKnown = ["started", "stopped", "completed", "paused"].includes(event);
    same(eventName(announce.event), isKnown ? event : "none", "event");
    compareCounter(announce.uploaded, parsed.uploaded, 0n);
    compareCounter(announce.downloaded, parsed.downloaded, 0n);
    compareCounter(announce.left, parsed.left, most);
    const elements = Array.isArray(parsed.offers) ? parsed.offers.slice(0, mostOffers) : [];
    const offers = elements.flatMap((element: unknown) => {
      if (typeof element !== "object" || element === null || Array.isArray(element)) return [];
      const { offer, offer_id } = element as Record<string, unknown>;
      const sdp = sdpOf(offer);
      const offerId = binary(offer_id);
      return sdp === undefined || offerId === undefined ? [] : [{ sdp, offerId }];
    });
    let at = 0;
    for (let i = 0; i < message.offers; i++, at++) {
      const id = text(message.offerIds.subarray(message.offerIdAt(i), message.offerIdAt(i) + 20));
      const sdp: string = JSON.parse(
        decoder.decode(this.#bytes.subarray(message.sdpStarts[i], message.sdpEnds[i])),
      );
      const isThis = (offer: { sdp: string; offerId: string }) => offer.offerId === id && offer.sdp === sdp;
      while (at < offers.length && !isThis(offers[at]!)) at++; // an offer with a large SDP was skipped
      ensure(at < offers.length, () => "an offer that is not there");
      this.#relay("offer", i, offers[at]!.sdp, id);
    }
    same(message.offers + message.invalidOffers, elements.length, "offers");
    if (offers.every(({ sdp }) => sdp.length <= smallSdp))
      same(message.offers, offers.length, "valid offers");
    ensure(announce.numWant <= Math.min(message.offers, limits.maxOffers), () => "numWant is too large");
  }

  /** Writes a relayed offer or answer, and reads it as a client does. */
  #relay(
    kind: "offer" | "answer",
    index: number,
    sdp: string | undefined,
    offerId: string | undefined,
  ): void {
    const { announce, offerIds, offerIdAt, bytes, sdpStarts, sdpEnds } = withOffer(this.#message, index);
    const out = this.#out;
    const end = writeRelayed(
      out,
      0,
      kind,
      announce.infoHash,
      announce.peerId,
      offerIds,
      offerIdAt,
      bytes,
      sdpStarts,
      sdpEnds,
    );
    ensure(end <= sdpEnds - sdpStarts + mostOverhead, () => "more overhead than said");
    const { [kind]: description, ...rest } = JSON.parse(decoder.decode(out.subarray(0, end)));
    same(description.type, kind, "relayed type");
    same(description.sdp, sdp, "relayed sdp");
    same(rest.offer_id, offerId, "relayed offer_id");
    same(rest.info_hash, text(announce.infoHash), "relayed info_hash");
    same(rest.peer_id, text(announce.peerId), "relayed peer_id");
    same(description.sdp.isWellFormed(), true, "well-formed sdp");
  }

  /** Fills the bytes with a message. @returns whether it fits */
  #generate(): boolean {
    const random = this.#random;
    this.#start = below(random, 8);
    const json = this.#json();
    const { read, written } = this.#encoder.encodeInto(
      json,
      this.#bytes.subarray(this.#start, capacity - 128),
    );
    this.#end = this.#start + written;
    return read === json.length;
  }

  #json(): string {
    const random = this.#random;
    const fields: [string, string][] = [
      ["action", this.#string(pick(random, ["announce", "announce", "announce", "scrape", "update", ""]))],
      ["info_hash", this.#id()],
      ["peer_id", this.#id()],
    ];
    const maybe = (name: string, value: () => string) => {
      if (oneIn(random, 2)) fields.push([name, oneIn(random, 8) ? pick(random, oddValues) : value()]);
    };
    maybe("left", () => `${below(random, 3) * random.next()}`);
    maybe("uploaded", () => `${random.next()}`);
    maybe("downloaded", () => `${random.next()}`);
    maybe("numwant", () => `${below(random, 20)}`);
    maybe("event", () => this.#string(pick(random, ["started", "completed", "stopped", "paused", "update"])));
    maybe("offers", () => this.#offers());
    maybe("key", () => this.#string("0123ABCD"));
    if (oneIn(random, 4)) {
      fields.push(
        ["answer", this.#description("answer")],
        ["offer_id", this.#id()],
        ["to_peer_id", this.#id()],
      );
    }
    if (oneIn(random, 8)) fields.push([pick(random, ["__proto__", "x", "", "é"]), pick(random, oddValues)]);
    if (oneIn(random, 8)) fields[below(random, fields.length)]![1] = pick(random, oddValues);
    if (oneIn(random, 16)) {
      const hashes = Array.from({ length: below(random, 12) }, () => this.#id());
      fields[1] = ["info_hash", `[${hashes.join(",")}]`];
    }
    this.#isRepeated = oneIn(random, 32);
    if (this.#isRepeated) fields.push(pick(random, fields));
    if (oneIn(random, 64)) for (let i = 0; i < 70; i++) fields.push([`k${i}`, "1"]);
    return this.#object(fields);
  }

  #offers(): string {
    const random = this.#random;
    const one = () => {
      if (oneIn(random, 16)) return pick(random, oddValues);
      const fields: [string, string][] = [
        ["offer", this.#description("offer")],
        ["offer_id", this.#id()],
      ];
      if (oneIn(random, 16)) fields.push(["extra", pick(random, oddValues)]);
      return this.#object(fields);
    };
    return `[${Array.from({ length: below(random, oneIn(random, 16) ? 24 : 4) }, one).join(`,${this.#space()}`)}]`;
  }

  #description(type: string): string {
    const random = this.#random;
    if (oneIn(random, 32)) return pick(random, oddValues);
    let sdp = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n";
    if (oneIn(random, 4))
      sdp += pick(random, ["é", "\u{1f600}", "\u2028", "\0", '"\\/', "\ud800", "\udfff", "\x7f"]);
    if (oneIn(random, 16)) sdp += "a=candidate:1\r\n".repeat(below(random, 200));
    return this.#object([
      ["type", `"${type}"`],
      ["sdp", oneIn(random, 16) ? pick(random, oddValues) : this.#string(sdp)],
    ]);
  }

  /** An object with its fields in any order. */
  #object(fields: [string, string][]): string {
    const random = this.#random;
    for (let i = fields.length - 1; i > 0; i--) {
      const other = below(random, i + 1);
      [fields[i], fields[other]] = [fields[other]!, fields[i]!];
    }
    const texts = fields.map(([name, value]) => `${this.#string(name)}${this.#space()}:${value}`);
    return `${this.#space()}{${texts.join(`${this.#space()},${this.#space()}`)}}${this.#space()}`;
  }

  #space(): string {
    if (oneIn(this.#random, 1024)) return pick(this.#random, ["\u00a0", "\f", "\ufeff", "//", ","]);
    return oneIn(this.#random, 16) ? pick(this.#random, [" ", "\n", "\r\n", "\t"]) : "";
  }

  #id(): string {
    const random = this.#random;
    if (oneIn(random, 64)) return pick(random, oddValues);
    let id = pick(random, ["a", "b", "\x00é\x1f"]).repeat(20).slice(0, 20);
    if (oneIn(random, 2))
      id = Array.from({ length: 20 }, () => String.fromCharCode(random.next() & 0xff)).join("");
    if (oneIn(random, 32)) id = id.slice(below(random, 20)) + pick(random, ["", "é", "\u0100", "😀"]);
    return this.#string(id);
  }

  /** A string, now and then with other escapes than needed. */
  #string(value: string): string {
    const random = this.#random;
    const json = JSON.stringify(value);
    if (!oneIn(random, 8)) return json;
    let escaped = "";
    for (const character of value.split("")) {
      const code = character.charCodeAt(0);
      const hex = code.toString(16).padStart(4, "0");
      const forms = [JSON.stringify(character).slice(1, -1), `\\u${hex}`, `\\u${hex.toUpperCase()}`];
      if (character === "/") forms.push("\\/");
      escaped += pick(random, forms);
    }
    return `"${escaped}"`;
  }
}

function withOffer(message: WebMessage, index: number) {
  const { announce, offerIds, bytes } = message;
  const sdpStarts = message.sdpStarts[index]!;
  const sdpEnds = message.sdpEnds[index]!;
  return { announce, offerIds, offerIdAt: message.offerIdAt(index), bytes, sdpStarts, sdpEnds };
}

/** Returns whether the bytes are a message that JSON.parse accepts, and that is within the limits of the reader. */
function isReadable(bytes: Uint8Array): boolean {
  try {
    const parsed: unknown = JSON.parse(decoder.decode(bytes));
    return (
      typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) && isWithinLimits(parsed, 1)
    );
  } catch {
    return false;
  }
}

function isWithinLimits(value: unknown, depth: number): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  const entries = Object.entries(value);
  if (depth > 8 || (!Array.isArray(value) && entries.length > 64)) return false;
  return entries.every(([key, entry]) => key.isWellFormed() && isWithinLimits(entry, depth + 1));
}

/** Returns a binary string of 20 bytes, or undefined for any other value. */
function binary(value: unknown): string | undefined {
  return typeof value === "string" && /^[\0-\xff]{20}$/.test(value) ? value : undefined;
}

function sdpOf(description: unknown): string | undefined {
  if (typeof description !== "object" || description === null || Array.isArray(description)) return undefined;
  const { sdp } = description as { sdp?: unknown };
  return typeof sdp === "string" ? sdp : undefined;
}

/** Compares a counter with a number that JSON.parse has rounded, and that may have been written as -0, 1.0 or 1e3. */
function compareCounter(read: bigint, value: unknown, unknown: bigint): void {
  const isCount = typeof value === "number" && (Number(read) === value || (read === most && value > 2 ** 64));
  ensure(read === unknown || isCount, () => "a counter");
  if (value === 0 && read !== 0n) ensure(unknown === most, () => "0 is a count");
}

/** Returns the error that a message deserves, which JSON.parse has taken. */
function expectedError(parsed: Parsed): ClientError | undefined {
  const { action, answer, info_hash } = parsed;
  if (action !== "announce" && action !== "scrape") return unknownAction;
  if (!Object.hasOwn(parsed, "info_hash")) return noInfoHash;
  if (action === "scrape") return [info_hash].flat().every(binary) ? undefined : invalidInfoHash;
  if (binary(info_hash) === undefined) return invalidInfoHash;
  if (!Object.hasOwn(parsed, "peer_id")) return missingPeerId;
  if (binary(parsed.peer_id) === undefined) return invalidPeerId;
  if (answer === undefined || answer === null) return undefined;
  return sdpOf(answer) === undefined || binary(parsed.offer_id) === undefined ? invalidAnswer : undefined;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

function same(actual: unknown, expected: unknown, what: string): void {
  ensure(Object.is(actual, expected), () => `${what}: ${String(actual)} instead of ${String(expected)}`);
}
