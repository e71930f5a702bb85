import { AnnounceRequest } from "../../bittorrent/announce.ts";
import { infoHashLength } from "../../bittorrent/info-hash.ts";
import { ScrapeRequest } from "../../bittorrent/scrape.ts";

/** What a message of a client is. An answer is an announce with an `answer`: it changes no swarm. */
export const MessageKind = { announce: 0, answer: 1, scrape: 2 } as const;
export type MessageKind = (typeof MessageKind)[keyof typeof MessageKind];

/** The most offers of one announce that are read; further offers are skipped. */
export const mostOffers = 20;
/** Bytes of an offer id. */
export const offerIdLength = 20;

/** The operator's limits on a message. */
export interface MessageLimits {
  /** Offers of one announce that are relayed, at most {@link mostOffers}. */
  maxOffers: number;
  /** Bytes of one SDP in JSON, with its quotes and escapes. libtorrent closes its connection above 65,536. */
  maxSdpBytes: number;
}

/**
 * One message of a client, filled by `readMessage` and reused. SDPs stay where they are: the message has their places in
 * {@link bytes}, which the caller owns.
 */
export class WebMessage {
  kind: MessageKind = MessageKind.announce;
  /**
   * Whether the message has one valid `info_hash`, which is then in {@link announce}, whatever the kind. A failure for
   * the message can name this torrent.
   */
  hasInfoHash = false;
  /**
   * Filled by an announce: infohash, peer id, event, counters and `numWant`, the number of offers to relay. An answer
   * fills infohash and peer id. The caller may replace the object between messages.
   */
  announce: AnnounceRequest;
  /** Filled by a scrape; at most its capacity of infohashes. The caller may replace the object between messages. */
  scrape: ScrapeRequest;
  /** The bytes that the places below refer to. */
  bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;
  /** The number of valid offers of an announce. */
  offers = 0;
  /** The number of elements of `offers` that were skipped: no offer, no id of 20 bytes, or a too large SDP. */
  invalidOffers = 0;
  /** The ids of the offers, 20 bytes each. An answer has one id here, the id of the offer that is answered. */
  readonly offerIds: Uint8Array = new Uint8Array(mostOffers * offerIdLength);
  /** Where the SDP of each offer begins and ends: a JSON string with its quotes. An answer has one SDP here. */
  readonly sdpStarts: Uint32Array = new Uint32Array(mostOffers);
  readonly sdpEnds: Uint32Array = new Uint32Array(mostOffers);

  constructor(
    announce: AnnounceRequest = new AnnounceRequest(),
    scrape: ScrapeRequest = new ScrapeRequest(1),
  ) {
    this.announce = announce;
    this.scrape = scrape;
  }

  /** Points at the message in `bytes[start..end)`, and forgets the last message. */
  reset(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.kind = MessageKind.announce;
    this.hasInfoHash = false;
    this.offers = this.invalidOffers = 0;
    this.scrape.reset();
  }

  /** Copies the message out of the caller's bytes, for a request that waits. */
  detach(): void {
    const start = this.#start;
    this.bytes = new Uint8Array(this.bytes.subarray(start, this.#end));
    this.#start = 0;
    this.#end -= start;
    for (let i = 0; i < mostOffers; i++) {
      this.sdpStarts[i]! -= start;
      this.sdpEnds[i]! -= start;
    }
  }

  /** Returns the first byte of the id of the offer at `index` in {@link offerIds}. */
  offerIdAt(index: number): number {
    return index * offerIdLength;
  }
}

/** Adds an infohash to a scrape, unless the scrape has it: a repeated name in the response would be malformed. */
export function addOnce(scrape: ScrapeRequest, infoHash: Uint8Array): void {
  for (let i = 0; i < scrape.count; i++) {
    let same = 0;
    while (same < infoHashLength && scrape.infoHashes[i * infoHashLength + same] === infoHash[same]) same++;
    if (same === infoHashLength) return;
  }
  scrape.add(infoHash, 0);
}
