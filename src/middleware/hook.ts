import type { AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import type { ClientError } from "../bittorrent/client-error.ts";
import type { ScrapeRequest, ScrapeResponse } from "../bittorrent/scrape.ts";
import type { PeerStore } from "../storage/peer-store.ts";

/** A name under which one hook leaves a value of type `T` for a later one. Compared by identity. */
export class ContextKey<T> {
  readonly name: string;
  declare readonly type: T;

  constructor(name: string) {
    this.name = name;
  }
}

/** What travels with one request through its hooks, from the first prehook to the last posthook. */
export class RequestContext {
  /** Set by a hook that has filled the response itself: the store selects no peers and counts nothing. */
  skipResponse = false;
  /** Set by a hook that wants the swarm left as it is. */
  skipSwarm = false;
  /** Set where a hook still holds the request although it is finished: the frontend makes itself a new one. */
  isKept = false;
  #abandoned: AbortController | undefined;
  readonly #values = new Map<ContextKey<unknown>, unknown>();

  /** Aborted when an asynchronous hook is not waited for any longer: its deadline has passed. */
  get signal(): AbortSignal {
    this.#abandoned ??= new AbortController();
    return this.#abandoned.signal;
  }

  /** Says that nobody waits for the hooks of this request any longer. The request stays theirs. */
  abandon(reason: unknown): void {
    this.isKept = true;
    this.#abandoned ??= new AbortController(); // for a hook that asks for it only now
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
    this.isKept = false;
    this.#abandoned = undefined;
    if (this.#values.size > 0) this.#values.clear();
  }
}

/** The store's step of an announce, as {@link PeerStore.announce} describes it. */
export type AnnounceStep = PeerStore["announce"];

/** Nothing to go on; an error to refuse the request with. */
export type Verdict = ClientError | undefined | void;

/**
 * One link of the chain: looks at a request, may change the response, may refuse.
 *
 * As a prehook it runs before the store's step and decides: it returns (or throws) a {@link ClientError} to refuse,
 * and the client sees its text. Returning is cheaper than throwing. Anything else that is thrown becomes an
 * internal error. As a posthook it runs after the response has been handed over; its verdict is ignored,
 * and a failure is counted and logged and stops nothing else.
 *
 * A hook answers at once, unless it returns a promise: only then is the request copied out of the network's
 * memory and finished later. Request and context are the hook's until it has returned or its promise has settled, the
 * response too for a prehook; then they are used for the next request, so what is kept longer must be copied.
 */
export interface Hook {
  /** The name as in the configuration: `torrent approval`. */
  readonly name: string;
  handleAnnounce?(
    request: AnnounceRequest,
    response: AnnounceResponse,
    context: RequestContext,
  ): Verdict | Promise<Verdict>;
  handleScrape?(
    request: ScrapeRequest,
    response: ScrapeResponse,
    context: RequestContext,
  ): Verdict | Promise<Verdict>;
  /**
   * Puts the hook around the store's step of every announce: what it returns is called instead of `next`, which is the
   * step of the hooks behind it and in the end the store's {@link PeerStore.announce}, with the same contract. For prehooks.
   */
  aroundAnnounce?(next: AnnounceStep): AnnounceStep;
  /** Whether it can do its work, or why not: shown by `/readyz`, which fails meanwhile. Without it: always. */
  ready?(): true | string;
  /** Called once before the first request; a rejection stops the start of the tracker. */
  start?(): void | Promise<void>;
  /**
   * Called once, after the last request. Also called where the tracker does not start or a reload is refused, even if
   * `start` has failed or has not been called: whatever is open must be closed.
   */
  stop?(): void | Promise<void>;
}
