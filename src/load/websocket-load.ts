import { randomBytes } from "node:crypto";
import { Address, type Family } from "../ip/address.ts";
import { createRandom, type Random } from "../lib/clock.ts";
import { Linux, layouts, nameCapacity, writeSocketAddress } from "../net/linux/abi.ts";
import { Epoll } from "../net/linux/epoll.ts";
import { type Libc, loadLibc, setOption, systemError } from "../net/linux/libc.ts";
import { Opcode } from "../protocol/websocket/frame-writer.ts";
import { type Load, type LoadOptions, LoadResult, type LoadRun, Pace } from "./load.ts";
import { Population } from "./population.ts";
import { Silence } from "./silence.ts";
import { defaultSources, Sources } from "./sources.ts";
import { AnnounceFrame, AnswerFrame, pong } from "./websocket-messages.ts";

/** Bytes that one system call receives at most. */
const receiveBytes = 256 * 1024;
/** Connections that are being made at once in a fill. */
const connecting = 128;
/** If nothing arrives for this many milliseconds, all pending announces count as lost. */
const lostMs = 2000;
/** After this many milliseconds of silence, a run has received all offers and answers. */
const quietMs = 200;

const offerKey = Buffer.from('"offer_id":"');
const peerKey = Buffer.from('"peer_id":"');
const answerKey = Buffer.from('"answer":{');
const failureKey = Buffer.from('"failure reason"');
const headEnd = Buffer.from("\r\n\r\n");

export interface WebSocketLoadOptions extends LoadOptions {
  /** Path and query of the announce URL; default `/`. */
  path?: string;
  /** Offers in each announce; default 5. */
  offers?: number;
  /** Whether each peer answers the offers that it gets; default true. */
  answers?: boolean;
  /** Maximum number of pending announces in a run without a rate; default 64. */
  window?: number;
  /**
   * Announces of a peer until it leaves with its socket, and comes back with another one. Every other peer sends `stopped`
   * before. Default: peers stay.
   */
  life?: number;
}

/** One peer and its connection. */
class Connection {
  readonly peer: number;
  /** Announces on this connection. */
  announces = 0;
  fd = -1;
  /** Whether the tracker has accepted the WebSocket. */
  isOpen = false;
  /** Number of the pending announce in this run; -1 without one. */
  request = -1;
  /** Received bytes of an unfinished frame. */
  rest: Buffer | undefined;
  /** Bytes that the kernel has not taken yet. */
  unsent: Uint8Array | undefined;

  constructor(peer: number) {
    this.peer = peer;
  }
}

/**
 * Peers of a browser: each has a WebSocket of its own that stays open. Announces with offers, and answers the offers of
 * others. A run with a rate never sleeps, and uses one core.
 */
export class WebSocketLoad implements Load {
  readonly #libc: Libc;
  readonly #epoll: Epoll;
  readonly #family: Family;
  readonly #options: Required<WebSocketLoadOptions>;
  readonly #population: Population;
  readonly #sources: Sources;
  readonly #connections: readonly Connection[];
  readonly #random: Random = createRandom(7);
  readonly #first: AnnounceFrame;
  readonly #again: AnnounceFrame;
  readonly #stopped: AnnounceFrame = new AnnounceFrame(0, "stopped");
  readonly #answer: AnswerFrame = new AnswerFrame();
  readonly #handshake: Uint8Array;
  readonly #remote: Uint8Array = new Uint8Array(nameCapacity);
  readonly #local: Uint8Array = new Uint8Array(nameCapacity);
  readonly #localView: DataView = new DataView(this.#local.buffer);
  readonly #bytes: Buffer = Buffer.alloc(receiveBytes);
  /** Memory address of `#bytes`. */
  readonly #bytesAt: number;
  #result: LoadResult = new LoadResult();
  #pace: Pace = new Pace({ seconds: 0 });
  #pending = 0;
  readonly #silence = new Silence(performance.now());
  /** The number of the next announce of all runs. */
  #sequence = 0;

  /** @throws Error (the promise rejects) if the platform cannot run the load */
  static async create(options: WebSocketLoadOptions): Promise<WebSocketLoad> {
    return new WebSocketLoad(await loadLibc(), options);
  }

  private constructor(libc: Libc, options: WebSocketLoadOptions) {
    this.#libc = libc;
    this.#options = {
      path: "/",
      offers: 5,
      answers: true,
      window: 64,
      life: Number.POSITIVE_INFINITY,
      sources: defaultSources,
      ...options,
    };
    const { host, port, path, offers, peers } = this.#options;
    this.#population = new Population(options);
    this.#family = host.includes(":") ? 6 : 4;
    this.#sources = new Sources(host, this.#options.sources);
    this.#connections = Array.from({ length: peers }, (_, peer) => new Connection(peer));
    this.#first = new AnnounceFrame(offers, "started");
    this.#again = new AnnounceFrame(offers);
    this.#bytesAt = Number(libc.address(this.#bytes));
    const authority = `${this.#family === 6 ? `[${host}]` : host}:${port}`;
    this.#handshake = new Uint8Array(
      Buffer.from(
        `GET ${path} HTTP/1.1\r\nHost: ${authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`,
        "latin1",
      ),
    );
    writeSocketAddress(new DataView(this.#remote.buffer), 0, Address.parse(host), this.#family, port);
    writeSocketAddress(this.#localView, 0, Address.parse("127.0.0.1"), 4, 0);
    this.#epoll = new Epoll(libc);
  }

  /** Opens a WebSocket for each peer, and announces each peer once. */
  fill(): LoadResult {
    let next = 0;
    let began = 0;
    return this.#run({ seconds: Number.POSITIVE_INFINITY }, () => {
      while (
        next < this.#connections.length &&
        began - this.#result.announces - this.#result.errors < connecting
      ) {
        began++;
        this.#connect(this.#connections[next++]!);
      }
      return next === this.#connections.length && began === this.#result.announces + this.#result.errors;
    });
  }

  run(run: LoadRun): LoadResult {
    const { window, life } = this.#options;
    const open = this.#connections.filter(({ isOpen }) => isOpen);
    const peers = this.#comeBack ? this.#connections : open;
    if (open.length === 0) throw new Error("no WebSocket is open");
    return this.#run(run, () => {
      for (let due = this.#pace.due(performance.now()); due > 0; due--) {
        if (!this.#pace.isPaced && this.#pending >= Math.min(window, peers.length)) break;
        const connection = this.#draw(peers);
        if (connection === undefined) break;
        if (connection.isOpen && connection.announces < life) this.#announce(connection, this.#again);
        else this.#replace(connection);
      }
      return false;
    });
  }

  /**
   * Keeps the WebSockets open: responds to pings, and answers offers. Sleeps while nothing arrives.
   * @returns the broken connections as errors
   */
  idle(seconds: number): LoadResult {
    const result = new LoadResult();
    this.#result = result;
    const end = performance.now() + 1000 * seconds;
    for (let left = 1000 * seconds; left > 0; left = end - performance.now()) this.#receive(Math.ceil(left));
    return result;
  }

  close(): void {
    for (const connection of this.#connections) this.#disconnect(connection);
    this.#epoll.close();
  }

  /** Whether peers come back after their sockets were closed, also by the tracker. */
  get #comeBack(): boolean {
    return this.#options.life !== Number.POSITIVE_INFINITY;
  }

  /** Returns a random peer that can announce; undefined if it does not find one quickly. */
  #draw(peers: readonly Connection[]): Connection | undefined {
    for (let tries = 0; tries < 32; tries++) {
      const connection = peers[this.#random.next() % peers.length]!;
      const { request, isOpen, fd, unsent } = connection;
      if (request < 0 && unsent === undefined && (isOpen || (fd < 0 && this.#comeBack))) return connection;
    }
    return undefined;
  }

  /** @param step  sends what is due; returns whether the run is over */
  #run(run: LoadRun, step: () => boolean): LoadResult {
    const result = new LoadResult();
    this.#result = result;
    this.#pace = new Pace(run);
    const pace = this.#pace;
    this.#silence.end(pace.started);
    let isOver = false;
    while (!isOver) {
      isOver = step() || pace.isOver(performance.now());
      this.#receive(pace.isPaced ? 0 : 1);
      if (this.#silence.look(performance.now()) > lostMs) {
        if (!pace.isPaced) break; // the tracker has stopped responding
        this.#giveUp();
      }
    }
    result.seconds = (performance.now() - pace.started) / 1000;
    this.#silence.end(performance.now());
    const waited = new Silence(performance.now());
    const isQuiet = (now: number) => this.#silence.look(now) > (result.lost > 0 ? lostMs : quietMs);
    for (let now = performance.now(); !isQuiet(now) && waited.look(now) < lostMs; now = performance.now())
      this.#receive(10);
    this.#giveUp();
    return result;
  }

  #connect(connection: Connection): void {
    const libc = this.#libc;
    const { domain, addressAt, nameLength } = layouts[this.#family];
    const fd = libc.socket(domain, Linux.SOCK_STREAM | Linux.SOCK_NONBLOCK | Linux.SOCK_CLOEXEC, 0);
    if (fd < 0) throw systemError(libc, "socket");
    const address = this.#sources.address(connection.peer % this.#sources.count);
    if (address !== undefined) {
      setOption(libc, fd, Linux.SOL_IP, Linux.IP_BIND_ADDRESS_NO_PORT, 1);
      this.#localView.setUint32(addressAt, address);
      if (libc.bind(fd, this.#local, nameLength) < 0) throw systemError(libc, "bind");
    }
    if (libc.connect(fd, this.#remote, nameLength) < 0 && libc.errno() !== Linux.EINPROGRESS) {
      throw systemError(libc, "connect");
    }
    connection.fd = fd;
    connection.unsent = this.#handshake;
    this.#epoll.control(Linux.EPOLL_CTL_ADD, fd, Linux.EPOLLIN | Linux.EPOLLOUT, connection.peer);
  }

  #announce(connection: Connection, announce: AnnounceFrame): void {
    this.#expect(connection);
    this.#write(connection, announce);
  }

  /** Counts an announce that is due. */
  #expect(connection: Connection): void {
    connection.request = this.#result.sent++;
    this.#pending++;
    this.#pace.take(1);
  }

  #write(connection: Connection, announce: AnnounceFrame): void {
    connection.announces++;
    announce.write(this.#population, connection.peer, this.#sequence++);
    this.#send(connection, announce.frame.bytes);
  }

  /** Lets a peer leave with its socket, and opens another one, on which the peer announces. */
  #replace(connection: Connection): void {
    if (connection.peer % 2 === 0) this.#write(connection, this.#stopped);
    this.#disconnect(connection);
    this.#expect(connection);
    this.#connect(connection);
  }

  #send(connection: Connection, bytes: Uint8Array): void {
    if (connection.fd < 0) return;
    if (connection.unsent !== undefined) {
      connection.unsent = new Uint8Array(Buffer.concat([connection.unsent, bytes]));
      return;
    }
    const sent = this.#libc.sendRange(connection.fd, bytes, 0, bytes.length, false);
    if (sent === bytes.length) return;
    if (sent < 0 && this.#libc.errno() !== Linux.EAGAIN) {
      this.#fail(connection);
      return;
    }
    connection.unsent = bytes.slice(Math.max(0, sent));
    this.#epoll.control(Linux.EPOLL_CTL_MOD, connection.fd, Linux.EPOLLIN | Linux.EPOLLOUT, connection.peer);
  }

  /** Sends what the kernel did not take before. */
  #sendRest(connection: Connection): void {
    const unsent = connection.unsent!;
    const sent = this.#libc.sendRange(connection.fd, unsent, 0, unsent.length, false);
    if (sent < 0) {
      if (this.#libc.errno() !== Linux.EAGAIN) this.#fail(connection);
      return;
    }
    connection.unsent = sent === unsent.length ? undefined : unsent.slice(sent);
    if (connection.unsent === undefined) {
      this.#epoll.control(Linux.EPOLL_CTL_MOD, connection.fd, Linux.EPOLLIN, connection.peer);
    }
  }

  #receive(timeoutMs: number): void {
    const count = this.#epoll.wait(timeoutMs);
    if (count <= 0) return;
    this.#silence.end(performance.now());
    for (let i = 0; i < count; i++) {
      const connection = this.#connections[this.#epoll.data(i)]!;
      const events = this.#epoll.events(i);
      if (connection.fd >= 0 && connection.unsent !== undefined && (events & Linux.EPOLLOUT) !== 0) {
        this.#sendRest(connection);
      }
      if (connection.fd >= 0 && (events & ~Linux.EPOLLOUT) !== 0) this.#read(connection);
    }
  }

  #read(connection: Connection): void {
    const bytes = this.#bytes;
    const at = connection.rest === undefined ? 0 : connection.rest.copy(bytes);
    const length = this.#libc.recv(connection.fd, this.#bytesAt + at, bytes.length - at, 0);
    if (length <= 0) {
      if (length === 0 || this.#libc.errno() !== Linux.EAGAIN) this.#fail(connection);
      return;
    }
    connection.rest = undefined;
    const end = at + length;
    let start = 0;
    if (!connection.isOpen) start = this.#readHandshake(connection, end);
    if (connection.isOpen) start = this.#readFrames(connection, start, end);
    if (start < end && connection.fd >= 0) connection.rest = Buffer.from(bytes.subarray(start, end));
  }

  /** Reads the response to a handshake, and announces the peer. @returns the offset of the first frame; 0 without one */
  #readHandshake(connection: Connection, end: number): number {
    const head = this.#bytes.subarray(0, end).indexOf(headEnd);
    if (head < 0) return 0;
    if (!this.#bytes.toString("latin1", 0, head).startsWith("HTTP/1.1 101 ")) {
      this.#fail(connection);
      return 0;
    }
    connection.isOpen = true;
    if (connection.request < 0) this.#expect(connection);
    this.#write(connection, this.#first);
    return head + headEnd.length;
  }

  /** Reads the whole frames in `bytes[at..end)`. @returns the offset of the first unfinished frame */
  #readFrames(connection: Connection, at: number, end: number): number {
    const bytes = this.#bytes;
    while (end - at >= 2 && connection.fd >= 0) {
      const marker = bytes[at + 1]!;
      const head = marker < 126 ? 2 : marker === 126 ? 4 : 10;
      if (end - at < head) break;
      const length =
        marker < 126 ? marker : marker === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
      const next = at + head + length;
      if (next > end) break;
      this.#take(connection, bytes[at]! & 0x0f, bytes.subarray(at + head, next));
      at = next;
    }
    return at;
  }

  #take(connection: Connection, opcode: number, payload: Buffer): void {
    if (opcode === Opcode.ping) this.#send(connection, pong(payload));
    else if (opcode === Opcode.close) this.#fail(connection);
    else if (opcode === Opcode.text || opcode === Opcode.binary) this.#takeMessage(connection, payload);
  }

  #takeMessage(connection: Connection, payload: Buffer): void {
    const offerIdAt = payload.indexOf(offerKey);
    if (offerIdAt >= 0) {
      this.#takeRelay(connection, payload, offerIdAt + offerKey.length);
    } else if (connection.request >= 0) {
      if (payload.indexOf(failureKey) >= 0) this.#result.errors++;
      else this.#result.announces++;
      this.#settle(connection);
    }
  }

  #takeRelay(connection: Connection, payload: Buffer, offerIdAt: number): void {
    if (payload.indexOf(answerKey) >= 0) {
      this.#result.answers++;
      return;
    }
    this.#result.offers++;
    const peerIdAt = payload.indexOf(peerKey) + peerKey.length;
    if (!this.#options.answers) return;
    this.#answer.write(this.#population, connection.peer, payload, offerIdAt, peerIdAt);
    this.#send(connection, this.#answer.frame.bytes);
  }

  /** Ends the pending announce of a connection. */
  #settle(connection: Connection): void {
    if (this.#pace.isPaced) {
      this.#result.latency.record(1000 * (performance.now() - this.#pace.dueAt(connection.request)));
    }
    connection.request = -1;
    this.#pending--;
  }

  /** Counts a connection that has broken, or was not accepted. */
  #fail(connection: Connection): void {
    if (connection.fd < 0) return;
    this.#result.errors++;
    if (connection.request >= 0) this.#settle(connection);
    else this.#result.sent++; // so that the error is not a lost response
    this.#disconnect(connection);
  }

  #disconnect(connection: Connection): void {
    if (connection.fd < 0) return;
    this.#libc.close(connection.fd); // also removes the descriptor from the epoll set
    connection.fd = -1;
    connection.isOpen = false;
    connection.announces = 0;
    connection.rest = connection.unsent = undefined;
  }

  /** Abandons all pending announces. */
  #giveUp(): void {
    for (const connection of this.#connections) connection.request = -1;
    this.#pending = 0;
    this.#silence.end(performance.now());
  }
}
