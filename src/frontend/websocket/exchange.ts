import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { PeerList } from "../../bittorrent/peer-list.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { mostOffers, WebMessage } from "../../protocol/webtorrent/message.ts";
import { Exchange } from "../exchange.ts";
import type { Session } from "./session.ts";

/** Peers that are drawn for the offers of one announce: some more than offers, to choose among them. */
export const mostCandidates: number = 2 * mostOffers + 4;
/** Bytes of a web peer: handle and generation. */
export const webPeerLength = 6;

/** A message of a client with its response. */
export class WebExchange extends Exchange {
  readonly announceRequest: AnnounceRequest = new AnnounceRequest();
  readonly announceResponse: AnnounceResponse;
  readonly scrapeRequest: ScrapeRequest;
  readonly scrapeResponse: ScrapeResponse;
  readonly message: WebMessage;
  /** The socket of a message that waits. */
  session: Session | undefined;
  /** Number of offers to relay. */
  wanted = 0;

  /** @param hasLink  whether the store lists web peers of other trackers */
  constructor(maxInfoHashes: number, hasLink: boolean) {
    super();
    const none = new Uint8Array(0);
    const webPeers = new PeerList(4, new Uint8Array(mostCandidates * webPeerLength));
    webPeers.limit = mostCandidates;
    this.announceResponse = new AnnounceResponse(new PeerList(4, none), new PeerList(6, none), webPeers);
    if (hasLink) this.announceResponse.webTrackers = new Uint32Array(mostCandidates);
    this.announceRequest.kind = "web";
    this.scrapeRequest = new ScrapeRequest(maxInfoHashes);
    this.scrapeResponse = new ScrapeResponse(maxInfoHashes);
    this.message = new WebMessage(this.announceRequest, this.scrapeRequest);
  }
}
