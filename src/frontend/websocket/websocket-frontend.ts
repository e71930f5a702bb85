import { randomInt } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { ConnectionCounts } from "../../http/connection-counts.ts";
import { HttpServer } from "../../http/http-server.ts";
import { type HttpServerOptions, mostPerAddress } from "../../http/options.ts";
import { Address } from "../../ip/address.ts";
import { KeptAddress } from "../../ip/kept-address.ts";
import { aborted } from "../../lib/aborted.ts";
import type { Clock } from "../../lib/clock.ts";
import { LinkedList } from "../../lib/linked-list.ts";
import type { TrackerLogic } from "../../middleware/logic.ts";
import type { Network } from "../../net/network.ts";
import type { Logger } from "../../observability/logger.ts";
import type { Metrics } from "../../observability/metrics.ts";
import type { RequestReporter } from "../../observability/observer.ts";
import { CloseCode } from "../../protocol/websocket/close-code.ts";
import { MessageMemory } from "../../protocol/websocket/message-memory.ts";
import type { PeerStore } from "../../storage/peer-store.ts";
import { type FrontendDeps, onlyThread, type ThreadPlace } from "../define-frontend.ts";
import type { Frontend } from "../frontend.ts";
import type { Handover } from "../handover.ts";
import { createGateSettings, Gate } from "./gate.ts";
import { createCounters, type GateRefusal, type WebSocketCounters } from "./metrics.ts";
import type { WebSocketOptions } from "./options.ts";
import { createOwnHandler, standalone, standaloneRoutes } from "./own-server.ts";
import { Relay } from "./relay.ts";
import { RelayEntry } from "./relay-entry.ts";
import { RelayRings, relayMemoryBytes } from "./relay-rings.ts";
import { RemoteSockets, readMessageOf } from "./remote-sockets.ts";
import { Session, type SessionHost } from "./session.ts";
import { SessionTable } from "./session-table.ts";

/** Memory for the incomplete messages of all sockets of a worker, in bytes. */
const messageMemory = 64 * 1024 * 1024;
/** Maximum number of frames of a message. */
const maxFragments = 16;
/** Each socket is checked once in this time, in milliseconds. */
const sweepMs = 1000;
/** Maximum number of sockets that one turn checks; it may send a ping to each. */
const checkedAtOnce = 128;
/** Over this time a stop closes the sockets, so that the clients do not return all at once. In milliseconds. */
const spreadMs = 3000;
const closesPerStep = 30;
/** After a reload, at most this many seconds pass until all sockets are closed that are no longer allowed. */
const reloadSeconds = 10;

const closedClient = new Address();

/** The collaborators of the WebSocket frontend. */
export interface WebSocketDeps {
  logic: TrackerLogic;
  clock: Clock;
  metrics: Metrics;
  logger: Logger;
  /** Says whether the store keeps web peers, and has the way to other trackers. */
  store: Pick<PeerStore, "sweep" | "webLink">;
  requests?: RequestReporter;
  handover: Handover;
  listen: Network["listenStream"];
  onError: (error: Error) => void;
  onMissing?: (error: Error) => void;
  thread?: ThreadPlace;
  /** Returns memory that all threads share. */
  buffer?: FrontendDeps["buffer"];
}

/**
 * Serves WebTorrent clients over WebSocket: announces, scrapes, and the offers and answers between them. Has no listener of its
 * own unless the options name addresses; the HTTP frontend hands connections over.
 */
export class WebSocketFrontend implements Frontend {
  readonly name = "websocket";
  readonly #deps: WebSocketDeps;
  #options: WebSocketOptions;
  readonly #counters: WebSocketCounters;
  readonly #gate: Gate;
  readonly #relay: Relay;
  readonly #sessions: SessionTable;
  readonly #host: SessionHost & { limits: { maxMessage: number; maxFragments: number } };
  readonly #ofAddress = new ConnectionCounts();
  readonly #server: HttpServer | undefined;
  #rings: RelayRings | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped: Promise<void> | undefined;
  /** All sockets whose connection is open, with those that are closed for their clients. */
  readonly #open = new LinkedList<Session>();
  #isReloaded = false;
  /** Sockets that a reload forbids and that are not closed yet, and how many are closed in a second. */
  #forbidden: Session[] = [];
  #closesPerSecond = closesPerStep;

  constructor(options: WebSocketOptions, deps: WebSocketDeps) {
    const { logic, clock, metrics, requests, handover, logger, store, onError, thread = onlyThread } = deps;
    this.#deps = deps;
    this.#options = options;
    this.#sessions = new SessionTable(thread.number - 1, randomInt(0x10000));
    const memory = new MessageMemory(messageMemory);
    const readings = { sockets: () => this.#sessions.size, memory: () => memory.used };
    this.#counters = createCounters(metrics, readings);
    this.#relay = new Relay(options, {
      logic,
      clock,
      requests,
      counters: this.#counters,
      sessions: this.#sessions,
      hasLink: store.webLink !== undefined,
    });
    this.#host = {
      clock,
      memory,
      limits: { maxMessage: options.maxMessageBytes, maxFragments },
      counters: this.#counters,
      message: (session, bytes, start, end) => this.#relay.message(session, bytes, start, end),
      left: (session) => this.#left(session),
      closed: (session) => this.#closed(session),
      onError,
    };
    this.#gate = new Gate(createGateSettings(options), {
      admit: (...opening) => this.#admit(...opening),
      announceRoutes: () => handover.http?.options().announceRoutes ?? standaloneRoutes,
      refused: (reason) => this.#refused(reason),
    });
    if (store.sweep === undefined) {
      this.#gate.problem = "the storage of this tracker keeps no WebRTC peers";
      logger.warn({}, "WebSocket clients are refused: the storage keeps no WebRTC peers");
    }
    if (options.listen.length > 0) this.#server = this.#createServer(options);
    else handover.upgrader = this.#gate;
  }

  async start(): Promise<void> {
    await this.#connect();
    await this.#server?.start();
  }

  /** Opens the ways to the sockets of other workers and trackers. */
  async #connect(): Promise<void> {
    const { store, buffer, thread = onlyThread } = this.#deps;
    const relay = this.#relay;
    const { number, count } = thread;
    const receive = (entry: RelayEntry): void => {
      try {
        relay.receive(entry);
      } catch (error) {
        this.#deps.onError(error as Error);
      }
    };
    if (count > 1 && buffer !== undefined) {
      const memory = await buffer("web relay", relayMemoryBytes(count));
      this.#rings = new RelayRings(memory, number - 1, count);
      void this.#rings.start(receive);
    }
    const { webLink } = store;
    if (this.#rings === undefined && webLink === undefined) return;
    relay.remote = new RemoteSockets(this.#rings, webLink, (entry) => relay.unreachable(entry));
    const entry = new RelayEntry();
    await webLink?.open(number - 1, (message) => {
      const received = readMessageOf(message, entry);
      if (received !== undefined) receive(received);
    });
  }

  /** Returns the addresses where WebSockets are served: `ws://127.0.0.1:6969`. */
  urls(): string[] {
    const urls = this.#server?.urls() ?? this.#deps.handover.http?.urls() ?? [];
    return urls.map((url) => url.replace(/^http/, "ws"));
  }

  prepare(options: WebSocketOptions): () => void {
    const settings = createGateSettings(options);
    const update = this.#server?.prepare(this.#serverOptions(options));
    return () => {
      update?.();
      this.#options = options;
      this.#gate.update(settings);
      this.#relay.update(options);
      this.#host.limits.maxMessage = options.maxMessageBytes;
      this.#isReloaded = true; // the routes of HTTP may change later in this turn
    };
  }

  /**
   * Closes all sockets, spread over some seconds, because their clients return as many seconds later. Idempotent.
   */
  stop(deadline: AbortSignal): Promise<void> {
    this.#stopped ??= this.#stop(deadline);
    return this.#stopped;
  }

  /** Checks the times of all sockets. For tests: the frontend checks some sockets at a time. */
  sweep(): void {
    this.#open.forEach((session) => {
      session.sweep();
    });
    this.#closeForbidden(1);
  }

  /** Checks the sockets that were not checked for longest. Turns of the event loop between the checks let others go on. */
  #check(): void {
    this.#timer = undefined;
    const { size } = this.#open;
    if (size === 0) return; // an idle frontend does not wake the thread
    const turns = Math.ceil(size / checkedAtOnce);
    for (let i = Math.ceil(size / turns); i > 0; i--) {
      const session = this.#open.first;
      if (session === undefined) break; // the check before has closed the last one
      this.#open.add(session);
      session.sweep();
    }
    this.#closeForbidden(turns);
    this.#checkLater(sweepMs / turns);
  }

  #checkLater(ms: number): void {
    this.#timer ??= setTimeout(() => this.#check(), ms).unref();
  }

  /** Closes the sockets that a reload forbids, spread over some seconds. @param turns  in a second */
  #closeForbidden(turns: number): void {
    if (this.#isReloaded) {
      this.#isReloaded = false;
      this.#forbidden = [];
      const isAllowed = this.#gate.createCheck();
      this.#open.forEach((session) => {
        if (session.isOpen && !isAllowed(session)) this.#forbidden.push(session);
      });
      this.#closesPerSecond = Math.max(closesPerStep, Math.ceil(this.#forbidden.length / reloadSeconds));
    }
    for (const session of this.#forbidden.splice(0, Math.ceil(this.#closesPerSecond / turns)))
      session.close(CloseCode.policy);
  }

  async #stop(deadline: AbortSignal): Promise<void> {
    this.#gate.isStopping = true;
    const sessions: Session[] = [];
    this.#open.forEach((session) => {
      sessions.push(session);
    });
    const step = Math.max(closesPerStep, Math.ceil(sessions.length / 30));
    for (let i = 0; i < sessions.length; i += step) {
      for (const session of sessions.slice(i, i + step)) session.close(CloseCode.goingAway);
      const isLast = i + step >= sessions.length;
      if (!isLast && !deadline.aborted)
        await Promise.race([wait((spreadMs * step) / sessions.length), aborted(deadline)]);
    }
    await Promise.race([this.#relay.drained(), aborted(deadline)]);
    this.#relay.giveUp();
    this.#rings?.stop();
    await this.#server?.stop(deadline);
    clearTimeout(this.#timer);
  }

  #admit(
    client: Address,
    target: Uint8Array,
    pathEnd: number,
    route: ReadonlyMap<string, string> | undefined,
    origin: string | undefined,
  ): Session | undefined {
    const { maxConnections } = this.#options;
    if (this.#open.size >= maxConnections) return undefined;
    if (this.#ofAddress.add(client) > mostPerAddress(maxConnections)) {
      this.#ofAddress.remove(client);
      return undefined;
    }
    const session = new Session(this.#host, new KeptAddress(client), target, pathEnd, route, origin);
    this.#sessions.add(session);
    this.#open.add(session);
    this.#checkLater(sweepMs);
    return session;
  }

  #left(session: Session): void {
    this.#relay.left(session);
    this.#sessions.remove(session);
  }

  #closed(session: Session): void {
    session.list?.remove(session);
    session.client.copyTo(closedClient);
    this.#ofAddress.remove(closedClient);
  }

  #refused(reason: GateRefusal): void {
    this.#counters.refused[reason].inc();
  }

  #serverOptions({ listen }: WebSocketOptions): HttpServerOptions {
    const http = this.#deps.handover.http?.options();
    return { ...(http ?? standalone), listen, listenTls: [] };
  }

  /**
   * Creates the server of the frontend's own addresses. It knows the proxies of HTTP, if HTTP is on. Its connections become
   * WebSockets at once, and the frontend counts those.
   */
  #createServer(options: WebSocketOptions): HttpServer {
    const { clock, listen, onError, onMissing } = this.#deps;
    return new HttpServer(this.#serverOptions(options), {
      handler: createOwnHandler(this.#gate, () => this.#deps.handover.http?.options().announceRoutes),
      clock,
      listen,
      onError,
      onMissing,
    });
  }
}
