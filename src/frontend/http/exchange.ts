import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { peerIdLength } from "../../bittorrent/info-hash.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import type { WholeResponse } from "../../http/handler.ts";
import { Address, type Family } from "../../ip/address.ts";
import type { StreamHandler } from "../../net/stream.ts";
import { AnnounceExtras } from "../../protocol/http/announce-query.ts";
import { ResponseBuffer } from "../../protocol/http/response-writer.ts";
import { Exchange, type ExchangePool } from "../exchange.ts";

/** A request over HTTP with the bytes of its response. */
export class HttpExchange extends Exchange implements WholeResponse {
  readonly announceRequest: AnnounceRequest = new AnnounceRequest();
  readonly extras: AnnounceExtras = new AnnounceExtras();
  readonly announceResponse: AnnounceResponse;
  readonly scrapeRequest: ScrapeRequest;
  readonly scrapeResponse: ScrapeResponse;
  /** Address of the client, taken from headers of trusted proxies. */
  readonly client: Address = new Address();
  readonly out: ResponseBuffer;

  /** Family of the announced address, or of the client; undefined if the request failed before the address was known. */
  family: Family | undefined;
  /** Why the request was refused. */
  error: ClientError | undefined;
  /** Whether only the head of the response is sent. */
  isHead = false;
  /** Whether the connection stays open after the response. */
  keepAlive = false;
  /** Takes over the connection after the response. */
  heir: StreamHandler<unknown> | undefined;
  /** Pool that the exchange returns to after its response; undefined unless its request has waited. */
  pool: ExchangePool<HttpExchange> | undefined;

  readonly #peerIds4: Uint8Array;
  readonly #peerIds6: Uint8Array;

  constructor(maxPeers: number, maxInfoHashes: number) {
    super();
    this.out = new ResponseBuffer(maxPeers, maxInfoHashes);
    this.announceResponse = new AnnounceResponse(this.out.peers4, this.out.peers6);
    this.scrapeRequest = new ScrapeRequest(maxInfoHashes);
    this.scrapeResponse = new ScrapeResponse(maxInfoHashes);
    this.#peerIds4 = new Uint8Array(maxPeers * peerIdLength);
    this.#peerIds6 = new Uint8Array(maxPeers * peerIdLength);
  }

  /** Sets whether the store writes peer ids into this response. */
  wantPeerIds(wanted: boolean): void {
    this.out.peers4.peerIds = wanted ? this.#peerIds4 : undefined;
    this.out.peers6.peerIds = wanted ? this.#peerIds6 : undefined;
  }
}
