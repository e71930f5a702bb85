import type { KeptAddress } from "../../ip/kept-address.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Linked, LinkedList } from "../../lib/linked-list.ts";
import type { Connection, StreamHandler } from "../../net/stream.ts";
import { CloseCode, noCode } from "../../protocol/websocket/close-code.ts";
import { type FrameHandler, type FrameLimits, FrameReader } from "../../protocol/websocket/frame-reader.ts";
import { Opcode, writeCloseFrame, writeControlFrame } from "../../protocol/websocket/frame-writer.ts";
import type { MessageMemory } from "../../protocol/websocket/message-memory.ts";
import type { SocketCounters } from "./metrics.ts";
import { OfferRing } from "./offer-ring.ts";
import { SocketTorrents } from "./socket-torrents.ts";

/** A socket with more bytes to send than this gets no offers, and its own messages wait. */
export const slowBytes: number = 64 * 1024;
/** A socket with more bytes to send than this is closed. */
const mostPending = 256 * 1024;
/** Seconds for a client to take bytes, before the socket is closed. */
const drainTimeout = 10;
/** Seconds for all bytes of a message to arrive, from its first byte. */
const messageTimeout = 10;
/** Seconds without a byte of the client until a ping, and from the ping until the socket is closed. */
const pingAfter = 30;
/** Seconds for the client to close its side of the connection. */
const closeTimeout = 5;
/** Seconds until the first accepted announce of a socket. */
const announceTimeout = 30;
/** Intervals without an accepted announce, after which a socket is closed. */
const mostIntervals = 3;
/** Messages a second of one socket; a socket may send so many more at once. */
const messagesPerSecond = 20;
const messageBurst = 60;
/** Messages without a torrent in a row, after which a socket is closed. */
const mostInvalid = 5;

/** What all sockets of a frontend share. */
export interface SessionHost {
  readonly clock: Clock;
  readonly memory: MessageMemory;
  readonly limits: FrameLimits;
  readonly counters: SocketCounters;
  /** Handles one message of a client; `bytes[start..end)` is valid until this returns. */
  message(session: Session, bytes: Uint8Array, start: number, end: number): void;
  /** Called once when a socket no longer takes part: its peers leave the swarms. */
  left(session: Session): void;
  /** Called when the connection of a socket is gone. */
  closed(session: Session): void;
  /** Called for an unexpected error. */
  onError(error: Error): void;
}

/** Room for control frames. */
const control = new Uint8Array(128);

/**
 * One WebSocket. Takes over a connection of the HTTP server, reads its messages, and notices a client that is gone, too slow or
 * too fast.
 */
export class Session implements StreamHandler<Session>, FrameHandler, Linked<Session> {
  list: LinkedList<Session> | undefined;
  previous: Session | undefined;
  next: Session | undefined;
  readonly #host: SessionHost;
  readonly #reader: FrameReader;
  #connection: Connection | undefined;
  /** The address of the client, which may be behind a proxy. */
  readonly client: KeptAddress;
  /** Path and query of the request that opened the socket. */
  readonly target: Uint8Array;
  readonly pathEnd: number;
  /** The parameters of its route. A reload may change them. */
  route: ReadonlyMap<string, string> | undefined;
  /** The web site of the page; undefined for a program. */
  readonly origin: string | undefined;
  /** The place in the table of sockets, see `AnnounceRequest.handle`. */
  handle = 0;
  generation = 0;
  readonly torrents: SocketTorrents = new SocketTorrents();
  #offers: OfferRing | undefined;
  #isOpen = true;
  /** When the socket was closed by this side; the connection still waits for the client. */
  #closedAt = 0;
  #receivedAt: number;
  #pingedAt = 0;
  #partialSince = 0;
  #pendingSince = 0;
  /** Until when an announce must be accepted. The time of a hook or of the store may exceed it. */
  #announceBy: number;
  #tokens = messageBurst;
  #tokensAt: number;
  #invalid = 0;
  /** The payload of the last ping among the bytes that are being read: only that one needs a pong (RFC 6455 §5.5.3). */
  #pong: Uint8Array | undefined;
  /** Why further messages wait. */
  #isBusy = false;
  #isTooFast = false;
  #isSlow = false;
  #isPaused = false;

  constructor(
    host: SessionHost,
    client: KeptAddress,
    target: Uint8Array,
    pathEnd: number,
    route: ReadonlyMap<string, string> | undefined,
    origin?: string,
  ) {
    const { seconds } = host.clock;
    this.#host = host;
    this.#reader = new FrameReader(this, host.limits, host.memory);
    this.client = client;
    this.target = target;
    this.pathEnd = pathEnd;
    this.route = route;
    this.origin = origin;
    this.#receivedAt = this.#tokensAt = seconds;
    this.#announceBy = seconds + announceTimeout;
  }

  /** Whether the socket takes part: messages can be sent to it. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether too many bytes wait for the client to give it more. */
  get isSlow(): boolean {
    return this.#connection === undefined || this.#connection.pending > slowBytes;
  }

  /** The offers that were relayed to this socket. */
  get offers(): OfferRing {
    this.#offers ??= new OfferRing();
    return this.#offers;
  }

  get hasOffers(): boolean {
    return this.#offers !== undefined;
  }

  // The connection.

  opened(connection: Connection): Session {
    this.#connection = connection;
    return this;
  }

  received(_: Session, bytes: Uint8Array, start: number, end: number): void {
    const { clock, counters } = this.#host;
    counters.received.inc(end - start);
    if (!this.#isOpen) return;
    this.#receivedAt = clock.seconds;
    this.#pingedAt = 0;
    try {
      this.#reader.receive(bytes, start, end);
    } catch (error) {
      this.fail(error as Error);
      return;
    }
    this.#settle();
  }

  ended(): void {
    this.#leave();
    this.#connection?.end(false);
  }

  drained(): void {
    this.#pendingSince = 0;
    if (!this.#isSlow) return;
    this.#isSlow = false;
    this.#goOn();
  }

  closed(): void {
    this.#leave();
    this.#connection = undefined;
    this.#host.closed(this);
  }

  // The frames.

  message(bytes: Uint8Array, start: number, end: number): void {
    this.#partialSince = 0;
    this.#host.message(this, bytes, start, end);
    if (--this.#tokens <= 0) this.#isTooFast = true;
    if (this.#mustWait) this.#reader.hold();
  }

  ping(bytes: Uint8Array, start: number, end: number): void {
    this.#pong = new Uint8Array(bytes.subarray(start, end));
  }

  pong(): void {}

  closing(code: number): void {
    this.close(code === noCode ? CloseCode.normal : code);
  }

  failed(code: CloseCode): void {
    this.#host.counters.failed(code);
    this.close(code);
  }

  // The protocol.

  /** Sends whole frames. May close the socket. */
  send(bytes: Uint8Array, start: number, end: number): void {
    const connection = this.#connection;
    if (!this.#isOpen || connection === undefined) return;
    connection.write(bytes, start, end);
    this.#host.counters.sent.inc(end - start);
    const { pending } = connection;
    if (pending === 0) return;
    this.#pendingSince ||= this.#host.clock.seconds;
    if (pending > mostPending) this.#drop();
    else if (pending > slowBytes) this.#isSlow = true;
  }

  /** Makes further messages wait until {@link finish}. */
  wait(): void {
    this.#isBusy = true;
  }

  /** Goes on with further messages, unless the time for an accepted announce is over. */
  finish(): void {
    this.#isBusy = false;
    if (this.#host.clock.seconds > this.#announceBy) this.close(CloseCode.normal);
    this.#goOn();
  }

  /** Notes an accepted announce. @param interval  seconds until the next one, as the client knows */
  accepted(interval: number): void {
    this.#invalid = 0;
    this.#announceBy = Math.max(this.#announceBy, this.#host.clock.seconds + mostIntervals * interval);
  }

  /** Notes a message that cannot be responded to. */
  invalid(): void {
    if (++this.#invalid === mostInvalid) this.failed(CloseCode.policy);
  }

  /** Closes the socket with a code. Its peers leave the swarms at once. Idempotent. */
  close(code: number): void {
    if (!this.#isOpen) return;
    const connection = this.#connection;
    if (connection !== undefined) {
      connection.write(control, 0, writeCloseFrame(control, 0, code));
      connection.end(true);
    }
    this.#leave();
  }

  /** Closes the connection after an unexpected error. */
  fail(error: Error): void {
    this.#host.onError(error);
    this.#leave();
    this.#connection?.destroy(true);
  }

  /** Checks the times. Called about once a second. */
  sweep(): void {
    const { seconds } = this.#host.clock;
    const connection = this.#connection;
    if (connection === undefined) return;
    if (!this.#isOpen) {
      if (seconds - this.#closedAt > closeTimeout) connection.destroy();
      return;
    }
    if (connection.pending === 0) this.#pendingSince = 0;
    if (this.#pendingSince !== 0 && seconds - this.#pendingSince > drainTimeout) {
      this.#drop();
    } else if (this.#partialSince !== 0 && seconds - this.#partialSince > messageTimeout) {
      this.failed(CloseCode.policy);
    } else if (seconds > this.#announceBy && !this.#isBusy) {
      this.close(CloseCode.normal);
    } else if (this.#isPaused) {
      this.#refill(seconds);
    } else if (this.#pingedAt !== 0) {
      if (seconds - this.#pingedAt > pingAfter) {
        this.#host.counters.pingsTimedOut.inc();
        connection.destroy();
      }
    } else if (seconds - this.#receivedAt >= pingAfter) {
      this.#pingedAt = seconds;
      this.send(control, 0, writeControlFrame(control, 0, Opcode.ping, control, 0, 0));
    } else this.#refill(seconds);
  }

  /** Lets the socket send messages again that it could not because of its rate. */
  #refill(seconds: number): void {
    this.#tokens = Math.min(messageBurst, this.#tokens + messagesPerSecond * (seconds - this.#tokensAt));
    this.#tokensAt = seconds;
    if (!this.#isTooFast || this.#tokens <= 0) return;
    this.#isTooFast = false;
    this.#goOn();
  }

  get #mustWait(): boolean {
    return this.#isBusy || this.#isTooFast || this.#isSlow;
  }

  #goOn(): void {
    if (!this.#isOpen || this.#mustWait) return;
    try {
      this.#reader.release();
    } catch (error) {
      this.fail(error as Error);
      return;
    }
    this.#settle();
  }

  /** Sends the pong, and pauses or resumes the connection, after bytes were read. */
  #settle(): void {
    const pong = this.#pong;
    this.#pong = undefined;
    if (pong !== undefined && !this.isSlow)
      this.send(control, 0, writeControlFrame(control, 0, Opcode.pong, pong, 0, pong.length));
    if (!this.#isOpen) return;
    const mustWait = this.#mustWait;
    if (mustWait) this.#reader.hold();
    this.#partialSince =
      mustWait || !this.#reader.isPartial ? 0 : this.#partialSince || this.#host.clock.seconds;
    if (mustWait === this.#isPaused) return;
    this.#isPaused = mustWait;
    if (mustWait) this.#connection?.pause();
    else this.#connection?.resume();
  }

  /** Closes a connection whose client does not take its bytes. */
  #drop(): void {
    this.#host.counters.slow.inc();
    this.#leave();
    this.#connection?.destroy(true);
  }

  #leave(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#closedAt = this.#host.clock.seconds;
    this.#reader.stop();
    this.#host.left(this);
    this.torrents.clear();
    this.#offers = undefined;
  }
}
