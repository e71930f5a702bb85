import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { compactLength, PeerList } from "../../bittorrent/peer-list.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { Address, type Family } from "../../ip/address.ts";
import { maxUrlDataLength } from "../../protocol/udp/options.ts";
import {
  Action,
  announceHeadLength,
  maxResponseLength,
  maxScrapeInfoHashes,
} from "../../protocol/udp/packet.ts";
import { Exchange } from "../exchange.ts";

const nothing = new Uint8Array(0);

/** Peers that fit into an answer. */
const maxPeers = {
  4: Math.floor((maxResponseLength[4] - announceHeadLength) / compactLength[4]),
  6: Math.floor((maxResponseLength[6] - announceHeadLength) / compactLength[6]),
} as const;

/** A request over UDP. The store writes its peers into the batch's memory, unless the request has to outlive the batch. */
export class UdpExchange extends Exchange {
  readonly announceRequest: AnnounceRequest = new AnnounceRequest();
  readonly announceResponse: AnnounceResponse = new AnnounceResponse(
    new PeerList(4, nothing),
    new PeerList(6, nothing),
  );
  readonly scrapeRequest: ScrapeRequest = new ScrapeRequest(maxScrapeInfoHashes);
  readonly scrapeResponse: ScrapeResponse = new ScrapeResponse(maxScrapeInfoHashes);
  /** Room for URL data that came in parts. */
  readonly urlData: Uint8Array = new Uint8Array(maxUrlDataLength);

  /** The number in the packet: {@link Action.scrape}, or an announce in one of its two forms. */
  packetAction: number = Action.announce;
  transactionId = 0;
  /** Of the socket, and so of `source`. */
  family: Family = 4;
  /** The same once the request has been read, for metrics. */
  countedFamily: Family | undefined;
  /** Where the datagram came from, which need not be the address that is announced. */
  readonly source: Address = new Address();
  #answer: DataView<ArrayBuffer> | undefined;

  /** Notes how the next request is to be answered. */
  begin(action: number, transactionId: number, family: Family, source: Address, startedMs: number): void {
    this.packetAction = action;
    this.action = action === Action.scrape ? "scrape" : "announce";
    this.transactionId = transactionId;
    this.family = family;
    this.countedFamily = undefined;
    this.source.copyFrom(source);
    this.startedMs = startedMs;
  }

  /** The peers of the family that this request is answered with. */
  get peers(): PeerList {
    const { peers4, peers6 } = this.announceResponse;
    return this.family === 4 ? peers4 : peers6;
  }

  /** Lets the store write peers of the socket's family, and only those, into `bytes`, at `at` and after. */
  placePeers(bytes: Uint8Array, view: DataView, at: number): void {
    const { peers4, peers6 } = this.announceResponse;
    peers4.limit = peers6.limit = 0;
    const { peers } = this;
    peers.bytes = bytes;
    peers.view = view;
    peers.at = at;
    peers.limit = maxPeers[this.family];
  }

  /**
   * Makes the exchange independent of the batch that it came in.
   * @returns its own memory for the answer, where the peers will already be in their place
   */
  detach(): DataView<ArrayBuffer> {
    this.#answer ??= new DataView(new ArrayBuffer(maxResponseLength[4]));
    this.placePeers(new Uint8Array(this.#answer.buffer), this.#answer, announceHeadLength);
    this.detachParams();
    return this.#answer;
  }
}
