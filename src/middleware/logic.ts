import { type AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import { ClientError, internalError } from "../bittorrent/client-error.ts";
import { AnnounceEvent } from "../bittorrent/event.ts";
import type { ExternalIp } from "../bittorrent/external-ip.ts";
import { PeerList } from "../bittorrent/peer-list.ts";
import type { ScrapeRequest, ScrapeResponse } from "../bittorrent/scrape.ts";
import { Address } from "../ip/address.ts";
import { type PeerStore, Step } from "../storage/peer-store.ts";
import { type Chain, type ChainLink, composeChain, type FailureReport } from "./chain.ts";
import type { AnnounceStep, Hook, HookResult, RequestContext } from "./hook.ts";

/** The settings that a reload may change. */
export interface LogicSettings {
  /** Seconds between announces, for responses. */
  interval: number;
  /** Minimum seconds between announces, for responses. */
  minInterval: number;
  /** The addresses under which the store keeps peers of the tracker's own network; by default their own. */
  externalIp?: ExternalIp | undefined;
  preHooks: readonly Hook[];
  postHooks: readonly Hook[];
}

/** The result of the logic: undefined if the response is filled, otherwise the error that refuses the request. */
export type LogicResult = ClientError | undefined;

function announceLinks(hooks: readonly Hook[]): ChainLink<AnnounceRequest, AnnounceResponse>[] {
  return hooks.flatMap((hook) =>
    hook.handleAnnounce ? [{ name: hook.name, handle: hook.handleAnnounce.bind(hook) }] : [],
  );
}

function scrapeLinks(hooks: readonly Hook[]): ChainLink<ScrapeRequest, ScrapeResponse>[] {
  return hooks.flatMap((hook) =>
    hook.handleScrape ? [{ name: hook.name, handle: hook.handleScrape.bind(hook) }] : [],
  );
}

function announceStep(
  { step: performStep, settings: { externalIp } }: Generation,
  request: AnnounceRequest,
  response: AnnounceResponse,
  context: RequestContext,
): void | Promise<void> {
  const step = (context.skipSwarm ? 0 : Step.apply) | (context.skipResponse ? 0 : Step.select);
  if (step === 0) return;
  const isLeaving = context.leaveSwarm && (step & Step.apply) !== 0;
  const announce = isLeaving ? leaving(performStep) : performStep;
  if (externalIp !== undefined) externalIp.replace(request.address);
  if (!request.hasOtherAddress) return announce(request, response, step as Step);
  externalIp?.replace(request.otherAddress);
  return announceBoth(announce, request, response, step as Step);
}

/** Removes the peer as `stopped` does, and then selects peers as the event of the announce says. */
function leaving(announce: AnnounceStep): AnnounceStep {
  return (request, response, step) => {
    const { event } = request;
    request.event = AnnounceEvent.stopped;
    const restore = (): void => {
      request.event = event;
    };
    const select = () => ((step & Step.select) === 0 ? undefined : announce(request, response, Step.select));
    let waiting: void | Promise<void>;
    try {
      waiting = announce(request, createNobody(), Step.apply);
    } catch (error) {
      restore();
      throw error;
    }
    if (waiting !== undefined) return waiting.finally(restore).then(select);
    restore();
    return select();
  };
}

/** Returns a response that nobody reads. */
function createNobody(): AnnounceResponse {
  return new AnnounceResponse(new PeerList(4, new Uint8Array(0)), new PeerList(6, new Uint8Array(0)));
}

/**
 * Performs the step of a peer with an address in both families: applies the announce to the swarm of the other family,
 * then performs the whole step. The response does not list the peer itself.
 */
function announceBoth(
  announce: AnnounceStep,
  request: AnnounceRequest,
  response: AnnounceResponse,
  step: Step,
): void | Promise<void> {
  const { address, otherAddress, port } = request;
  const finish = () => response.peersOf(otherAddress.family).remove(otherAddress, port);
  const main = (): void | Promise<void> => {
    const waiting = announce(request, response, step);
    return waiting === undefined ? finish() : waiting.then(finish);
  };
  if ((step & Step.apply) === 0) return main();
  const nobody = createNobody();
  swap(address, otherAddress);
  let waiting: void | Promise<void>;
  try {
    waiting = announce(request, nobody, Step.apply);
  } catch (error) {
    swap(address, otherAddress);
    throw error;
  }
  if (waiting === undefined) {
    swap(address, otherAddress);
    return main();
  }
  return waiting.finally(() => swap(address, otherAddress)).then(main);
}

function swap(one: Address, other: Address): void {
  const kept = new Address();
  kept.copyFrom(one);
  one.copyFrom(other);
  other.copyFrom(kept);
}

/** The composed hooks between two reloads, and the number of their requests in progress. */
class Generation {
  readonly announce: Chain<AnnounceRequest, AnnounceResponse>;
  readonly scrape: Chain<ScrapeRequest, ScrapeResponse>;
  readonly afterAnnounce: readonly ChainLink<AnnounceRequest, AnnounceResponse>[];
  readonly afterScrape: readonly ChainLink<ScrapeRequest, ScrapeResponse>[];
  readonly settings: LogicSettings;
  /** The store's step of an announce, with the hooks around it; the first hook is the outermost. */
  readonly step: AnnounceStep;
  #underWay = 0;
  #waiting: (() => void)[] = [];

  constructor(settings: LogicSettings, store: PeerStore, report: FailureReport) {
    this.settings = settings;
    this.step = settings.preHooks.reduceRight<AnnounceStep>(
      (next, hook) => hook.aroundAnnounce?.(next) ?? next,
      (request, response, step) => store.announce(request, response, step),
    );
    this.announce = composeChain(announceLinks(settings.preHooks), report);
    this.scrape = composeChain(scrapeLinks(settings.preHooks), report);
    this.afterAnnounce = announceLinks(settings.postHooks);
    this.afterScrape = scrapeLinks(settings.postHooks);
  }

  enter(): void {
    this.#underWay++;
  }

  leave(): void {
    if (--this.#underWay > 0) return;
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
  }

  drained(): Promise<void> {
    if (this.#underWay === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}

/**
 * Handles a request of any protocol: runs the prehooks in order, then the store's step, and after the response the
 * posthooks.
 *
 * For each request a frontend calls `handle*`. If the request was not refused and the response has been handed over, the
 * frontend calls `after*` with the same context: in the same turn of the event loop, or (after a promise) as soon as the
 * promise has settled.
 */
export class TrackerLogic {
  readonly #store: PeerStore;
  readonly #report: FailureReport;
  readonly #seen: ((request: AnnounceRequest) => void) | undefined;
  #generation: Generation;
  /** Settles when the earlier generations are drained. */
  #older: Promise<void> = Promise.resolve();

  /** @param seen  called with each announce before its hooks, to count it; must not throw */
  constructor(
    store: PeerStore,
    settings: LogicSettings,
    report: FailureReport,
    seen?: (request: AnnounceRequest) => void,
  ) {
    this.#store = store;
    this.#report = report;
    this.#seen = seen;
    this.#generation = new Generation(settings, store, this.#report);
  }

  /** Whether the store lists peers with their peer ids. */
  get keepsPeerIds(): boolean {
    return this.#store.keepsPeerIds ?? false;
  }

  /** Whether `after*` has an effect; if not, frontends need not keep their requests. */
  get hasPostHooks(): boolean {
    return this.#generation.settings.postHooks.length > 0;
  }

  /**
   * Swaps hooks and intervals. Requests in progress finish with the prehooks that they began with, but use the new
   * posthooks.
   * @returns a promise that settles when no request uses the old hooks, which the caller may then stop
   */
  update(settings: LogicSettings): Promise<void> {
    return this.prepare(settings)();
  }

  /**
   * Prepares an {@link update}; the returned function cannot fail.
   * @throws any error of a hook's `aroundAnnounce`
   */
  prepare(settings: LogicSettings): () => Promise<void> {
    const next = new Generation(settings, this.#store, this.#report);
    return () => {
      const drained = this.#generation.drained();
      this.#generation = next;
      this.#older = this.#older.then(() => drained);
      return drained;
    };
  }

  /** Resolves when no request waits for a hook (also from before an update) or the store. */
  async drained(): Promise<void> {
    await Promise.all([this.#older, this.#generation.drained()]);
  }

  /**
   * Fills the response to an announce. Never throws and never rejects.
   * @param interval  replaces the interval of the settings, which hooks may change; a shorter one is also the minimum interval
   */
  handleAnnounce(
    request: AnnounceRequest,
    response: AnnounceResponse,
    context: RequestContext,
    interval?: number,
  ): LogicResult | Promise<LogicResult> {
    const generation = this.#generation;
    const { settings } = generation;
    context.reset();
    if (interval === undefined) response.reset(settings.interval, settings.minInterval);
    else response.reset(interval, Math.min(interval, settings.minInterval));
    this.#seen?.(request);
    const result = generation.announce(request, response, context);
    if (result instanceof ClientError) return result;
    if (result !== undefined) {
      return this.#later(generation, result, () => announceStep(generation, request, response, context));
    }
    try {
      const waiting = announceStep(generation, request, response, context);
      return waiting === undefined ? undefined : this.#later(generation, waiting, undefined);
    } catch (error) {
      return this.#stepFailed(error);
    }
  }

  /** Fills the response to a scrape. Never throws and never rejects. */
  handleScrape(
    request: ScrapeRequest,
    response: ScrapeResponse,
    context: RequestContext,
  ): LogicResult | Promise<LogicResult> {
    const generation = this.#generation;
    context.reset();
    response.reset(request.count);
    const result = generation.scrape(request, response, context);
    if (result instanceof ClientError) return result;
    if (result !== undefined) {
      return this.#later(generation, result, () => this.#scrapeStep(request, response, context));
    }
    try {
      const waiting = this.#scrapeStep(request, response, context);
      return waiting === undefined ? undefined : this.#later(generation, waiting, undefined);
    } catch (error) {
      return this.#stepFailed(error);
    }
  }

  /**
   * Removes a peer whose connection is gone: performs the store's step of an announce without prehooks and posthooks. Never
   * throws.
   * @param request  with the event `stopped`; the store keeps the request until the promise settles
   * @returns a promise, which never rejects, if the store responds later
   */
  leave(request: AnnounceRequest): void | Promise<void> {
    const generation = this.#generation;
    try {
      const waiting = generation.step(request, createNobody(), Step.apply);
      if (waiting !== undefined) return this.#later(generation, waiting, undefined).then(() => undefined);
    } catch (error) {
      this.#stepFailed(error);
    }
  }

  /** Runs the posthooks of an announce whose response has been handed over. Never throws. */
  afterAnnounce(request: AnnounceRequest, response: AnnounceResponse, context: RequestContext): void {
    this.#after(this.#generation.afterAnnounce, request, response, context);
  }

  /** Runs the posthooks of a scrape whose response has been handed over. Never throws. */
  afterScrape(request: ScrapeRequest, response: ScrapeResponse, context: RequestContext): void {
    this.#after(this.#generation.afterScrape, request, response, context);
  }

  #scrapeStep(
    request: ScrapeRequest,
    response: ScrapeResponse,
    context: RequestContext,
  ): void | Promise<void> {
    if (!context.skipResponse) return this.#store.scrape(request, response);
  }

  async #later(
    generation: Generation,
    waiting: Promise<HookResult>,
    step: (() => void | Promise<void>) | undefined,
  ): Promise<LogicResult> {
    generation.enter();
    try {
      const refusal = await waiting;
      if (!refusal) await step?.();
      return refusal || undefined;
    } catch (error) {
      return this.#stepFailed(error); // the chain reports its own failures
    } finally {
      generation.leave();
    }
  }

  /** @returns the error for the client: the refusal itself, or an internal error for a failure */
  #stepFailed(error: unknown): ClientError {
    if (error instanceof ClientError) return error;
    this.#report("storage", error);
    return internalError;
  }

  #after<Request extends AnnounceRequest | ScrapeRequest, Response>(
    links: readonly ChainLink<Request, Response>[],
    request: Request,
    response: Response,
    context: RequestContext,
  ): void {
    for (let i = 0; i < links.length; i++) {
      const { name, handle } = links[i]!;
      try {
        const result = handle(request, response, context);
        if (result instanceof Promise) {
          context.isKept = true;
          request.params.detach();
          void this.#watch(name, result);
        }
      } catch (error) {
        this.#report(name, error);
      }
    }
  }

  /** Counts a waiting posthook as a request in progress. */
  async #watch(name: string, waiting: Promise<HookResult>): Promise<void> {
    const generation = this.#generation;
    generation.enter();
    try {
      await waiting;
    } catch (error) {
      this.#report(name, error);
    } finally {
      generation.leave();
    }
  }
}
