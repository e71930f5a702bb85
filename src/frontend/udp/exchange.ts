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

/** Maximum number of peers in a response. */
const maxPeers = {
  4: Math.floor((maxResponseLength[4] - announceHeadLength) / compactLength[4]),
  6: Math.floor((maxResponseLength[6] - announceHeadLength) / compactLength[6]),
} as const;

/** A request over UDP. The store writes peers into the memory of the batch, or into a buffer of the exchange if the request waits. */
export class UdpExchange extends Exchange {
  readonly announceRequest: AnnounceRequest = new AnnounceRequest();
  readonly announceResponse: AnnounceResponse = new AnnounceResponse(
    new PeerList(4, nothing),
    new PeerList(6, nothing),
  );
  readonly scrapeRequest: ScrapeRequest = new ScrapeRequest(maxScrapeInfoHashes);
  readonly scrapeResponse: ScrapeResponse = new ScrapeResponse(maxScrapeInfoHashes);
  /** Buffer for URL data that arrives in several options. */
  readonly urlData: Uint8Array = new Uint8Array(maxUrlDataLength);

  /** Action in the packet: {@link Action.scrape}, or one of the two announce actions. */
  packetAction: number = Action.announce;
  transactionId = 0;
  /** Family of the socket and of `source`. */
  family: Family = 4;
  /** Family for metrics: undefined until the request has been parsed. */
  countedFamily: Family | undefined;
  /** Sender of the datagram; the announced address may differ. */
  readonly source: Address = new Address();
  #response: DataView<ArrayBuffer> | undefined;

  /** Prepares the exchange for the next request. */
  begin(action: number, transactionId: number, family: Family, source: Address): void {
    this.packetAction = action;
    this.action = action === Action.scrape ? "scrape" : "announce";
    this.transactionId = transactionId;
    this.family = family;
    this.countedFamily = undefined;
    this.source.copyFrom(source);
  }

  /** The peers of the response. */
  get peers(): PeerList {
    const { peers4, peers6 } = this.announceResponse;
    return this.family === 4 ? peers4 : peers6;
  }

  /** Makes the store write peers of the socket's family, and no others, into `bytes` from `at` on. */
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
   * Makes the exchange independent of the memory of its batch.
   * @returns a buffer for the response, into which the store will write the peers
   */
  detach(): DataView<ArrayBuffer> {
    this.#response ??= new DataView(new ArrayBuffer(maxResponseLength[4]));
    this.placePeers(new Uint8Array(this.#response.buffer), this.#response, announceHeadLength);
    this.detachParams();
    return this.#response;
  }
}
