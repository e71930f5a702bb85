import { AnnounceRequest } from "../../bittorrent/announce.ts";
import { ClientError, overloadedError } from "../../bittorrent/client-error.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import type { PeerList } from "../../bittorrent/peer-list.ts";
import type { Clock } from "../../lib/clock.ts";
import type { LogicResult, TrackerLogic } from "../../middleware/logic.ts";
import type { RequestReporter } from "../../observability/observer.ts";
import {
  frameHeaderLength,
  maxFrameHeader,
  Opcode,
  writeFrameHeader,
} from "../../protocol/websocket/frame-writer.ts";
import { malformedMessage } from "../../protocol/webtorrent/errors.ts";
import { MessageKind, type WebMessage } from "../../protocol/webtorrent/message.ts";
import { readMessage } from "../../protocol/webtorrent/read-message.ts";
import {
  mostOverhead,
  mostScrapeEntry,
  mostText,
  writeAnnounceResponse,
  writeFailure,
  writeRelayed,
  writeScrapeResponse,
} from "../../protocol/webtorrent/write.ts";
import { ExchangePool, WaitingRequests } from "../exchange.ts";
import { mostCandidates, WebExchange, webPeerLength } from "./exchange.ts";
import type { WebSocketCounters } from "./metrics.ts";
import { offerLifetime } from "./offer-ring.ts";
import type { WebSocketOptions } from "./options.ts";
import { RelayEntry, RelayKind } from "./relay-entry.ts";
import type { RemoteSockets } from "./remote-sockets.ts";
import type { Session } from "./session.ts";
import { type SessionTable, workerOf } from "./session-table.ts";

/** Maximum number of torrents of one socket. */
const mostTorrents = 200;
/** Seconds in which the announcer does not get its own offers relayed to a peer whose offer it has got. */
const glareSeconds = 15;
/** Seconds in which an unanswered offer makes its receiver a worse target; webtorrent gives up after 50 seconds. */
const pendingSeconds = 50;

/** The announce whose offers are being relayed. */
const draw = {
  session: undefined as Session | undefined,
  request: undefined as AnnounceRequest | undefined,
  /** The number of the torrent in the socket of the announcer. */
  torrent: 0,
  /** Why the last peer was no target. */
  skipped: "no_target" as "no_target" | "glare" | "slow" | "ring_full",
};

/** A peer whose socket another worker or tracker has. */
const remote = Symbol();

const tooManyTorrents = new ClientError("too many torrents on one connection", "too-many-torrents");

/** What the relay works with. */
export interface RelayDeps {
  readonly logic: TrackerLogic;
  readonly clock: Clock;
  readonly counters: WebSocketCounters;
  readonly requests: RequestReporter | undefined;
  readonly sessions: SessionTable;
  /** Whether the store lists web peers of other trackers. */
  readonly hasLink: boolean;
}

/** Responds to the messages of clients, and relays offers and answers between them. */
export class Relay {
  readonly #deps: RelayDeps;
  #options: WebSocketOptions;
  #exchanges: ExchangePool<WebExchange>;
  readonly #waiting = new WaitingRequests<WebExchange>();
  #out: Uint8Array;
  /** The ways to other workers and trackers, once there are any. */
  remote: RemoteSockets | undefined;
  readonly #entry = new RelayEntry();
  /** Removes peers; replaced while a store uses it. */
  #leaving = new AnnounceRequest();

  constructor(options: WebSocketOptions, deps: RelayDeps) {
    this.#deps = deps;
    this.#options = options;
    this.#exchanges = createPool(options, deps);
    this.#out = new Uint8Array(roomOf(options));
  }

  /** Takes the options of all later messages. */
  update(options: WebSocketOptions): void {
    const isSameSize = options.maxScrapeInfoHashes === this.#options.maxScrapeInfoHashes;
    this.#options = options;
    // A message that waits may need the room of the earlier options.
    if (this.#out.length < roomOf(options)) this.#out = new Uint8Array(roomOf(options));
    if (!isSameSize) this.#exchanges = createPool(options, this.#deps);
  }

  /** Handles a message of a client. */
  message(session: Session, bytes: Uint8Array, start: number, end: number): void {
    const exchange = this.#exchanges.current;
    exchange.action = "";
    exchange.session = session;
    exchange.startedMs = this.#deps.requests?.begin(this.#options.requestTiming) ?? 0;
    try {
      this.#handle(exchange, session, bytes, start, end);
    } catch (error) {
      this.#failed(exchange, session);
      throw error; // the session reports the error
    }
  }

  #handle(exchange: WebExchange, session: Session, bytes: Uint8Array, start: number, end: number): void {
    const { requests, counters } = this.#deps;
    const { message } = exchange;
    const error = readMessage(bytes, start, end, message, this.#options);
    if (
      error === malformedMessage ||
      (error !== undefined && !message.hasInfoHash && message.kind !== MessageKind.scrape)
    ) {
      counters.messages.invalid.inc();
      requests?.end(exchange.startedMs, "", session.client.family, undefined, "malformed");
      session.invalid();
      return;
    }
    if (message.kind === MessageKind.answer && error === undefined) {
      this.#answer(session, exchange);
      requests?.end(exchange.startedMs, "answer", session.client.family);
    } else if (message.kind === MessageKind.scrape) this.#begin(exchange, session, "scrape", error);
    else this.#begin(exchange, session, "announce", error);
  }

  /** Removes the peers of a socket that is gone. */
  left(session: Session): void {
    const { torrents } = session;
    for (let i = 0; i < torrents.count; i++)
      this.#removePeer(session, torrents.infoHash(i), torrents.peerId(i));
  }

  /** Resolves when no message waits for hooks or the store. */
  drained(): Promise<void> {
    return this.#waiting.drained();
  }

  /** Gives up the messages that still wait. */
  giveUp(): void {
    this.#waiting.giveUp(({ startedMs, action, session }) =>
      this.#deps.requests?.end(startedMs, action, session?.client.family, undefined, "stopping"),
    );
  }

  #begin(
    exchange: WebExchange,
    session: Session,
    action: "announce" | "scrape",
    error: ClientError | undefined,
  ): void {
    exchange.action = action;
    this.#deps.counters.messages[action].inc();
    const result =
      error ?? (action === "announce" ? this.#announce(exchange, session) : this.#scrape(exchange, session));
    if (!(result instanceof Promise)) {
      this.#finish(exchange, session, result);
      if (exchange.context.isKept) this.#exchanges.leaveCurrent();
      return;
    }
    exchange.detachParams();
    exchange.message.detach();
    const pool = this.#exchanges;
    pool.leaveCurrent();
    this.#waiting.add(exchange);
    session.wait();
    void this.#finishLater(exchange, session, result, pool);
  }

  async #finishLater(
    exchange: WebExchange,
    session: Session,
    result: Promise<LogicResult>,
    pool: ExchangePool<WebExchange>,
  ): Promise<void> {
    const error = await result;
    if (!this.#waiting.remove(exchange)) return;
    try {
      this.#finish(exchange, session, error);
    } catch (failure) {
      this.#failed(exchange, session);
      session.fail(failure as Error);
      return;
    }
    exchange.session = undefined;
    pool.giveBack(exchange);
    session.finish();
  }

  /** Reports a message that an unexpected error has ended. */
  #failed({ startedMs, action }: WebExchange, session: Session): void {
    this.#deps.requests?.end(startedMs, action, session.client.family, undefined, "failed");
  }

  #announce(exchange: WebExchange, session: Session): LogicResult | Promise<LogicResult> {
    const request = exchange.announceRequest;
    const isNew = session.torrents.find(request.infoHashWords) < 0;
    if (isNew && session.torrents.count >= mostTorrents) return tooManyTorrents;
    if (this.#waiting.isFull) return overloadedError;
    this.#place(request, session);
    exchange.wanted = request.numWant;
    // More peers than offers, because some peers cannot be targets, and to choose among them.
    if (request.numWant > 0) request.numWant = Math.min(mostCandidates, 2 * request.numWant + 4);
    return this.#deps.logic.handleAnnounce(
      request,
      exchange.announceResponse,
      exchange.context,
      this.#options.interval,
    );
  }

  #place(request: AnnounceRequest, session: Session): void {
    request.kind = "web";
    request.handle = session.handle;
    request.generation = session.generation;
    request.tracker = 0;
    session.client.copyTo(request.address);
    request.hasOtherAddress = false;
    setParams(request.params, session);
  }

  #scrape(
    { scrapeRequest: request, scrapeResponse, context }: WebExchange,
    session: Session,
  ): LogicResult | Promise<LogicResult> {
    if (this.#waiting.isFull) return overloadedError;
    session.client.copyTo(request.address);
    setParams(request.params, session);
    return this.#deps.logic.handleScrape(request, scrapeResponse, context);
  }

  /** Responds to a message of which the result is known. */
  #finish(exchange: WebExchange, session: Session, error: ClientError | undefined): void {
    const { action, startedMs, message } = exchange;
    const { requests, logic } = this.#deps;
    const isGone = !session.isOpen;
    if (action === "announce" && error === undefined) this.#note(exchange, session);
    if (isGone) {
      requests?.end(startedMs, action, session.client.family, undefined, "gone");
      return;
    }
    if (error !== undefined) {
      const infoHash = message.hasInfoHash ? exchange.announceRequest.infoHash : undefined;
      const end = writeFailure(
        this.#out,
        maxFrameHeader,
        message.kind,
        error,
        infoHash,
        this.#options.interval,
      );
      this.#send(session, end);
    } else if (action === "scrape") {
      this.#send(
        session,
        writeScrapeResponse(this.#out, maxFrameHeader, exchange.scrapeRequest, exchange.scrapeResponse),
      );
    } else {
      const { announceRequest, announceResponse } = exchange;
      this.#send(
        session,
        writeAnnounceResponse(this.#out, maxFrameHeader, announceRequest.infoHash, announceResponse),
      );
      this.#relayOffers(exchange, session);
    }
    requests?.end(startedMs, action, session.client.family, error);
    if (error === undefined && logic.hasPostHooks) exchange.runPostHooks(logic);
  }

  /** Notes an accepted announce in its socket. */
  #note({ announceRequest: request, announceResponse, context }: WebExchange, session: Session): void {
    if (request.event === AnnounceEvent.stopped) {
      const index = session.torrents.find(request.infoHashWords);
      if (index >= 0) session.torrents.remove(index);
    } else if (session.isOpen) {
      session.torrents.set(request.infoHashWords, request.peerIdWords);
    } else if (!context.skipSwarm) {
      this.#removePeer(session, request.infoHash, request.peerId); // the socket was closed while the announce waited
    }
    session.accepted(announceResponse.interval);
  }

  #relayOffers(exchange: WebExchange, session: Session): void {
    const { message, announceRequest: request, announceResponse, wanted } = exchange;
    const { counters, clock } = this.#deps;
    const { webPeers, webTrackers: trackers } = announceResponse;
    const index = session.torrents.find(request.infoHashWords);
    if (wanted === 0 || index < 0) return;
    draw.session = session;
    draw.request = request;
    draw.torrent = session.torrents.number(index);
    draw.skipped = "no_target";
    let relayed = 0;
    // Peers of this tracker first: an offer to another one takes a way more.
    for (let pass = 0; pass < (trackers === undefined ? 1 : 2); pass++) {
      for (let i = 0; i < webPeers.count && relayed < wanted; i++) {
        const tracker = trackers?.[i] ?? 0;
        if ((tracker === 0) !== (pass === 0)) continue;
        let target = this.#target(webPeers, i, tracker);
        if (target === undefined) continue;
        const isSpare = webPeers.count - i - 1 >= wanted - relayed && i + 1 !== webPeers.seeders;
        if (target !== remote && isSpare && i + 1 < webPeers.count && (trackers?.[i + 1] ?? 0) === 0) {
          const other = this.#target(webPeers, ++i, 0);
          if (other === remote) i--;
          else if (other !== undefined && this.#pendingOf(other) < this.#pendingOf(target)) target = other;
        }
        if (target === remote) {
          if (this.#offerRemotely(exchange, session, i, relayed, tracker)) relayed++;
          continue;
        }
        const torrent = target.torrents.number(target.torrents.find(request.infoHashWords));
        const idAt = message.offerIdAt(relayed);
        const { handle, generation } = session;
        target.offers.add(message.offerIds, idAt, torrent, handle, generation, clock.seconds);
        const { infoHash, peerId } = request;
        this.#send(
          target,
          writeMessage(this.#out, maxFrameHeader, "offer", infoHash, peerId, message, relayed),
        );
        counters.offers.relayed.inc();
        relayed++;
      }
    }
    if (relayed < wanted) counters.offers[draw.skipped].inc(wanted - relayed);
  }

  /** Passes an offer on for a listed peer whose socket is {@link remote}. @returns whether there was room */
  #offerRemotely(
    { message, announceRequest: { infoHash, peerId }, announceResponse: { webPeers } }: WebExchange,
    session: Session,
    index: number,
    offer: number,
    tracker: number,
  ): boolean {
    const at = webPeers.at + index * webPeerLength;
    const { view } = webPeers;
    const [handle, generation] = [view.getUint32(at), view.getUint16(at + 4)];
    if (this.#passOn("offer", tracker, handle, generation, session, infoHash, peerId, message, offer))
      return true;
    draw.skipped = "ring_full";
    return false;
  }

  /**
   * Passes an offer or answer of a session on to the worker or tracker that has the other socket. The receiver counts the result.
   * @param index  of the offer in the message; 0 for an answer
   * @returns whether there was room
   */
  #passOn(
    kind: "offer" | "answer",
    tracker: number,
    handle: number,
    generation: number,
    session: Session,
    infoHash: Uint8Array,
    peerId: Uint8Array,
    message: WebMessage,
    index: number,
  ): boolean {
    const entry = this.#entry;
    const { remote } = this;
    entry.kind = RelayKind[kind];
    entry.handle = handle;
    entry.generation = generation;
    entry.originHandle = session.handle;
    entry.originGeneration = session.generation;
    entry.originTracker = 0;
    entry.infoHash.set(infoHash);
    const idAt = message.offerIdAt(index);
    for (let i = 0; i < entry.offerId.length; i++) entry.offerId[i] = message.offerIds[idAt + i]!;
    const sdpLength = message.sdpEnds[index]! - message.sdpStarts[index]!;
    const frameAt = remote?.begin(tracker, entry, maxFrameHeader + mostOverhead + sdpLength) ?? -1;
    if (remote === undefined || frameAt < 0) return false;
    const { bytes } = remote;
    const payload = frameAt + maxFrameHeader;
    const end = writeMessage(bytes, payload, kind, infoHash, peerId, message, index);
    remote.commit(writeHeaderBefore(bytes, payload, end), end);
    return true;
  }

  /** Delivers an offer or answer that has come from another worker or tracker. */
  receive(entry: RelayEntry): void {
    const { sessions, counters, clock } = this.#deps;
    const { handle, generation, originHandle, originGeneration, originTracker, bytes, start, end } = entry;
    const isOffer = entry.kind === RelayKind.offer;
    const target = sessions.find(handle, generation);
    if (target === undefined) {
      if (isOffer) this.#removeUnreachable(handle, generation, entry);
      this.#countRemote(isOffer, "gone");
      return;
    }
    if (target.isSlow) {
      this.#countRemote(isOffer, "slow");
      return;
    }
    const index = target.torrents.find(entry.infoHashWords);
    if (index < 0) {
      this.#countRemote(isOffer, "gone");
      return;
    }
    if (isOffer) {
      const torrent = target.torrents.number(index);
      target.offers.add(
        entry.offerId,
        0,
        torrent,
        originHandle,
        originGeneration,
        clock.seconds,
        originTracker,
      );
      counters.offers.relayed.inc();
    } else counters.answers.relayed.inc();
    if (this.#out.length < end - start) this.#out = new Uint8Array(end - start);
    this.#out.set(bytes.subarray(start, end)); // not every socket takes bytes of shared memory
    target.send(this.#out, 0, end - start);
  }

  /** Notes that no tracker has received an entry. */
  unreachable(entry: RelayEntry): void {
    const isOffer = entry.kind === RelayKind.offer;
    if (isOffer) this.#removeUnreachable(entry.handle, entry.generation, entry, entry.targetTracker);
    this.#countRemote(isOffer, "gone");
  }

  #countRemote(isOffer: boolean, result: "gone" | "slow"): void {
    const { counters } = this.#deps;
    if (!isOffer) counters.answers[result].inc();
    else counters.offers[result === "gone" ? "no_target" : result].inc();
  }

  /**
   * Returns the socket of a drawn peer if an offer can be relayed to it, or {@link remote}. Otherwise notes the reason in {@link
   * draw}.
   */
  #target(peers: PeerList, index: number, tracker: number): Session | typeof remote | undefined {
    const { session, request, torrent } = draw;
    const { sessions } = this.#deps;
    const at = peers.at + index * webPeerLength;
    const handle = peers.view.getUint32(at);
    const generation = peers.view.getUint16(at + 4);
    if (session!.hasOffers) {
      const since = this.#since(glareSeconds);
      if (session!.offers.hasOfferOf(handle, generation, torrent, since, tracker)) {
        draw.skipped = "glare";
        return undefined;
      }
    }
    if (tracker !== 0 || workerOf(handle) !== sessions.worker) return remote;
    const target = sessions.find(handle, generation);
    if (target === undefined) this.#removeUnreachable(handle, generation, request!);
    if (target === undefined || target.torrents.find(request!.infoHashWords) < 0) return undefined;
    if (!target.isSlow) return target;
    draw.skipped = "slow";
    return undefined;
  }

  /** Counts the offers that a socket has got lately and not answered. */
  #pendingOf(session: Session): number {
    return session.hasOffers ? session.offers.countUnanswered(this.#since(pendingSeconds)) : 0;
  }

  /** Relays an answer to the socket that made the offer. */
  #answer(session: Session, { message, announceRequest: request }: WebExchange): void {
    const { sessions, counters } = this.#deps;
    counters.messages.answer.inc();
    const index = session.torrents.find(request.infoHashWords);
    const entry =
      index < 0 || !session.hasOffers
        ? -1
        : session.offers.answer(
            message.offerIds,
            0,
            session.torrents.number(index),
            this.#since(offerLifetime),
          );
    if (entry < 0) {
      counters.answers.unknown.inc();
      return;
    }
    const { offers, torrents } = session;
    const { infoHash } = request;
    const peerId = torrents.peerId(index);
    const [handle, generation, tracker] = [
      offers.handle(entry),
      offers.generation(entry),
      offers.tracker(entry),
    ];
    if (tracker !== 0 || workerOf(handle) !== sessions.worker) {
      if (!this.#passOn("answer", tracker, handle, generation, session, infoHash, peerId, message, 0))
        counters.answers.ring_full.inc();
      return;
    }
    const target = sessions.find(handle, generation);
    if (target === undefined || target.torrents.find(request.infoHashWords) < 0) {
      counters.answers.gone.inc();
      return;
    }
    this.#send(target, writeMessage(this.#out, maxFrameHeader, "answer", infoHash, peerId, message, 0));
    counters.answers.relayed.inc();
  }

  /** Returns the earliest second of the last `seconds`; not negative. */
  #since(seconds: number): number {
    return Math.max(0, this.#deps.clock.seconds - seconds);
  }

  /** Sends the payload `#out[maxFrameHeader..end)` as one text frame. */
  #send(session: Session, end: number): void {
    session.send(this.#out, writeHeaderBefore(this.#out, maxFrameHeader, end), end);
  }

  /** Removes a peer of a socket. */
  #removePeer(session: Session, infoHash: Uint8Array, peerId: Uint8Array): void {
    const request = this.#leaving;
    this.#place(request, session);
    request.infoHash.set(infoHash);
    request.peerId.set(peerId);
    this.#leave(request);
  }

  /** Removes a peer whose socket is unknown. */
  #removeUnreachable(
    handle: number,
    generation: number,
    { infoHash }: Pick<AnnounceRequest, "infoHash">,
    tracker = 0,
  ): void {
    const request = this.#leaving;
    request.kind = "web";
    request.handle = handle;
    request.generation = generation;
    request.tracker = tracker;
    request.infoHash.set(infoHash);
    request.params.clear();
    this.#leave(request);
  }

  #leave(request: AnnounceRequest): void {
    request.event = AnnounceEvent.stopped;
    request.numWant = 0;
    if (this.#deps.logic.leave(request) === undefined) return;
    request.params.detach();
    this.#leaving = new AnnounceRequest(); // the store keeps the other one
  }
}

/** Writes the offer at `index` of a message, or its answer, for the other peer. @returns the offset after the last byte */
function writeMessage(
  out: Uint8Array,
  at: number,
  kind: "offer" | "answer",
  infoHash: Uint8Array,
  peerId: Uint8Array,
  message: WebMessage,
  index: number,
): number {
  const { offerIds, bytes, sdpStarts, sdpEnds } = message;
  const idAt = message.offerIdAt(index);
  const [start, end] = [sdpStarts[index]!, sdpEnds[index]!];
  return writeRelayed(out, at, kind, infoHash, peerId, offerIds, idAt, bytes, start, end);
}

/** Writes the header of a text frame before its payload `bytes[payload..end)`. @returns where the frame begins */
function writeHeaderBefore(bytes: Uint8Array, payload: number, end: number): number {
  const length = end - payload;
  const start = payload - frameHeaderLength(length);
  writeFrameHeader(bytes, start, Opcode.text, length);
  return start;
}

function createPool(
  { maxScrapeInfoHashes }: WebSocketOptions,
  { hasLink }: RelayDeps,
): ExchangePool<WebExchange> {
  return new ExchangePool(() => new WebExchange(maxScrapeInfoHashes, hasLink));
}

function roomOf({ maxSdpBytes, maxScrapeInfoHashes }: WebSocketOptions): number {
  return (
    maxFrameHeader + mostOverhead + mostText + Math.max(maxSdpBytes, maxScrapeInfoHashes * mostScrapeEntry)
  );
}

function setParams(params: AnnounceRequest["params"], { target, pathEnd, route }: Session): void {
  params.set(target, 0, pathEnd, target.length);
  if (route !== undefined) params.setRoute(route);
}
