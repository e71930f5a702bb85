import { compactLength } from "../bittorrent/peer-list.ts";
import { Address, type Family } from "../ip/address.ts";
import { createRandom, type Random } from "../lib/clock.ts";
import { Linux, layouts, nameCapacity, writeSocketAddress } from "../net/linux/abi.ts";
import { type Libc, loadLibc, setOption, systemError } from "../net/linux/libc.ts";
import { Action, announceHeadLength, announceLength, connectMagic } from "../protocol/udp/packet.ts";
import { type Load, type LoadOptions, LoadResult, type LoadRun, Pace } from "./load.ts";
import { Messages } from "./messages.ts";
import { Population } from "./population.ts";
import { Silence } from "./silence.ts";
import { defaultSources, portOf, Sources } from "./sources.ts";

/** Messages per system call; a message has requests of one source. */
const messages = 4;
/** Requests per message. */
const segments = 16;
/** Datagrams per system call that receives. */
const batchSize = 64;
const requestBytes = announceLength[Action.announce];
const scrapeLength = 36;
const responseBytes = 2048;
/** Requested size of the socket's buffers in bytes; the kernel grants up to `net.core.rmem_max`. */
const socketBuffer = 8 << 20;
/** A client may use a connection id for a minute (BEP 15). */
const reconnectMs = 50_000;
/** If nothing arrives for this many milliseconds, all pending requests count as lost. */
const lostMs = 1000;

export interface UdpLoadOptions extends LoadOptions {
  /** Maximum number of pending requests in a run without a rate; default 192, which fits into a default socket buffer. */
  window?: number;
  /** About one request in this many is a scrape; default 101; 0 for none. */
  scrapeEvery?: number;
}

/** Returns the peer of a source's next request; -1 after its last peer. */
type Draw = (source: number) => number;

/**
 * Announces and scrapes over UDP, in batches and from many source addresses. A run never sleeps, and uses one core.
 */
export class UdpLoad implements Load {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #family: Family;
  readonly #options: Required<UdpLoadOptions>;
  readonly #population: Population;
  readonly #sources: Sources;
  readonly #requests: Messages;
  readonly #responses: Messages;
  readonly #random: Random = createRandom(7);
  /** Connection ids, by source. */
  readonly #ids: BigUint64Array;
  readonly #hasId: Uint8Array;
  /** Requests per message. */
  readonly #segments: number;
  #connectedAt = Number.NEGATIVE_INFINITY;
  #result: LoadResult = new LoadResult();
  #pace: Pace = new Pace({ seconds: 0 });
  /** The transaction ids of this run are at least `#first` and less than `#next`. */
  #first = 1;
  #next = 1;
  #pending = 0;
  readonly #silence = new Silence(performance.now());
  /** The source of the next message. */
  #source = 0;
  #sinceScrape = 0;

  /** @throws Error (the promise rejects) if the platform cannot run the load */
  static async create(options: UdpLoadOptions): Promise<UdpLoad> {
    return new UdpLoad(await loadLibc(), options);
  }

  private constructor(libc: Libc, options: UdpLoadOptions) {
    this.#libc = libc;
    this.#options = { window: 192, scrapeEvery: 101, sources: defaultSources, ...options };
    this.#population = new Population(options);
    this.#family = options.host.includes(":") ? 6 : 4;
    this.#sources = new Sources(options.host, this.#options.sources);
    this.#ids = new BigUint64Array(this.#sources.count);
    this.#hasId = new Uint8Array(this.#sources.count);
    this.#fd = libc.socket(layouts[this.#family].domain, Linux.SOCK_DGRAM | Linux.SOCK_CLOEXEC, 0);
    if (this.#fd < 0) throw systemError(libc, "socket");
    setOption(libc, this.#fd, Linux.SOL_SOCKET, Linux.SO_RCVBUF, socketBuffer);
    setOption(libc, this.#fd, Linux.SOL_SOCKET, Linux.SO_SNDBUF, socketBuffer);
    const name = new Uint8Array(nameCapacity);
    const view = new DataView(name.buffer);
    writeSocketAddress(view, 0, new Address(), this.#family, 0);
    if (this.#family === 4 && libc.bind(this.#fd, name, layouts[4].nameLength) < 0) {
      throw systemError(libc, "bind");
    }
    writeSocketAddress(view, 0, Address.parse(options.host), this.#family, options.port);
    const length = new Uint8Array(new Int32Array([requestBytes]).buffer);
    // The kernel cuts a message into datagrams of this length, which costs far less than sending single datagrams.
    this.#segments =
      libc.setsockopt(this.#fd, Linux.SOL_UDP, Linux.UDP_SEGMENT, length, 4) === 0 ? segments : 1;
    this.#requests = new Messages(libc, messages, segments * requestBytes);
    this.#requests.setDestination(name, this.#family);
    this.#responses = new Messages(libc, batchSize, responseBytes);
    this.#writeConstants();
  }

  fill(): LoadResult {
    const { count } = this.#sources;
    const next = new Uint32Array(count);
    const run = { seconds: Number.POSITIVE_INFINITY };
    const draw = (source: number) => {
      return next[source] === this.#peersOfSource ? -1 : next[source]!++ * count + source;
    };
    return this.#run(run, 0, this.#peersOfSource * count, draw);
  }

  run(run: LoadRun): LoadResult {
    const { count } = this.#sources;
    const first = Math.ceil((run.from ?? 0) / count);
    const draw = (source: number) => (first + (this.#random.next() % this.#peersOfSource)) * count + source;
    return this.#run(run, this.#options.scrapeEvery, Number.POSITIVE_INFINITY, draw);
  }

  close(): void {
    this.#libc.close(this.#fd);
  }

  get #peersOfSource(): number {
    return Math.ceil(this.#options.peers / this.#sources.count);
  }

  /** @param left  number of requests to send */
  #run(run: LoadRun, scrapeEvery: number, left: number, draw: Draw): LoadResult {
    this.#result = new LoadResult();
    this.#first = this.#next;
    this.#pending = 0;
    this.#connect();
    this.#pace = new Pace(run);
    const pace = this.#pace;
    const most = messages * this.#segments;
    let now = pace.started;
    this.#silence.end(now);
    while (!pace.isOver(now) && left > this.#result.sent) {
      if (now - this.#connectedAt > reconnectMs) this.#sendConnects();
      const room = pace.isPaced ? pace.due(now) : this.#options.window - this.#pending;
      const count = Math.min(most, room, left - this.#result.sent);
      // Without a rate, waits for full batches: small ones would slow the generator down.
      if (count > 0 && (pace.isPaced || room >= most)) this.#send(count, draw, scrapeEvery);
      this.#receive();
      now = performance.now();
      if (this.#silence.look(now) > lostMs) this.#pending = 0;
    }
    this.#result.seconds = (performance.now() - pace.started) / 1000;
    this.#waitForRest();
    return this.#result;
  }

  /** Receives the responses to pending requests, until none is missing or nothing arrives any more. */
  #waitForRest(): void {
    this.#silence.end(performance.now());
    while (this.#result.lost > 0 && this.#silence.look(performance.now()) < lostMs) this.#receive();
  }

  /** Gets a connection id for every source if the old ids have expired. */
  #connect(): void {
    if (performance.now() - this.#connectedAt < reconnectMs) return;
    this.#hasId.fill(0);
    for (let attempt = 0; attempt < 3; attempt++) {
      this.#sendConnects();
      const waited = new Silence(performance.now());
      do {
        this.#receive();
        if (!this.#hasId.includes(0)) return;
      } while (waited.look(performance.now()) < lostMs);
    }
    const { host, port } = this.#options;
    throw new Error(`${host} port ${port} does not respond to connect requests over UDP`);
  }

  #sendConnects(): void {
    this.#connectedAt = performance.now();
    const { view } = this.#requests;
    for (let source = 0; source < this.#sources.count; source += messages) {
      const count = Math.min(messages, this.#sources.count - source);
      for (let slot = 0; slot < count; slot++) {
        const at = slot * this.#requests.slotBytes;
        view.setUint32(at, connectMagic.high);
        view.setUint32(at + 4, connectMagic.low);
        view.setUint32(at + 8, Action.connect);
        view.setUint32(at + 12, source + slot);
        this.#address(slot, source + slot, 16);
      }
      this.#libc.sendmmsg(this.#fd, this.#requests.headers, count, 0);
      this.#receive();
    }
  }

  /** Writes the fields that all announces share. */
  #writeConstants(): void {
    const { view, bytes } = this.#requests;
    for (let at = 0; at < bytes.length; at += requestBytes) {
      bytes.set(peerId, at + 36);
      view.setInt32(at + 92, this.#options.numWant);
    }
  }

  #address(slot: number, source: number, length: number): void {
    const address = this.#sources.address(source);
    if (address !== undefined) this.#requests.setSource(slot, address);
    this.#requests.setLength(slot, length);
  }

  #send(count: number, draw: Draw, scrapeEvery: number): void {
    let slot = 0;
    let written = 0;
    while (slot < messages && written < count) {
      const source = this.#source;
      this.#source = (source + 1) % this.#sources.count;
      const most = Math.min(count - written, this.#segments);
      const requests = this.#writeMessage(slot, source, most, draw, scrapeEvery);
      if (requests > 0) slot++;
      written += requests;
    }
    // Messages that the kernel does not accept count as lost, like lost datagrams.
    this.#libc.sendmmsg(this.#fd, this.#requests.headers, slot, 0);
    this.#pending += written;
    this.#result.sent += written;
    this.#pace.take(written);
  }

  /** @returns the number of requests in the message, at most `most` */
  #writeMessage(slot: number, source: number, most: number, draw: Draw, scrapeEvery: number): number {
    const { view } = this.#requests;
    const start = slot * this.#requests.slotBytes;
    const hasScrape = scrapeEvery > 0 && this.#sinceScrape + most >= scrapeEvery;
    let count = 0;
    let length = 0;
    for (; count < most; count++) {
      const peer = draw(source);
      if (peer < 0) break;
      const at = start + count * requestBytes;
      // Only the last datagram of a message may be shorter than the others.
      const isScrape = hasScrape && count === most - 1;
      view.setBigUint64(at, this.#ids[source]!);
      view.setUint32(at + 8, isScrape ? Action.scrape : Action.announce);
      view.setUint32(at + 12, this.#next++);
      this.#population.writeInfoHash(this.#population.torrentOf(peer), view, at + 16);
      length += isScrape ? scrapeLength : requestBytes;
      if (isScrape) continue;
      view.setUint32(at + 68, this.#population.isSeeder(peer) ? 0 : 1);
      view.setUint16(at + 96, portOf(peer, this.#sources.count));
    }
    if (scrapeEvery > 0) this.#sinceScrape += count - (hasScrape ? scrapeEvery : 0);
    this.#address(slot, source, length);
    return count;
  }

  #receive(): void {
    const count = this.#libc.recvmmsg(this.#fd, this.#responses.headers, batchSize, Linux.MSG_DONTWAIT, null);
    if (count <= 0) return;
    const now = performance.now();
    this.#silence.end(now);
    const { view } = this.#responses;
    for (let slot = 0; slot < count; slot++) {
      const at = slot * responseBytes;
      const action = view.getUint32(at);
      const transactionId = view.getUint32(at + 4);
      const length = this.#responses.length(slot);
      if (action === Action.connect && length === 16) this.#connected(transactionId, at);
      else if (transactionId >= this.#first && transactionId < this.#next) {
        if (this.#pending > 0) this.#pending--;
        this.#count(action, length);
        if (this.#pace.isPaced) {
          this.#result.latency.record(1000 * (now - this.#pace.dueAt(transactionId - this.#first)));
        }
      }
    }
  }

  #connected(source: number, at: number): void {
    if (source >= this.#sources.count) return;
    this.#ids[source] = this.#responses.view.getBigUint64(at + 8);
    this.#hasId[source] = 1;
  }

  #count(action: number, length: number): void {
    const result = this.#result;
    const peers = (length - announceHeadLength) / compactLength[this.#family];
    if (action === Action.announce && peers >= 0 && Number.isInteger(peers)) {
      result.announces++;
      result.peers += peers;
    } else if (action === Action.scrape && length === 20) {
      result.scrapes++;
    } else {
      result.errors++;
    }
  }
}

const peerId = new TextEncoder().encode("-qB4520-abcdefghijkl");
