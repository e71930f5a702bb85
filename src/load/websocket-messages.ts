import { createClientFrame, Opcode } from "../protocol/websocket/frame-writer.ts";
import type { Population } from "./population.ts";

/** Bytes in UTF-8 of an id that {@link Frame.binary} writes. */
export const binaryBytes = 30;
/** Bytes of a peer id, which is ASCII as in browsers. */
export const peerIdBytes = 20;

const alphabet = Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
const mask = Buffer.of(0x37, 0xfa, 0x21, 0x3d);

/** A description as Chromium makes it for a data channel without STUN: about 630 bytes in JSON. */
const sdp = [
  ...[
    "v=0",
    "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0",
    "a=extmap-allow-mixed",
  ],
  ...["a=msid-semantic: WMS", "m=application 60301 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 192.0.2.15"],
  ...["a=candidate:2179117474 1 udp 2113937151 192.0.2.15 60301 typ host generation 0 network-cost 999"],
  ...[
    "a=ice-ufrag:Qm3d",
    "a=ice-pwd:0vJx1FQmJ5ZlC3n8bTqk5sRw",
    `a=fingerprint:sha-256 ${"A7:".repeat(31)}A7`,
  ],
  ...["a=setup:actpass", "a=mid:0", "a=sctp-port:5000", "a=max-message-size:262144", ""],
].join("\r\n");

/** A masked frame with a text, written once. The fields that differ have fixed offsets and lengths. */
class Frame {
  readonly bytes: Uint8Array;
  readonly #textAt: number;

  constructor(text: string) {
    const payload = Buffer.from(text);
    this.bytes = createClientFrame(Opcode.text, payload, mask);
    this.#textAt = this.bytes.length - payload.length;
  }

  /** Writes one byte of the text. */
  set(at: number, byte: number): void {
    this.bytes[this.#textAt + at] = byte ^ mask[at & 3]!;
  }

  /** Copies bytes into the text. */
  copy(at: number, from: Uint8Array, start: number, length: number): void {
    for (let i = 0; i < length; i++) this.set(at + i, from[start + i]!);
  }

  /** Writes a binary string of which every second character is above U+007F, as in the hash of a torrent: 30 bytes. */
  binary(at: number, source: Uint8Array): void {
    for (let i = 0; i < 20; i += 2) {
      this.set(at++, alphabet[source[i]! & 63]!);
      this.set(at++, 0xc2 | ((source[i + 1]! >> 6) & 1));
      this.set(at++, 0x80 | (source[i + 1]! & 63));
    }
  }

  /** Writes the number of a peer at the end of its id. */
  peerId(at: number, peer: number): void {
    for (let i = 19, rest = peer; i >= 8; i--, rest = Math.floor(rest / 64))
      this.set(at + i, alphabet[rest % 64]!);
  }
}

const placeOfBinary = "#".repeat(binaryBytes);
const placeOfPeerId = `-WW0208-${"$".repeat(12)}`;

/** Returns the offsets of `place` in a text. */
function offsets(text: string, place: string): number[] {
  return [...text.matchAll(new RegExp(place.replaceAll("$", "\\$"), "g"))].map(({ index }) => index);
}

/** An announce of webtorrent in a browser. */
export class AnnounceFrame {
  readonly frame: Frame;
  readonly #infoHashAt: number;
  readonly #peerIdAt: number;
  readonly #leftAt: number;
  readonly #offerIdsAt: readonly number[];
  readonly #id: Uint8Array = new Uint8Array(20);
  readonly #view: DataView = new DataView(this.#id.buffer);

  /** @param event  default: none */
  constructor(offers: number, event?: "started" | "stopped") {
    const description = JSON.stringify({ type: "offer", sdp });
    const list = Array.from(
      { length: offers },
      () => `{"offer":${description},"offer_id":"${placeOfBinary}"}`,
    );
    const field = event === undefined ? "" : `,"event":"${event}"`;
    const text =
      `{"numwant":${offers},"uploaded":0,"downloaded":0,"left":0${field},"action":"announce",` +
      `"info_hash":"${placeOfBinary}","peer_id":"${placeOfPeerId}","offers":[${list.join(",")}]}`;
    this.frame = new Frame(text);
    const [infoHashAt, ...offerIdsAt] = offsets(text, placeOfBinary);
    this.#infoHashAt = infoHashAt!;
    this.#offerIdsAt = offerIdsAt;
    this.#peerIdAt = offsets(text, placeOfPeerId)[0]!;
    this.#leftAt = text.indexOf('"left":') + 7;
  }

  /** Writes the fields of one peer. @param sequence  the number of the announce, for ids of offers that are new */
  write(population: Population, peer: number, sequence: number): void {
    const { frame } = this;
    population.writeInfoHash(population.torrentOf(peer), this.#view, 0);
    frame.binary(this.#infoHashAt, this.#id);
    frame.peerId(this.#peerIdAt, peer);
    frame.set(this.#leftAt, population.isSeeder(peer) ? 0x30 : 0x31);
    for (let i = 0; i < this.#offerIdsAt.length; i++) {
      this.#id.fill(i);
      for (let k = 2, rest = peer; k < 10; k += 2, rest >>>= 6) this.#id[k] = rest;
      for (let k = 10, rest = sequence; k < 20; k += 2, rest >>>= 6) this.#id[k] = rest;
      frame.binary(this.#offerIdsAt[i]!, this.#id);
    }
  }
}

/** An answer to an offer that the tracker has relayed. */
export class AnswerFrame {
  readonly frame: Frame;
  readonly #infoHashAt: number;
  readonly #offerIdAt: number;
  readonly #peerIdAt: number;
  readonly #toPeerIdAt: number;
  readonly #id: Uint8Array = new Uint8Array(20);
  readonly #view: DataView = new DataView(this.#id.buffer);

  constructor() {
    const description = JSON.stringify({ type: "answer", sdp: sdp.replace("actpass", "active") });
    const text =
      `{"action":"announce","info_hash":"${placeOfBinary}","peer_id":"${placeOfPeerId}",` +
      `"to_peer_id":"${placeOfPeerId}","answer":${description},"offer_id":"${placeOfBinary}"}`;
    this.frame = new Frame(text);
    [this.#infoHashAt, this.#offerIdAt] = offsets(text, placeOfBinary) as [number, number];
    [this.#peerIdAt, this.#toPeerIdAt] = offsets(text, placeOfPeerId) as [number, number];
  }

  /**
   * Writes the answer of a peer.
   * @param bytes  has the id of the offer at `offerIdAt`, and the id of the peer that made the offer at `peerIdAt`
   */
  write(population: Population, peer: number, bytes: Uint8Array, offerIdAt: number, peerIdAt: number): void {
    const { frame } = this;
    population.writeInfoHash(population.torrentOf(peer), this.#view, 0);
    frame.binary(this.#infoHashAt, this.#id);
    frame.peerId(this.#peerIdAt, peer);
    frame.copy(this.#toPeerIdAt, bytes, peerIdAt, peerIdBytes);
    frame.copy(this.#offerIdAt, bytes, offerIdAt, binaryBytes);
  }
}

/** Writes a masked pong with the payload of a ping, at most 125 bytes. */
export function pong(payload: Uint8Array): Uint8Array {
  return createClientFrame(Opcode.pong, payload, mask);
}
