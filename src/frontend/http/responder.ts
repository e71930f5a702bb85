import type { AnnounceRequest } from "../../bittorrent/announce.ts";
import { ClientError, overloadedError } from "../../bittorrent/client-error.ts";
import type { Params } from "../../bittorrent/params.ts";
import type { HttpHandler, RefusalStatus, Rejection, RequestSource } from "../../http/handler.ts";
import type { Routes } from "../../http/routes.ts";
import { Address } from "../../ip/address.ts";
import type { Networks } from "../../ip/networks.ts";
import type { LogicResult, TrackerLogic } from "../../middleware/logic.ts";
import type { RequestReporter } from "../../observability/observer.ts";
import { type AnnounceExtras, parseAnnounceQuery } from "../../protocol/http/announce-query.ts";
import { invalidIp, invalidPort, noInfoHash, unparsableIp } from "../../protocol/http/errors.ts";
import {
  findHeader,
  HeaderValue,
  type HttpRequest,
  Method,
  type RequestRules,
  trackerRules,
} from "../../protocol/http/request-reader.ts";
import {
  writeAnnounceResponse,
  writeFailure,
  writeScrapeResponse,
  writeStatus,
} from "../../protocol/http/response-writer.ts";
import { parseScrapeQuery } from "../../protocol/http/scrape-query.ts";
import { ExchangePool, WaitingRequests } from "../exchange.ts";
import type { Handover } from "../handover.ts";
import { HttpExchange } from "./exchange.ts";
import type { HttpSettings } from "./settings.ts";

/** A request that a route handles. */
interface Routed {
  startedMs: number;
}

const headerValue = new HeaderValue();

/** Responds to announces and scrapes, has routes respond to other requests, and refuses the rest. */
export class Responder implements HttpHandler<HttpExchange> {
  readonly rules: RequestRules;
  readonly #routed = new Set<Routed>();
  readonly #logic: TrackerLogic;
  readonly #requests: RequestReporter | undefined;
  readonly #handover: Handover | undefined;
  #settings: HttpSettings;
  #exchanges: ExchangePool<HttpExchange>;
  readonly #waiting = new WaitingRequests<HttpExchange>();
  /** The exchange of each connection whose request waits; no connection has two. */
  readonly #waitingBySource = new Map<RequestSource, HttpExchange>();

  /**
   * @param requests  reports requests to the observers; without it, requests are not reported
   * @param handover  where another frontend takes over connections
   */
  constructor(
    settings: HttpSettings,
    logic: TrackerLogic,
    requests: RequestReporter | undefined,
    handover?: Handover,
  ) {
    this.#settings = settings;
    const { takesBodies = false, needsHost = trackerRules.needsHost } = settings.routes ?? {};
    this.rules = { takesBodies, needsHost };
    this.#logic = logic;
    this.#requests = requests;
    this.#handover = handover;
    this.#exchanges = createPool(settings);
  }

  get settings(): HttpSettings {
    return this.#settings;
  }

  get #routes(): Routes | undefined {
    return this.#settings.routes;
  }

  /** Sets the settings of all later requests. */
  update(settings: HttpSettings): void {
    const { maxNumWant, maxScrapeInfoHashes } = this.#settings.options;
    const isSameSize =
      settings.options.maxNumWant === maxNumWant &&
      settings.options.maxScrapeInfoHashes === maxScrapeInfoHashes;
    this.#settings = settings;
    if (!isSameSize) this.#exchanges = createPool(settings);
  }

  respond(
    bytes: Uint8Array,
    request: HttpRequest,
    source: RequestSource,
    keepAlive: boolean,
  ): HttpExchange | Promise<HttpExchange | undefined> {
    const pool = this.#exchanges;
    const exchange = pool.current;
    exchange.startedMs = this.#requests?.begin(this.#settings.options.requestTiming) ?? 0;
    exchange.action = "";
    exchange.family = undefined;
    exchange.error = undefined;
    exchange.isHead = request.method === Method.head;
    exchange.keepAlive = keepAlive;
    exchange.heir = undefined;
    let later: void | Promise<HttpExchange | undefined>;
    try {
      later = this.#respond(exchange, bytes, request, source);
    } catch (error) {
      this.#end(exchange, "failed");
      throw error;
    }
    if (later === undefined) return exchange;
    if (exchange.list === undefined) return later; // a route has the request, and the exchange is free
    pool.leaveCurrent();
    exchange.pool = pool;
    return later;
  }

  /** Runs the posthooks. */
  sent(exchange: HttpExchange): void {
    if (exchange.error === undefined && this.#logic.hasPostHooks) exchange.runPostHooks(this.#logic);
    const { pool } = exchange;
    if (pool !== undefined) {
      exchange.pool = undefined;
      pool.giveBack(exchange);
    } else if (exchange.context.isKept) this.#exchanges.leaveCurrent();
  }

  refuse(status: RefusalStatus, isHead: boolean): HttpExchange {
    const exchange = this.#exchanges.current;
    writeStatus(exchange.out, status, false);
    exchange.isHead = isHead;
    exchange.heir = undefined;
    return exchange;
  }

  rejected(reason: Rejection): void {
    this.#requests?.refuse(reason);
  }

  /** Resolves when no request waits any more. */
  drained(): Promise<void> {
    return this.#waiting.drained();
  }

  /** Gives up the requests that still wait: their connections are closed. */
  giveUp(): void {
    this.#waiting.giveUp((exchange) => this.#end(exchange, "stopping"));
    this.#waitingBySource.clear();
    for (const { startedMs } of this.#routed)
      this.#requests?.end(startedMs, "route", undefined, undefined, "stopping");
    this.#routed.clear();
  }

  gaveUp(source: RequestSource): void {
    const exchange = this.#waitingBySource.get(source);
    if (exchange !== undefined && this.#stopWaiting(exchange, source)) this.#end(exchange, "timeout");
  }

  /** @returns undefined if the response is written; otherwise a promise, and the request keeps the exchange */
  #respond(
    exchange: HttpExchange,
    bytes: Uint8Array,
    request: HttpRequest,
    source: RequestSource,
  ): void | Promise<HttpExchange | undefined> {
    const { keepAlive, out } = exchange;
    if (request.method > Method.head) return this.#respondToOther(exchange, bytes, request, source);
    if (request.isUpgrade && this.#upgrade(exchange, bytes, request, source)) return;
    const action = this.#settings.router.findAction(bytes, request.targetStart, request.pathEnd);
    if (action === undefined) {
      if (this.#routes?.has(bytes, request)) return this.#serve(exchange, bytes, request, source);
      // A request with a query may be an announce to a wrong path, so it gets the 404. An absolute target may have no path.
      if (isRoot(request) && request.queryStart === request.targetEnd) {
        writeStatus(out, 200, keepAlive);
        this.#end(exchange);
        return;
      }
      writeStatus(out, 404, keepAlive);
      this.#end(exchange, "not_found");
      return;
    }
    exchange.action = action;
    const result =
      action === "announce"
        ? this.#announce(exchange, bytes, request, source)
        : this.#scrape(exchange, bytes, request, source);
    if (result === noInfoHash && this.#isForRoute(exchange, bytes, request))
      return this.#serve(exchange, bytes, request, source);
    if (result === undefined || result instanceof ClientError) {
      this.#write(exchange, result);
      this.#end(exchange);
      return;
    }
    return this.#respondLater(exchange, result, source);
  }

  /** Has another frontend take over the connection. @returns false for a request of HTTP */
  #upgrade(exchange: HttpExchange, bytes: Uint8Array, request: HttpRequest, source: RequestSource): boolean {
    const upgrader = this.#handover?.upgrader;
    // The program's own routes can take over connections too.
    if (upgrader === undefined || this.#routes?.has(bytes, request)) return false;
    const route = this.#settings.router.match(bytes, request.targetStart, request.pathEnd);
    const announceRoute = route?.action === "announce" ? route : undefined;
    const upgrade = upgrader.upgrade(bytes, request, source, announceRoute);
    if (upgrade === undefined) return false;
    const { out } = exchange;
    const { response, heir } = upgrade;
    out.bytes.set(response, out.bodyAt);
    out.start = out.bodyAt;
    out.headEnd = out.end = out.bodyAt + response.length;
    exchange.keepAlive = heir !== undefined;
    exchange.heir = heir;
    this.#requests?.end(exchange.startedMs, "route", undefined, undefined, heir ? undefined : "refused");
    return true;
  }

  /** Responds to a request that is neither GET nor HEAD. */
  #respondToOther(
    exchange: HttpExchange,
    bytes: Uint8Array,
    request: HttpRequest,
    source: RequestSource,
  ): void | Promise<undefined> {
    const isHealthCheck = request.method === Method.options && isRoot(request);
    if (this.#routes?.takesBodies && !(isHealthCheck && !this.#routes.has(bytes, request)))
      return this.#serve(exchange, bytes, request, source);
    writeStatus(exchange.out, 200, exchange.keepAlive);
    this.#end(exchange);
  }

  /**
   * Whether a route has a request without an infohash to the path of announces or scrapes: a scrape of everything, or an upgrade.
   * Other announces without an infohash are mistakes of clients, which need the error.
   */
  #isForRoute({ action }: HttpExchange, bytes: Uint8Array, request: HttpRequest): boolean {
    if (this.#routes === undefined) return false;
    const { headersEnd } = request;
    const isUpgrade = () => findHeader(bytes, request, "upgrade", headersEnd, headerValue);
    return (action === "scrape" || isUpgrade()) && this.#routes.has(bytes, request);
  }

  /** Has the routes respond to a request. */
  async #serve(
    { startedMs, keepAlive }: HttpExchange,
    bytes: Uint8Array,
    request: HttpRequest,
    source: RequestSource,
  ): Promise<undefined> {
    const routed: Routed = { startedMs };
    this.#routed.add(routed);
    const client = new Address();
    let reason: string | undefined = "failed";
    try {
      reason = reasonOf(await this.#routes!.serve(bytes, request, source, keepAlive, client));
    } finally {
      const isWaiting = this.#routed.delete(routed);
      if (isWaiting) this.#requests?.end(startedMs, "route", client.family, undefined, reason);
    }
  }

  #announce(
    exchange: HttpExchange,
    bytes: Uint8Array,
    request: HttpRequest,
    source: RequestSource,
  ): LogicResult | Promise<LogicResult> {
    const settings = this.#settings;
    const { announceRequest: announce, extras, client } = exchange;
    const problem = parseAnnounceQuery(
      bytes,
      request.queryStart,
      request.targetEnd,
      announce,
      settings,
      extras,
    );
    // Chihaya checks the client's address before the port.
    if (problem !== undefined && problem !== invalidPort) return problem;
    if (!source.resolveClient(bytes, request, client)) return unparsableIp;
    if (problem !== undefined) return problem;
    placePeer(announce, extras, client, settings.spoofers);
    if (!announce.address.isUsable()) return invalidIp;
    exchange.family = announce.address.family;
    if (!announce.compact && !extras.noPeerId) {
      announce.compact = !this.#logic.keepsPeerIds; // strict parsers reject a peer without an id
      exchange.wantPeerIds(!announce.compact);
    } else exchange.wantPeerIds(false);
    this.#setParams(announce.params, bytes, request);
    if (this.#waiting.isFull) return overloadedError;
    return this.#logic.handleAnnounce(announce, exchange.announceResponse, exchange.context);
  }

  #scrape(
    exchange: HttpExchange,
    bytes: Uint8Array,
    request: HttpRequest,
    source: RequestSource,
  ): LogicResult | Promise<LogicResult> {
    const { scrapeRequest: scrape, client } = exchange;
    const problem = parseScrapeQuery(bytes, request.queryStart, request.targetEnd, scrape);
    if (problem !== undefined) return problem;
    if (!source.resolveClient(bytes, request, client)) return unparsableIp;
    if (!client.isUsable()) return invalidIp;
    scrape.address.copyFrom(client);
    exchange.family = client.family;
    this.#setParams(scrape.params, bytes, request);
    if (this.#waiting.isFull) return overloadedError;
    return this.#logic.handleScrape(scrape, exchange.scrapeResponse, exchange.context);
  }

  #setParams(params: Params, bytes: Uint8Array, request: HttpRequest): void {
    params.set(bytes, request.targetStart, request.pathEnd, request.targetEnd);
    params.routes = this.#settings.router;
  }

  async #respondLater(
    exchange: HttpExchange,
    result: Promise<LogicResult>,
    source: RequestSource,
  ): Promise<HttpExchange> {
    exchange.detachParams();
    this.#waiting.add(exchange);
    this.#waitingBySource.set(source, exchange);
    /** Whether the end of the request is still to be reported; undefined before the result. */
    let isWaiting: boolean | undefined;
    try {
      const error = await result;
      isWaiting = this.#stopWaiting(exchange, source);
      this.#write(exchange, error);
    } catch (error) {
      isWaiting ??= this.#stopWaiting(exchange, source);
      if (isWaiting) this.#end(exchange, "failed");
      throw error;
    }
    if (isWaiting) this.#end(exchange);
    return exchange;
  }

  /** @returns false if the request was given up */
  #stopWaiting(exchange: HttpExchange, source: RequestSource): boolean {
    this.#waitingBySource.delete(source);
    return this.#waiting.remove(exchange);
  }

  #end({ startedMs, action, family, error }: HttpExchange, reason?: string): void {
    this.#requests?.end(startedMs, action, family, error, reason);
  }

  #write(exchange: HttpExchange, error: ClientError | undefined): void {
    const { out, action, keepAlive } = exchange;
    exchange.error = error;
    if (error !== undefined) {
      writeFailure(out, error, keepAlive);
    } else if (action === "announce") {
      const { announceRequest, announceResponse, extras, client } = exchange;
      writeAnnounceResponse(out, announceRequest, announceResponse, keepAlive, extras.noPeerId, client);
    } else {
      writeScrapeResponse(out, exchange.scrapeRequest, exchange.scrapeResponse, keepAlive);
    }
  }
}

/** Whether the path of a request is `/` or empty. */
function isRoot({ targetStart, pathEnd }: HttpRequest): boolean {
  return pathEnd - targetStart <= 1;
}

/** Returns why a route has refused a request; undefined for a success. */
function reasonOf(status: number | "gone" | "failed"): string | undefined {
  if (typeof status === "string") return status;
  if (status < 400) return undefined;
  if (status === 404) return "not_found";
  if (status === 405) return "method";
  if (status === 408 || status === 503) return "timeout";
  if (status === 413) return "too_large";
  return status < 500 ? "refused" : "failed";
}

function createPool({ options }: HttpSettings): ExchangePool<HttpExchange> {
  const { maxNumWant, maxScrapeInfoHashes } = options;
  return new ExchangePool(() => new HttpExchange(maxNumWant, maxScrapeInfoHashes));
}

/**
 * Chooses the addresses of an announced peer. The first is `ip`, else the parameter `ipv4` or `ipv6` of the client's family,
 * else the client's address. The parameter of the other family is announced too (BEP 7).
 * @param spoofers  clients whose parameters are believed; undefined means all clients
 */
function placePeer(
  announce: AnnounceRequest,
  extras: AnnounceExtras,
  client: Address,
  spoofers: Networks | undefined,
): void {
  const { address, otherAddress } = announce;
  announce.hasOtherAddress = false;
  address.copyFrom(client);
  if (!extras.hasIp && !extras.hasIpv4 && !extras.hasIpv6) return;
  if (spoofers !== undefined && !spoofers.contains(client)) return;
  if (extras.hasIp) address.copyFrom(extras.ip);
  const [own, hasOwn, other, hasOther] =
    address.family === 4
      ? [extras.ipv4, extras.hasIpv4, extras.ipv6, extras.hasIpv6]
      : [extras.ipv6, extras.hasIpv6, extras.ipv4, extras.hasIpv4];
  if (hasOwn && !extras.hasIp) address.copyFrom(own);
  if (!hasOther) return;
  otherAddress.copyFrom(other);
  announce.hasOtherAddress = true;
}
