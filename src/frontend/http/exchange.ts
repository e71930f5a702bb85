import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { peerIdLength } from "../../bittorrent/info-hash.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { Address, type Family } from "../../ip/address.ts";
import { RequestContext } from "../../middleware/hook.ts";
import { AnnounceExtras } from "../../protocol/http/announce-query.ts";
import { ResponseBuffer } from "../../protocol/http/response-writer.ts";

/** All that one request and its response need, reused from request to request. */
export class Exchange {
  readonly announce: AnnounceRequest = new AnnounceRequest();
  readonly extras: AnnounceExtras = new AnnounceExtras();
  readonly announceResponse: AnnounceResponse;
  readonly scrape: ScrapeRequest;
  readonly scrapeResponse: ScrapeResponse;
  readonly context: RequestContext = new RequestContext();
  /** Where the client is, as far as the proxies are trusted. */
  readonly client: Address = new Address();
  readonly out: ResponseBuffer;
  readonly maxPeers: number;

  /** What was asked; "" for a request that is neither announce nor scrape. */
  action: "" | "announce" | "scrape" = "";
  /** Undefined where the request failed before it was known. */
  family: Family | undefined;
  /** Why the request was refused. */
  error: ClientError | undefined;
  /** Whether the response is its head alone. */
  isHead = false;
  /** Whether the connection stays open after the response. */
  keepAlive = false;
  /** `performance.now()` when the request was read; 0 where requests are not timed. */
  startedAt = 0;

  readonly #peerIds4: Uint8Array;
  readonly #peerIds6: Uint8Array;

  constructor(maxPeers: number, maxInfoHashes: number) {
    this.maxPeers = maxPeers;
    this.out = new ResponseBuffer(maxPeers, maxInfoHashes);
    this.announceResponse = new AnnounceResponse(this.out.peers4, this.out.peers6);
    this.scrape = new ScrapeRequest(maxInfoHashes);
    this.scrapeResponse = new ScrapeResponse(maxInfoHashes);
    this.#peerIds4 = new Uint8Array(maxPeers * peerIdLength);
    this.#peerIds6 = new Uint8Array(maxPeers * peerIdLength);
  }

  /** Tells the store whether peer ids are wanted in this response. */
  wantPeerIds(wanted: boolean): void {
    this.out.peers4.peerIds = wanted ? this.#peerIds4 : undefined;
    this.out.peers6.peerIds = wanted ? this.#peerIds6 : undefined;
  }
}

/** Exchanges that are kept for later beyond the current one. */
const maxFree = 64;

/**
 * Hands out exchanges. The current one serves request after request, until one of them has to wait: that keeps
 * its exchange, and the next request gets another.
 */
export class ExchangePool {
  current: Exchange;
  readonly #maxPeers: number;
  readonly #maxInfoHashes: number;
  readonly #free: Exchange[] = [];

  constructor(maxPeers: number, maxInfoHashes: number) {
    this.#maxPeers = maxPeers;
    this.#maxInfoHashes = maxInfoHashes;
    this.current = new Exchange(maxPeers, maxInfoHashes);
  }

  /** Leaves the current exchange to a request that waits, until {@link giveBack}. */
  leaveCurrent(): void {
    this.current = this.#free.pop() ?? new Exchange(this.#maxPeers, this.#maxInfoHashes);
  }

  /** Takes an exchange back; one that was made for other limits, or that a hook still holds, is let go. */
  giveBack(exchange: Exchange): void {
    if (exchange.context.isKept) return;
    const fits = exchange.maxPeers === this.#maxPeers && exchange.scrape.capacity === this.#maxInfoHashes;
    if (fits && this.#free.length < maxFree) this.#free.push(exchange);
  }
}
