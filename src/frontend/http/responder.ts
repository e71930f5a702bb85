import type { AnnounceRequest } from "../../bittorrent/announce.ts";
import { ClientError, overloadedError } from "../../bittorrent/client-error.ts";
import type { HttpHandler, RefusalStatus, RequestSource } from "../../http/handler.ts";
import type { Address } from "../../ip/address.ts";
import type { Networks } from "../../ip/networks.ts";
import type { LogicResult, TrackerLogic } from "../../middleware/logic.ts";
import { type AnnounceExtras, parseAnnounceQuery } from "../../protocol/http/announce-query.ts";
import { invalidIp, invalidPort, unparsableIp } from "../../protocol/http/errors.ts";
import {
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
import type { RouteMatch } from "../../protocol/router.ts";
import { ExchangePool, maxWaiting } from "../exchange.ts";
import { HttpExchange } from "./exchange.ts";
import type { HttpMetrics } from "./http-metrics.ts";
import type { HttpSettings } from "./settings.ts";

/** Responds to announces and scrapes, and to what comes instead of them. */
export class Responder implements HttpHandler<HttpExchange> {
  readonly rules: RequestRules = trackerRules;
  readonly #logic: TrackerLogic;
  readonly #metrics: HttpMetrics;
  #settings: HttpSettings;
  #exchanges: ExchangePool<HttpExchange>;
  #waiting = 0;

  constructor(settings: HttpSettings, logic: TrackerLogic, metrics: HttpMetrics) {
    this.#settings = settings;
    this.#logic = logic;
    this.#metrics = metrics;
    this.#exchanges = createPool(settings);
  }

  get settings(): HttpSettings {
    return this.#settings;
  }

  /** Takes other settings for all requests to come. */
  update(settings: HttpSettings): void {
    const { maxNumWant, maxScrapeInfoHashes } = this.#settings.options;
    const isSameSize =
      settings.options.maxNumWant === maxNumWant &&
      settings.options.maxScrapeInfoHashes === maxScrapeInfoHashes;
    this.#settings = settings;
    if (!isSameSize) this.#exchanges = createPool(settings);
    this.#metrics.responses.declare();
  }

  respond(
    bytes: Uint8Array,
    request: HttpRequest,
    source: RequestSource,
    keepAlive: boolean,
  ): HttpExchange | Promise<HttpExchange> {
    const pool = this.#exchanges;
    const exchange = pool.current;
    const later = this.#respond(exchange, bytes, request, source, keepAlive);
    if (later === undefined) return exchange;
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
    return exchange;
  }

  /** @returns nothing when the response is there; otherwise a promise, and the exchange belongs to the request */
  #respond(
    exchange: HttpExchange,
    bytes: Uint8Array,
    request: HttpRequest,
    source: RequestSource,
    keepAlive: boolean,
  ): void | Promise<HttpExchange> {
    const { options, router } = this.#settings;
    exchange.action = "";
    exchange.family = undefined;
    exchange.error = undefined;
    exchange.isHead = request.method === Method.head;
    exchange.keepAlive = keepAlive;
    exchange.startedMs = options.requestTiming ? performance.now() : 0;
    if (request.method === Method.options) {
      writeStatus(exchange.out, 200, keepAlive);
      return;
    }
    const route = router.match(bytes, request.targetStart, request.pathEnd);
    if (route === undefined) {
      // With a query it may be an announce that has lost its way. A target of absolute form may have no path at all.
      if (request.pathEnd - request.targetStart <= 1 && request.queryStart === request.targetEnd) {
        writeStatus(exchange.out, 200, keepAlive);
        return;
      }
      this.#metrics.rejected.not_found.inc();
      writeStatus(exchange.out, 404, keepAlive);
      return;
    }
    exchange.action = route.action;
    const outcome =
      route.action === "announce"
        ? this.#announce(exchange, bytes, request, route, source)
        : this.#scrape(exchange, bytes, request, route, source);
    if (outcome === undefined || outcome instanceof ClientError) {
      this.#finish(exchange, outcome);
      return;
    }
    return this.#later(exchange, outcome);
  }

  #announce(
    exchange: HttpExchange,
    bytes: Uint8Array,
    request: HttpRequest,
    route: RouteMatch,
    source: RequestSource,
  ): LogicResult | Promise<LogicResult> {
    const settings = this.#settings;
    const { announceRequest: announce, extras, client } = exchange;
    const wrong = parseAnnounceQuery(
      bytes,
      request.queryStart,
      request.targetEnd,
      announce,
      settings,
      extras,
    );
    // A client that cannot be told comes before a port that is 0 in the order of Chihaya's checks.
    if (wrong !== undefined && wrong !== invalidPort) return wrong;
    if (!source.resolveClient(bytes, request, client)) return unparsableIp;
    if (wrong !== undefined) return wrong;
    placePeer(announce, extras, client, settings.spoofers);
    if (!announce.address.isUsable()) return invalidIp;
    exchange.family = announce.address.family;
    if (!announce.compact && !extras.noPeerId) {
      announce.compact = !this.#logic.keepsPeerIds; // strict parsers fail for a peer without an id
      exchange.wantPeerIds(!announce.compact);
    } else exchange.wantPeerIds(false);
    setParams(announce.params, bytes, request, route);
    if (this.#waiting >= maxWaiting) return overloadedError;
    return this.#logic.handleAnnounce(announce, exchange.announceResponse, exchange.context);
  }

  #scrape(
    exchange: HttpExchange,
    bytes: Uint8Array,
    request: HttpRequest,
    route: RouteMatch,
    source: RequestSource,
  ): LogicResult | Promise<LogicResult> {
    const { scrapeRequest: scrape, client } = exchange;
    const wrong = parseScrapeQuery(bytes, request.queryStart, request.targetEnd, scrape);
    if (wrong !== undefined) return wrong;
    if (!source.resolveClient(bytes, request, client)) return unparsableIp;
    if (!client.isUsable()) return invalidIp;
    scrape.address.copyFrom(client);
    exchange.family = client.family;
    setParams(scrape.params, bytes, request, route);
    if (this.#waiting >= maxWaiting) return overloadedError;
    return this.#logic.handleScrape(scrape, exchange.scrapeResponse, exchange.context);
  }

  async #later(exchange: HttpExchange, outcome: Promise<LogicResult>): Promise<HttpExchange> {
    exchange.detachParams();
    this.#waiting++;
    try {
      this.#finish(exchange, await outcome);
      return exchange;
    } finally {
      this.#waiting--;
    }
  }

  /** Writes the response and counts it. */
  #finish(exchange: HttpExchange, error: ClientError | undefined): void {
    const { out, action, keepAlive, startedMs } = exchange;
    exchange.error = error;
    if (error !== undefined) {
      writeFailure(out, error, keepAlive);
    } else if (action === "announce") {
      const { announceRequest, announceResponse, extras, client } = exchange;
      writeAnnounceResponse(out, announceRequest, announceResponse, keepAlive, extras.noPeerId, client);
    } else {
      writeScrapeResponse(out, exchange.scrapeRequest, exchange.scrapeResponse, keepAlive);
    }
    const milliseconds = startedMs === 0 ? 0 : performance.now() - startedMs;
    this.#metrics.responses.observe(action, exchange.family, error, milliseconds);
  }
}

function createPool({ options }: HttpSettings): ExchangePool<HttpExchange> {
  const { maxNumWant, maxScrapeInfoHashes } = options;
  return new ExchangePool(() => new HttpExchange(maxNumWant, maxScrapeInfoHashes));
}

/**
 * Chooses the addresses of an announced peer: `ip`, else the client's own. `ipv4` or `ipv6` of the same family takes the place of
 * the client's own, and one of the other family is announced too (BEP 7).
 * @param spoofers  the clients whose parameters are believed; undefined for all
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

function setParams(
  params: HttpExchange["announceRequest"]["params"],
  bytes: Uint8Array,
  request: HttpRequest,
  route: RouteMatch,
): void {
  params.set(bytes, request.targetStart, request.pathEnd, request.targetEnd);
  if (route.params !== undefined) params.setRoute(route.params);
}
