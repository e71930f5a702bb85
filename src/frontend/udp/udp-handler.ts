import { ClientError } from "../../bittorrent/client-error.ts";
import type { Family } from "../../ip/address.ts";
import { Networks } from "../../ip/networks.ts";
import type { Clock } from "../../lib/clock.ts";
import type { LogicResult, TrackerLogic } from "../../middleware/logic.ts";
import type { DatagramBatch, DatagramHandler, DatagramSocket, SendResponse } from "../../net/datagram.ts";
import type { RequestReporter } from "../../observability/observer.ts";
import { Router } from "../../protocol/router.ts";
import type { ConnectionIds } from "../../protocol/udp/connection-id.ts";
import {
  Action,
  announceHeadLength,
  badConnectionId,
  connectMagic,
  malformedPacket,
  maxResponseLength,
  requestHeadLength,
  unknownAction,
} from "../../protocol/udp/packet.ts";
import { type AnnounceRules, parseAnnounce, parseScrape } from "../../protocol/udp/parse.ts";
import { writeAnnounce, writeConnect, writeError, writeScrape } from "../../protocol/udp/write.ts";
import { ExchangePool, WaitingRequests } from "../exchange.ts";
import type { Traffic } from "../traffic.ts";
import { ErrorLimiter } from "./error-limiter.ts";
import { UdpExchange } from "./exchange.ts";
import type { UdpOptions } from "./options.ts";
import type { DropReason } from "./requests.ts";

export interface UdpHandlerDeps {
  logic: TrackerLogic;
  clock: Clock;
  ids: ConnectionIds;
  /** Reports requests to the observers; without it, requests are not reported. */
  requests?: RequestReporter | undefined;
  /** Counts bytes; without it, they are not counted. */
  traffic?: Traffic | undefined;
  onError: (error: Error) => void;
}

/** Responds to datagrams: parses and writes packets of BEP 15, and passes requests to the tracker's logic. */
export class UdpHandler implements DatagramHandler {
  #options: UdpOptions;
  #rules: AnnounceRules;
  #router: Router;
  /** Whether new requests are dropped; waiting requests still get their responses. */
  isStopping = false;
  readonly #deps: UdpHandlerDeps;
  readonly #requests: RequestReporter | undefined;
  readonly #limiter = new ErrorLimiter();
  readonly #pool = new ExchangePool(() => new UdpExchange());
  /** One exchange for all slots of a batch; with posthooks, one for each slot, because posthooks run after the batch. */
  readonly #exchanges: UdpExchange[] = [];
  /** The first `#respondedCount` are the exchanges of this batch whose posthooks must still run. */
  readonly #responded: UdpExchange[] = [];
  #respondedCount = 0;
  readonly #waiting = new WaitingRequests<UdpExchange>();

  constructor(options: UdpOptions, deps: UdpHandlerDeps) {
    this.#options = options;
    this.#rules = rulesOf(options);
    this.#router = new Router(options.announceRoutes, []);
    this.#deps = deps;
    this.#requests = deps.requests;
  }

  /** Prepares a reload. @returns a function that applies the options @throws RangeError for an invalid route or network */
  prepare(options: UdpOptions): () => void {
    const router = new Router(options.announceRoutes, []);
    const rules = rulesOf(options);
    return () => {
      this.#router = router;
      this.#rules = rules;
      this.#options = options;
    };
  }

  handleBatch(socket: DatagramSocket, batch: DatagramBatch, count: number, family: Family): void {
    const { traffic, logic } = this.#deps;
    const { hasPostHooks } = logic;
    let received = 0;
    let sent = 0;
    this.#requests?.beginBatch(this.#options.requestTiming);
    for (let slot = 0; slot < count; slot++) {
      const startedMs = this.#requests?.begin(this.#options.requestTiming) ?? 0;
      try {
        batch.outLength[slot] = this.#handle(socket, batch, slot, family, hasPostHooks, startedMs);
      } catch (error) {
        batch.outLength[slot] = this.#drop("failed", startedMs);
        this.#deps.onError(error as Error);
      }
      received += batch.length[slot]!;
      sent += batch.outLength[slot]!;
    }
    traffic?.received.inc(received);
    traffic?.sent.inc(sent);
  }

  afterBatch(): void {
    this.#requests?.endBatch();
    const count = this.#respondedCount;
    this.#respondedCount = 0;
    for (let i = 0; i < count; i++) {
      const exchange = this.#responded[i]!;
      exchange.runPostHooks(this.#deps.logic);
      if (exchange.context.isKept) this.#exchanges[this.#exchanges.indexOf(exchange)] = this.#pool.take();
    }
  }

  /** Resolves when no request is waiting. */
  drained(): Promise<void> {
    return this.#waiting.drained();
  }

  /** Gives up the requests that still wait: there will be no socket to respond by. */
  giveUp(): void {
    this.#waiting.giveUp(({ action, countedFamily, startedMs }) => {
      this.#drop("stopping", startedMs, action, countedFamily);
    });
  }

  /** Handles one datagram. @returns the length of the response in bytes; 0 to drop the datagram */
  #handle(
    socket: DatagramSocket,
    batch: DatagramBatch,
    slot: number,
    family: Family,
    hasPostHooks: boolean,
    startedMs: number,
  ): number {
    const { view } = batch;
    const { ids, clock } = this.#deps;
    const source = batch.address[slot]!;
    const length = batch.length[slot]!;
    const at = batch.inAt(slot);
    const outAt = batch.outAt(slot);
    if (this.isStopping) return this.#drop("stopping", startedMs);
    if (batch.port[slot] === 0 || !source.isUsable()) return this.#drop("source", startedMs);
    if (length < requestHeadLength) {
      return this.#drop("short", startedMs, "", undefined, malformedPacket);
    }
    const action = view.getUint32(at + 8);
    const transactionId = view.getUint32(at + 12);

    if (action === Action.connect) {
      if (view.getUint32(at) !== connectMagic.high || view.getUint32(at + 4) !== connectMagic.low) {
        return this.#drop("magic", startedMs, "connect", undefined, malformedPacket);
      }
      const end = writeConnect(view, outAt, transactionId, ids, source, clock.unixSeconds);
      this.#requests?.end(startedMs, "connect", family);
      return end - outAt;
    }

    if (!ids.isValid(view, at, source, clock.unixSeconds)) {
      // The error must be smaller than the request: otherwise two trackers that read each other's errors as requests
      // would send errors for ever.
      const end = this.#limiter.allows(source, clock.seconds)
        ? writeError(batch.bytes, view, outAt, transactionId, badConnectionId, length - 1)
        : outAt;
      if (end === outAt) return this.#drop("unverified", startedMs, "", undefined, badConnectionId);
      this.#requests?.end(startedMs, "", undefined, badConnectionId);
      return end - outAt;
    }

    if (action !== Action.scrape && action !== Action.announce && action !== Action.announceIPv6) {
      const end = this.#refuse(batch, outAt, transactionId, family, unknownAction);
      this.#requests?.end(startedMs, "", undefined, unknownAction);
      return end;
    }
    if (this.#waiting.isFull) return this.#drop("overloaded", startedMs, actionName(action));
    const index = hasPostHooks ? slot : 0;
    this.#exchanges[index] ??= this.#pool.take();
    const exchange = this.#exchanges[index];
    exchange.begin(action, transactionId, family, source);
    const result =
      action === Action.scrape
        ? this.#scrape(batch, at, length, exchange)
        : this.#announce(batch, at, length, outAt, action, exchange);

    if (result === undefined) {
      const end = this.#write(view, outAt, exchange);
      if (hasPostHooks) this.#responded[this.#respondedCount++] = exchange;
      this.#requests?.end(startedMs, exchange.action, family);
      return end - outAt;
    }
    if (result instanceof ClientError) {
      const end = this.#refuse(batch, outAt, transactionId, family, result);
      this.#requests?.end(startedMs, exchange.action, exchange.countedFamily, result);
      return end;
    }
    this.#exchanges[index] = this.#pool.take();
    exchange.startedMs = this.#requests?.postpone(startedMs) ?? 0;
    void this.#respondLater(socket.replyPath(slot), exchange, exchange.detach(), result);
    return 0;
  }

  #announce(
    batch: DatagramBatch,
    at: number,
    length: number,
    outAt: number,
    action: typeof Action.announce | typeof Action.announceIPv6,
    exchange: UdpExchange,
  ): LogicResult | Promise<LogicResult> {
    const { announceRequest: request, urlData, source } = exchange;
    const { bytes, view } = batch;
    request.params.routes = this.#router;
    const refusal = parseAnnounce(bytes, view, at, length, action, source, this.#rules, urlData, request);
    if (refusal) return refusal;
    exchange.countedFamily = exchange.family;
    exchange.placePeers(bytes, view, outAt + announceHeadLength);
    return this.#deps.logic.handleAnnounce(request, exchange.announceResponse, exchange.context);
  }

  #scrape(
    batch: DatagramBatch,
    at: number,
    length: number,
    exchange: UdpExchange,
  ): LogicResult | Promise<LogicResult> {
    const { scrapeRequest: request, source } = exchange;
    const refusal = parseScrape(batch.bytes, at, length, source, this.#options.maxScrapeInfoHashes, request);
    if (refusal) return refusal;
    exchange.countedFamily = exchange.family;
    return this.#deps.logic.handleScrape(request, exchange.scrapeResponse, exchange.context);
  }

  /** Writes the response of an exchange. @returns the offset after the response */
  #write(view: DataView, at: number, exchange: UdpExchange): number {
    const { packetAction, transactionId } = exchange;
    if (exchange.action === "scrape") {
      return writeScrape(view, at, transactionId, exchange.scrapeResponse, exchange.scrapeRequest.count);
    }
    return writeAnnounce(view, at, packetAction, transactionId, exchange.announceResponse, exchange.peers);
  }

  /** Sends the response when the logic has decided. */
  async #respondLater(
    send: SendResponse,
    exchange: UdpExchange,
    view: DataView<ArrayBuffer>,
    waiting: Promise<LogicResult>,
  ): Promise<void> {
    this.#waiting.add(exchange);
    /** Whether the end of the request is still to be reported; undefined before the result. */
    let isWaiting: boolean | undefined;
    try {
      const refusal = await waiting;
      isWaiting = this.#waiting.remove(exchange);
      const { family, transactionId } = exchange;
      const bytes = new Uint8Array(view.buffer);
      const end = refusal
        ? writeError(bytes, view, 0, transactionId, refusal, maxResponseLength[family])
        : this.#write(view, 0, exchange);
      send(bytes, 0, end);
      this.#deps.traffic?.sent.inc(end);
      if (isWaiting) this.#requests?.end(exchange.startedMs, exchange.action, family, refusal);
      isWaiting = false;
      if (!refusal) exchange.runPostHooks(this.#deps.logic);
      this.#pool.giveBack(exchange);
    } catch (error) {
      isWaiting ??= this.#waiting.remove(exchange);
      if (isWaiting) this.#drop("failed", exchange.startedMs, exchange.action, exchange.countedFamily);
      this.#deps.onError(error as Error);
    }
  }

  /** Writes an error for a verified address. @returns its length in bytes */
  #refuse(
    batch: DatagramBatch,
    outAt: number,
    transactionId: number,
    family: Family,
    error: ClientError,
  ): number {
    return (
      writeError(batch.bytes, batch.view, outAt, transactionId, error, maxResponseLength[family]) - outAt
    );
  }

  /** Reports a datagram without a response. @param family  undefined for an unreadable request, as in Chihaya */
  #drop(
    reason: DropReason,
    startedMs: number,
    action = "",
    family?: Family | undefined,
    error?: ClientError,
  ): 0 {
    this.#requests?.end(startedMs, action, family, error, reason);
    return 0;
  }
}

function actionName(action: number): "announce" | "scrape" {
  return action === Action.scrape ? "scrape" : "announce";
}

function rulesOf({ allowIpSpoofing, ipSpoofingFrom, maxNumWant, defaultNumWant }: UdpOptions): AnnounceRules {
  const spoofers = ipSpoofingFrom.length > 0 ? Networks.parse(ipSpoofingFrom) : undefined;
  return { allowIpSpoofing, spoofers, maxNumWant, defaultNumWant };
}
