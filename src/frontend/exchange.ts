import type { AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import type { ScrapeRequest, ScrapeResponse } from "../bittorrent/scrape.ts";
import { RequestContext } from "../middleware/hook.ts";
import type { TrackerLogic } from "../middleware/logic.ts";

/** Maximum number of requests of a frontend that wait for hooks or the store. Each holds an exchange: tens of kilobytes. */
export const maxWaiting = 4096;

/** Maximum number of unused exchanges in a pool. */
const maxFree = 64;

/**
 * One request with its response and its context, for any protocol. An exchange serves one request after the other, so that
 * a request allocates nothing.
 */
export abstract class Exchange {
  abstract readonly announceRequest: AnnounceRequest;
  abstract readonly announceResponse: AnnounceResponse;
  abstract readonly scrapeRequest: ScrapeRequest;
  abstract readonly scrapeResponse: ScrapeResponse;
  readonly context: RequestContext = new RequestContext();
  /** The kind of request; "" for anything but an announce and a scrape. */
  action: "" | "announce" | "scrape" = "";
  /** `performance.now()` when the request was read; 0 if responses are not timed. */
  startedMs = 0;

  /** Copies parameters out of the network's memory. Call it for a request that waits. */
  detachParams(): void {
    if (this.action === "announce") this.announceRequest.params.detach();
    else this.scrapeRequest.params.detach();
  }

  /** Runs the posthooks. Call it after sending the response, but not after a refusal. */
  runPostHooks(logic: TrackerLogic): void {
    if (this.action === "announce") {
      logic.afterAnnounce(this.announceRequest, this.announceResponse, this.context);
    } else if (this.action === "scrape") {
      logic.afterScrape(this.scrapeRequest, this.scrapeResponse, this.context);
    }
  }
}

/**
 * A pool of exchanges. The current exchange serves request after request. A request that waits keeps its exchange, and the
 * next request gets another one.
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

  /** Returns an exchange to the pool. The pool drops an exchange that a hook still uses. */
  giveBack(exchange: E): void {
    if (!exchange.context.isKept && this.#free.length < maxFree) this.#free.push(exchange);
  }
}
