import type { AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import type { ScrapeRequest, ScrapeResponse } from "../bittorrent/scrape.ts";
import { type Linked, LinkedList } from "../lib/linked-list.ts";
import { RequestContext } from "../middleware/hook.ts";
import type { TrackerLogic } from "../middleware/logic.ts";

/** Maximum number of requests of a frontend that wait for hooks or the store. Each holds an exchange: tens of kilobytes. */
const maxWaiting = 4096;

/** Maximum number of unused exchanges in a pool. */
const maxFree = 64;

/**
 * One request with its response and its context, for any protocol. An exchange serves one request after the other, so that
 * a request allocates nothing.
 */
export abstract class Exchange implements Linked<Exchange> {
  /** Set while the request waits. */
  list: LinkedList<Exchange> | undefined;
  previous: Exchange | undefined;
  next: Exchange | undefined;
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

/** The requests of one frontend that wait for hooks or the store. */
export class WaitingRequests<E extends Exchange> {
  readonly #exchanges = new LinkedList<Exchange>();
  #drained: PromiseWithResolvers<void> | undefined;

  /** Whether no further request may wait. */
  get isFull(): boolean {
    return this.#exchanges.size >= maxWaiting;
  }

  add(exchange: E): void {
    this.#exchanges.add(exchange);
  }

  /** Removes a request that waits no longer. @returns false if the request was given up */
  remove(exchange: E): boolean {
    if (exchange.list === undefined) return false;
    this.#exchanges.remove(exchange);
    if (this.#exchanges.size === 0) this.#drained?.resolve();
    return true;
  }

  /** Resolves when no request waits any more. For a frontend that takes no new requests. */
  drained(): Promise<void> {
    if (this.#exchanges.size === 0) return Promise.resolve();
    this.#drained ??= Promise.withResolvers();
    return this.#drained.promise;
  }

  /** Gives up all requests that still wait. @param end  called with each of them */
  giveUp(end: (exchange: E) => void): void {
    this.#exchanges.forEach((exchange) => {
      if (this.remove(exchange as E)) end(exchange as E);
    });
  }
}
