import type { AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import type { ScrapeRequest, ScrapeResponse } from "../bittorrent/scrape.ts";
import { RequestContext } from "../middleware/hook.ts";
import type { TrackerLogic } from "../middleware/logic.ts";

/** Requests of one frontend that may wait for hooks or the store at once. Each keeps an exchange: tens of kilobytes. */
export const maxWaiting = 4096;

/** Exchanges that a pool keeps for the next requests. */
const maxFree = 64;

/**
 * One request with its response and its context, whichever protocol it comes by. Reused for one request after the other,
 * so that a request allocates nothing.
 */
export abstract class Exchange {
  abstract readonly announceRequest: AnnounceRequest;
  abstract readonly announceResponse: AnnounceResponse;
  abstract readonly scrapeRequest: ScrapeRequest;
  abstract readonly scrapeResponse: ScrapeResponse;
  readonly context: RequestContext = new RequestContext();
  /** What the client asked for; "" for anything but an announce and a scrape. */
  action: "" | "announce" | "scrape" = "";
  /** `performance.now()` when the request was read; 0 where requests are not timed. */
  startedMs = 0;

  /** Copies what points into the network's memory: the request has to wait. */
  detachParams(): void {
    if (this.action === "announce") this.announceRequest.params.detach();
    else this.scrapeRequest.params.detach();
  }

  /** Runs the posthooks. To be called when the response has been handed over, and not after a refusal. */
  runPostHooks(logic: TrackerLogic): void {
    if (this.action === "announce") {
      logic.afterAnnounce(this.announceRequest, this.announceResponse, this.context);
    } else if (this.action === "scrape") {
      logic.afterScrape(this.scrapeRequest, this.scrapeResponse, this.context);
    }
  }
}

/**
 * Hands out exchanges. The current one serves request after request. A request that has to wait keeps its exchange, and the
 * next request gets another.
 */
export class ExchangePool<E extends Exchange> {
  current: E;
  readonly #create: () => E;
  readonly #free: E[] = [];

  constructor(create: () => E) {
    this.#create = create;
    this.current = create();
  }

  /** Returns an exchange that no request uses. */
  take(): E {
    return this.#free.pop() ?? this.#create();
  }

  /** Leaves the current exchange to a request that waits, until {@link giveBack}. */
  leaveCurrent(): void {
    this.current = this.take();
  }

  /** Takes an exchange of this pool back. One that a hook still holds is let go. */
  giveBack(exchange: E): void {
    if (!exchange.context.isKept && this.#free.length < maxFree) this.#free.push(exchange);
  }
}
