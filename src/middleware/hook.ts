import type { AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import type { ClientError } from "../bittorrent/client-error.ts";
import type { ScrapeRequest, ScrapeResponse } from "../bittorrent/scrape.ts";
import type { PeerStore } from "../storage/peer-store.ts";

/** A key under which one hook stores a value of type `T` for a later hook. Compared by identity. */
export class ContextKey<T> {
  readonly name: string;
  declare readonly type: T;

  constructor(name: string) {
    this.name = name;
  }
}

/** The state of one request across its hooks, from the first prehook to the last posthook. */
export class RequestContext {
  /** A hook that has filled the response sets this: the store then selects no peers and fills no counts. */
  skipResponse = false;
  /** A hook sets this to leave the swarm unchanged. */
  skipSwarm = false;
  /** A hook sets this to take the peer out of the swarm, so that nobody gets it. The response still has other peers. */
  leaveSwarm = false;
  /** Set while a hook still holds the finished request: the frontend then creates a new request object. */
  isKept = false;
  #abandoned: AbortController | undefined;
  readonly #values = new Map<ContextKey<unknown>, unknown>();

  /** Aborted when the deadline of an asynchronous hook has passed. */
  get signal(): AbortSignal {
    this.#abandoned ??= new AbortController();
    return this.#abandoned.signal;
  }

  /** Aborts {@link signal}: the response no longer waits for the hooks. The hooks keep the request. */
  abandon(reason: unknown): void {
    this.isKept = true;
    this.#abandoned ??= new AbortController(); // for a hook that reads `signal` later
    this.#abandoned.abort(reason);
  }

  get<T>(key: ContextKey<T>): T | undefined {
    return this.#values.get(key) as T | undefined;
  }

  set<T>(key: ContextKey<T>, value: T): void {
    this.#values.set(key, value);
  }

  reset(): void {
    this.skipResponse = false;
    this.skipSwarm = false;
    this.leaveSwarm = false;
    this.isKept = false;
    this.#abandoned = undefined;
    if (this.#values.size > 0) this.#values.clear();
  }
}

/** The store's step of an announce, see {@link PeerStore.announce}. */
export type AnnounceStep = PeerStore["announce"];

/** The result of a hook: an error refuses the request, undefined lets it pass. */
export type HookResult = ClientError | undefined | void;

/**
 * One link of the chain: reads a request, may change the response, may refuse the request.
 *
 * A prehook runs before the store's step. It refuses a request by returning (or throwing) a {@link ClientError}, whose
 * text the client sees. Returning is cheaper than throwing. Any other thrown error becomes an internal error. A posthook
 * runs after the response has been handed over. The result of a posthook is ignored; its failure is counted and logged,
 * and stops nothing else.
 *
 * A hook responds at once unless it returns a promise. Only a promise makes the frontend copy the request out of the
 * network's memory and finish it later. The hook owns request and context (a prehook also the response) until it returns
 * or its promise settles. The next request reuses these objects, so copy whatever must live longer.
 */
export interface Hook {
  /** The name of the hook in the config: `torrent approval`. */
  readonly name: string;
  handleAnnounce?(
    request: AnnounceRequest,
    response: AnnounceResponse,
    context: RequestContext,
  ): HookResult | Promise<HookResult>;
  handleScrape?(
    request: ScrapeRequest,
    response: ScrapeResponse,
    context: RequestContext,
  ): HookResult | Promise<HookResult>;
  /**
   * Wraps the store's step of every announce. The returned function runs instead of `next`, with the same contract.
   * `next` is the step of the later hooks, and finally the store's {@link PeerStore.announce}. For prehooks.
   */
  aroundAnnounce?(next: AnnounceStep): AnnounceStep;
  /** Returns true, or why the hook cannot work; `/readyz` then shows the reason and fails. A hook without `ready` is always ready. */
  ready?(): true | string;
  /** Called once before the first request; a rejection stops the start of the tracker. */
  start?(): void | Promise<void>;
  /**
   * Called once, after the last request, to close whatever is open. Also called if the tracker does not start or a reload
   * is refused, even if `start` has failed or was never called.
   */
  stop?(): void | Promise<void>;
}
