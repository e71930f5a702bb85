import type { Address } from "../ip/address.ts";
import type { Clock } from "../lib/clock.ts";
import type { FairQueue, TurnTaker } from "../lib/fair-queue.ts";
import type { Linked, LinkedList } from "../lib/linked-list.ts";
import type { Connection, StreamHandler } from "../net/stream.ts";
import {
  findHeadEnd,
  HttpRequest,
  Method,
  RequestError,
  readRequest,
  requestErrorStatus,
} from "../protocol/http/request-reader.ts";
import { Call, type CallOwner } from "./call.ts";
import { resolveClient } from "./client-address.ts";
import type { ConnectionCounts } from "./connection-counts.ts";
import type {
  ClosingReason,
  HttpHandler,
  RefusalStatus,
  Rejection,
  RequestSource,
  WholeResponse,
} from "./handler.ts";
import { HttpError } from "./http-error.ts";
import type { HttpServerSettings } from "./options.ts";
import { PartialHead } from "./partial-head.ts";
import { ProxyHeader, readProxyHeader } from "./proxy-protocol.ts";

/** Maximum number of pipelined requests of a connection that are served in one turn. */
const requestsPerTurn = 64;
/** While a client has more bytes to receive than this, its further requests wait. */
const maxPending = 16 * 1024;
/**
 * Minimum time limit in seconds for a client to receive a piece of a long response. The kernel accepts more bytes only when a
 * large part of its buffer is free again.
 */
const streamTimeout = 120;
/** Time in seconds, from the head of a request, for its body to arrive and for the handler to begin the response. */
const responseTimeout = 300;

/** Counters of a server's connections. */
export interface ConnectionCounters {
  readonly accepted: { inc(): void };
  /** Connections without a request that the server has closed. */
  readonly closed: Readonly<Record<ClosingReason, { inc(): void }>>;
  /** Bytes of requests and responses; not those of a connection that another handler has taken over. */
  readonly received: { inc(bytes: number): void };
  readonly sent: { inc(bytes: number): void };
}

/** The state that all connections of a server share. */
export interface Shared {
  readonly clock: Clock;
  readonly handler: HttpHandler;
  readonly counters: ConnectionCounters;
  settings: HttpServerSettings;
  /** Open connections that wait for their clients; the one that has waited longest is first. */
  readonly expendable: LinkedList<HttpConnection>;
  /** All other open connections of HTTP. */
  readonly stalled: LinkedList<HttpConnection>;
  /** Open connections that the heir of a {@link WholeResponse} has. */
  readonly inherited: LinkedList<HttpConnection>;
  readonly counts: ConnectionCounts;
  /** Connections with more pipelined requests than one turn serves. */
  readonly turns: FairQueue;
  /** Called for unexpected errors. */
  readonly onError: (error: Error) => void;
  /** Whether the server is stopping: every response is the last of its connection. */
  stopping: boolean;
}

/**
 * - `idle`: no byte of the next request has arrived
 * - `reading`: a part of a request has arrived
 * - `stalled`: no request is read until the handler has responded, the client has received the responses, and other
 *   connections have had their turns
 * - `closing`: the last response is being sent, and received bytes are ignored
 * - `upgraded`: another handler uses the connection
 * - `closed`
 */
type Phase = "idle" | "reading" | "stalled" | "closing" | "upgraded" | "closed";

/** The handler that has taken a connection over, with its state. */
interface Heir {
  readonly handler: StreamHandler<unknown>;
  readonly state: unknown;
}

const request = new HttpRequest();
const rejections = {
  [RequestError.malformed]: "malformed",
  [RequestError.method]: "method",
  [RequestError.tooLarge]: "too_large",
  [RequestError.version]: "version",
} as const;

/**
 * One HTTP connection: splits the received bytes into requests, and responds to the requests in their order.
 *
 * A complete request is parsed in the memory of the network. An incomplete request is copied into a buffer, which the
 * connection keeps until the request is complete.
 */
export class HttpConnection implements RequestSource, CallOwner, TurnTaker, Linked<HttpConnection> {
  list: LinkedList<HttpConnection> | undefined;
  previous: HttpConnection | undefined;
  next: HttpConnection | undefined;
  readonly #shared: Shared;
  readonly #connection: Connection;
  /** The client, or the proxy in front of it. */
  #peer: Address;
  #phase: Phase = "idle";
  /** Start of the phase. */
  #since: number;
  /** Number of connections of the same address when this one was opened. */
  readonly ofAddress: number;
  /** Whether no request has arrived yet. */
  #fresh = true;
  #proxyHeaderDue: boolean;
  /**
   * Whether a header may name the client. After a PROXY header, the client itself has written the request, unless the PROXY
   * header names another trusted proxy.
   */
  #mayNameClient: boolean;
  /** An incomplete request or PROXY header. */
  #head: PartialHead | undefined;
  /** Bytes that arrived while the connection was stalled. */
  #rest: Uint8Array | undefined;
  /** The part of these bytes that is being read, and so needs no further copy. */
  #own: Uint8Array | undefined;
  #paused = false;
  #waiting = false;
  /** When the head of the pending request had arrived. */
  #waitingSince = 0;
  /** Whether the pending request is a HEAD. */
  #isHeadPending = false;
  #turnDue = false;
  #ended = false;
  /** Since when the client has had bytes to receive; undefined if it has received all. */
  #pendingSince: number | undefined;
  /** The pending request, if it needs more than a head and a whole response. */
  #call: Call | undefined;
  #heir: Heir | undefined;
  /** Whether the connection counts as one of its address. */
  #isCounted = true;
  /** Whether the heir of a {@link WholeResponse} has the connection. */
  #isInherited = false;

  /**
   * @param proxyHeaderDue  whether the connection must begin with a PROXY header
   * @param isPassedOn      whether a proxy forwards the bytes of the client unchanged
   */
  constructor(shared: Shared, connection: Connection, proxyHeaderDue: boolean, isPassedOn: boolean) {
    this.#shared = shared;
    this.#connection = connection;
    this.#peer = connection.remote;
    this.#proxyHeaderDue = proxyHeaderDue;
    this.#mayNameClient = !isPassedOn;
    this.#since = shared.clock.seconds;
    this.ofAddress = shared.counts.add(connection.remote);
    shared.expendable.add(this);
  }

  /** Whether no request is pending. */
  get isIdle(): boolean {
    return this.#phase === "idle";
  }

  /** Handles received bytes. */
  received(bytes: Uint8Array, start: number, end: number): void {
    if (this.#phase !== "upgraded") this.#shared.counters.received.inc(end - start);
    this.#receive(bytes, start, end);
  }

  #receive(bytes: Uint8Array, start: number, end: number): void {
    try {
      if (this.#phase === "idle") this.#read(bytes, start, end);
      else if (this.#phase === "reading") this.#readMore(bytes, start, end);
      else if (this.#phase === "stalled") this.#stall(bytes, start, end);
      else this.#heir?.handler.received(this.#heir.state, bytes, start, end);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** Called when the client has shut down its sending side, but still waits for responses. */
  ended(): void {
    this.#ended = true;
    this.#call?.ended();
    this.#heir?.handler.ended(this.#heir.state);
    if (this.#phase === "idle" || this.#phase === "reading") this.close();
  }

  /** Called when the client has received all bytes. */
  drained(): void {
    this.#pendingSince = undefined;
    this.#call?.drained();
    this.#heir?.handler.drained(this.#heir.state);
    this.#goOn();
  }

  /** Called when the other connections have had their turns. */
  takeTurn(): void {
    this.#turnDue = false;
    this.#goOn();
  }

  /**
   * Closes the connection after all bytes have been sent; idempotent.
   * @param discard  whether the client may still be sending a request
   */
  close(discard = false): void {
    if (this.#isOver) return;
    this.#enter("closing");
    this.#forgetInput();
    this.#resume(); // further bytes are discarded
    this.#connection.end(discard);
  }

  /** Closes the connection now. */
  destroy(reset = false): void {
    this.closed();
    this.#connection.destroy(reset);
  }

  /** Called when the connection is gone; idempotent. */
  closed(): void {
    if (this.#phase === "closed") return;
    this.#enter("closed");
    this.#forgetInput();
    this.#call?.closed();
    this.#heir?.handler.closed(this.#heir.state);
    this.#uncount();
    this.#shared.turns.leave(this);
  }

  /** Checks the timeouts. Called about once a second. Seconds are coarse, so the limits are never shortened. */
  checkTimeouts(): void {
    if (this.#phase === "upgraded") return;
    const { seconds } = this.#shared.clock;
    const { readTimeout, writeTimeout, idleTimeout } = this.#shared.settings.options;
    const age = seconds - this.#since;
    if (this.#connection.pending === 0) this.#pendingSince = undefined;
    const patience = this.#call === undefined ? writeTimeout : Math.max(writeTimeout, streamTimeout);
    if (this.#pendingSince !== undefined && seconds - this.#pendingSince > patience) {
      this.turnAway("timeout", true);
    } else if (this.#call?.isBodyDue) {
      if (age > readTimeout || this.#isLate) this.#loseBody(this.#call);
    } else if (this.#phase === "stalled") {
      if (this.#isLate) this.#giveUp();
    } else if (this.#phase === "closing") {
      if (age > writeTimeout) this.destroy(true);
    } else if (this.#phase === "reading") {
      if (age > readTimeout) this.#refuse(408, "timeout");
    } else if (this.#phase === "idle") {
      if (this.#fresh && age > readTimeout) this.turnAway("timeout", true);
      else if (!this.#fresh && age > idleTimeout) this.close();
    }
  }

  /** Closes the connection now, and counts its unfinished request as rejected. */
  turnAway(reason: ClosingReason, reset = false): void {
    const { handler, counters } = this.#shared;
    if (this.#fresh || this.#phase === "reading") handler.rejected(reason);
    else counters.closed[reason].inc();
    this.destroy(reset);
  }

  /** Reports an unexpected error and closes this connection only. */
  #fail(error: Error): void {
    this.#shared.onError(error);
    this.destroy(true);
  }

  /** Fails a body whose client has stalled. */
  #loseBody(call: Call): void {
    this.#shared.counters.closed.timeout.inc();
    call.body.fail(new HttpError(408, "the body took too long"));
  }

  /** Whether the handler has waited too long, for the body or by itself. */
  get #isLate(): boolean {
    return this.#waiting && this.#shared.clock.seconds - this.#waitingSince > responseTimeout;
  }

  /** Responds to a request whose handler has not begun a response. */
  #giveUp(): void {
    if (this.#call !== undefined) {
      if (!this.#call.hasSent) this.#call.expire();
      return;
    }
    this.#shared.handler.gaveUp(this);
    this.#respondAndClose(503, this.#isHeadPending);
  }

  /** Reads requests from `bytes[at..end)`; the first begins at `at`. */
  #read(bytes: Uint8Array, at: number, end: number): void {
    const { maxHeaderBytes } = this.#shared.settings.options;
    if (this.#proxyHeaderDue) {
      const consumed = this.#readProxyHeader(bytes, at, end);
      if (consumed === 0 && end - at < maxHeaderBytes) this.#keepHead(bytes, at, end);
      else if (consumed <= 0) this.turnAway("malformed");
      if (consumed <= 0) return;
      at += consumed;
    }
    const { rules } = this.#shared.handler;
    for (let turn = requestsPerTurn; at < end; turn--) {
      if (turn === 0) {
        this.#turnDue = true;
        this.#shared.turns.wait(this);
      }
      if (this.#mustStall) {
        this.#enter("stalled");
        this.#stall(bytes, at, end);
        return;
      }
      const consumed = readRequest(bytes, at, end, request, rules);
      if (consumed === 0 && end - at < maxHeaderBytes) {
        this.#keepHead(bytes, at, end);
        return;
      }
      if (consumed <= 0 || consumed > maxHeaderBytes) {
        this.#refuseRequest(consumed);
        return;
      }
      at += consumed;
      this.#respond(bytes);
      if (this.#isOver) return;
      if (this.#phase === "upgraded") {
        if (at < end) this.#heir?.handler.received(this.#heir.state, bytes, at, end);
        return;
      }
    }
    this.#settle();
  }

  /** Continues an incomplete request. */
  #readMore(bytes: Uint8Array, start: number, end: number): void {
    const { maxHeaderBytes } = this.#shared.settings.options;
    const head = this.#head!;
    const before = head.length;
    head.append(bytes, start, end, maxHeaderBytes);
    const { length } = head;
    const isFull = length >= maxHeaderBytes;
    let consumed = 0;
    if (this.#proxyHeaderDue) {
      consumed = this.#readProxyHeader(head.bytes, 0, length);
      if (consumed < 0 || (consumed === 0 && isFull)) this.turnAway("malformed");
      if (consumed > 0) this.#head = undefined;
    } else if (isFull || findHeadEnd(head.bytes, Math.max(0, before - 2), length) >= 0) {
      consumed = readRequest(head.bytes, 0, length, request, this.#shared.handler.rules);
      if (consumed < 0 || (consumed === 0 && isFull)) this.#refuseRequest(consumed);
      if (consumed > 0) {
        this.#respond(head.bytes);
        this.#head = undefined;
      }
    }
    if (consumed <= 0 || this.#isOver) return;
    const rest = start + consumed - before;
    if (this.#phase === "upgraded") {
      if (rest < end) this.#heir?.handler.received(this.#heir.state, bytes, rest, end);
    } else if (rest < end) this.#read(bytes, rest, end);
    else this.#settle();
  }

  /** Reads the PROXY header. A malformed header gets no response, since the client may use another protocol. @returns as {@link readProxyHeader} */
  #readProxyHeader(bytes: Uint8Array, start: number, end: number): number {
    const header = new ProxyHeader();
    const consumed = readProxyHeader(bytes, start, end, header);
    if (consumed > 0) {
      this.#proxyHeaderDue = false;
      if (header.isNamed) {
        this.#peer = header.client;
        this.#mayNameClient = true;
      }
    }
    return consumed;
  }

  resolveClient(bytes: Uint8Array, request: HttpRequest, out: Address): boolean {
    const { options, trusted } = this.#shared.settings;
    const header = this.#mayNameClient ? options.realIpHeader : "";
    return resolveClient(bytes, request, header, trusted, this.#peer, out);
  }

  begin(request: HttpRequest, expectsContinue: boolean): Call {
    this.#call = new Call(request, expectsContinue, this);
    return this.#call;
  }

  get pending(): number {
    return this.#connection.pending;
  }

  write(bytes: Uint8Array, start: number, end: number): void {
    if (this.#isOver) return;
    this.#since = this.#shared.clock.seconds;
    this.#connection.write(bytes, start, end);
    this.#shared.counters.sent.inc(end - start);
    if (this.#connection.pending > 0) this.#pendingSince ??= this.#shared.clock.seconds;
  }

  resumeBody(): void {
    if (this.#rest === undefined) this.#resume();
  }

  /** Passes `request`, whose head is in `bytes`, to the handler and sends the response. */
  #respond(bytes: Uint8Array): void {
    const { handler, settings, stopping } = this.#shared;
    this.#fresh = false;
    const keepAlive = request.keepAlive && settings.options.keepAlive && !stopping;
    const response = handler.respond(bytes, request, this, keepAlive);
    if (!(response instanceof Promise)) {
      this.#send(response);
      return;
    }
    this.#waiting = true;
    this.#waitingSince = this.#shared.clock.seconds;
    this.#isHeadPending = request.method === Method.head;
    void response
      .then((late) => {
        this.#waiting = false;
        if (late === undefined) this.#endCall();
        else this.#send(late);
        this.#goOn();
      })
      .catch((error) => this.#fail(error));
  }

  /** Ends a {@link Call}: upgrades the connection, keeps it open or closes it. */
  #endCall(): void {
    const call = this.#call!;
    this.#call = undefined;
    if (this.#isOver) return;
    if (call.heir) this.#handOver(call.heir);
    else if (!call.keepAlive || !call.body.isComplete || this.#shared.stopping) this.close(true);
  }

  #handOver(handler: StreamHandler<unknown>): void {
    const rest = this.#rest;
    this.#forgetInput();
    this.#pendingSince = undefined;
    this.#enter("upgraded");
    const heir = { handler, state: handler.opened(this.#connection) };
    if (this.#isOver) {
      handler.closed(heir.state); // the handler has closed the connection in `opened`
      return;
    }
    this.#heir = heir;
    if (rest !== undefined) handler.received(heir.state, rest, 0, rest.length);
    if (this.#ended && !this.#isOver) handler.ended(heir.state);
    this.#resume();
  }

  /** Sends a response, unless the connection is closing. */
  #send(response: WholeResponse): void {
    const { handler, stopping } = this.#shared;
    const { heir } = response;
    const isLast = !response.keepAlive || stopping;
    if (!this.#isOver) this.#write(response, isLast);
    if (isLast) this.close();
    handler.sent(response);
    if (heir === undefined) return;
    if (this.#isOver) {
      heir.closed(heir.opened(this.#connection)); // sending has failed, or the server is stopping
    } else {
      this.#uncount();
      this.#isInherited = true;
      this.#connection.forgetRemote?.();
      this.#peer = this.#connection.remote;
      this.#handOver(heir);
    }
  }

  #uncount(): void {
    if (this.#isCounted) this.#shared.counts.remove(this.#connection.remote);
    this.#isCounted = false;
  }

  #write({ out, isHead }: WholeResponse, isLast: boolean): void {
    const connection = this.#connection;
    const end = isHead ? out.headEnd : out.end;
    connection.write(out.bytes, out.start, end, isLast);
    this.#shared.counters.sent.inc(end - out.start);
    if (connection.pending > 0) this.#pendingSince ??= this.#shared.clock.seconds;
  }

  #refuseRequest(consumed: number): void {
    const error = consumed < 0 ? (consumed as RequestError) : RequestError.tooLarge;
    const isHead = request.method === Method.head;
    this.#refuse(requestErrorStatus(error), rejections[error], isHead);
  }

  /** Refuses an unreadable request and closes the connection, because the start of the next request is unknown. */
  #refuse(status: RefusalStatus, reason: Rejection, isHead = false): void {
    this.#fresh = false;
    this.#shared.handler.rejected(reason);
    this.#respondAndClose(status, isHead);
  }

  #respondAndClose(status: RefusalStatus, isHead: boolean): void {
    this.#write(this.#shared.handler.refuse(status, isHead), true);
    this.close(true);
  }

  get #isOver(): boolean {
    return this.#phase === "closing" || this.#phase === "closed";
  }

  get #mustStall(): boolean {
    return this.#waiting || this.#turnDue || this.#connection.pending > maxPending;
  }

  /** Enters the next phase after all bytes have been read. */
  #settle(): void {
    if (this.#mustStall) this.#enter("stalled");
    else if (this.#ended) this.close();
    else this.#enter("idle");
  }

  /** Resumes reading if the connection is stalled without a reason. */
  #goOn(): void {
    if (this.#phase !== "stalled" || this.#mustStall) return;
    const rest = this.#rest;
    this.#rest = undefined;
    this.#own = rest;
    this.#enter("idle");
    if (rest === undefined) this.#settle();
    else this.#receive(rest, 0, rest.length);
    this.#own = undefined;
    if (this.#rest === undefined && this.#call?.body.isFull !== true) this.#resume();
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#since = this.#shared.clock.seconds;
    const { expendable, stalled, inherited } = this.#shared;
    if (phase === "closed") this.list?.remove(this);
    else if (this.#isInherited) inherited.add(this);
    else if (phase === "upgraded" || (phase === "stalled" && (this.#waiting || this.#turnDue)))
      stalled.add(this);
    else expendable.add(this);
  }

  /** Keeps an incomplete request or PROXY header until more bytes arrive. */
  #keepHead(bytes: Uint8Array, start: number, end: number): void {
    if (this.#ended) {
      this.close(); // the rest will never come
      return;
    }
    this.#enter("reading");
    this.#head = new PartialHead();
    this.#head.append(bytes, start, end, this.#shared.settings.options.maxHeaderBytes);
  }

  /** Passes bytes of the body to the pending request, and keeps the rest. */
  #stall(bytes: Uint8Array, start: number, end: number): void {
    if (this.#call !== undefined) {
      const { body } = this.#call;
      this.#since = this.#shared.clock.seconds;
      start = body.receive(bytes, start, end);
      if (body.isFull) this.#pause();
    }
    if (start < end) this.#keepRest(bytes, start, end);
  }

  /** Keeps bytes that cannot be read yet, and pauses the connection. */
  #keepRest(bytes: Uint8Array, start: number, end: number): void {
    if (bytes === this.#own) {
      this.#rest = bytes.subarray(start, end);
      return; // reading is paused already
    }
    const kept = this.#rest ?? new Uint8Array(0);
    this.#rest = new Uint8Array(kept.length + end - start);
    this.#rest.set(kept);
    this.#rest.set(bytes.subarray(start, end), kept.length);
    this.#pause();
  }

  #pause(): void {
    if (!this.#paused) this.#connection.pause();
    this.#paused = true;
  }

  #resume(): void {
    if (this.#paused) this.#connection.resume();
    this.#paused = false;
  }

  #forgetInput(): void {
    this.#head = undefined;
    this.#rest = undefined;
  }
}
