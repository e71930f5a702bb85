import { Address, type Family } from "../ip/address.ts";
import { createRandom, type Random } from "../lib/clock.ts";
import { Linux, layouts, nameCapacity, writeSocketAddress } from "../net/linux/abi.ts";
import { Epoll } from "../net/linux/epoll.ts";
import { type Libc, loadLibc, setOption, systemError } from "../net/linux/libc.ts";
import { HttpRequest } from "./http-request.ts";
import { Incomplete, readResponse, Wrong } from "./http-response.ts";
import { type Load, type LoadOptions, LoadResult, type LoadRun, Pace } from "./load.ts";
import { Population } from "./population.ts";
import { Silence } from "./silence.ts";
import { defaultSources, portOf, Sources } from "./sources.ts";

/** Maximum length of a response in bytes. */
const responseBytes = 16 * 1024;
/** If nothing arrives for this many milliseconds, all pending requests count as lost. */
const lostMs = 2000;

export interface HttpLoadOptions extends LoadOptions {
  /** Path and query of the announce URL; default `/announce`. */
  path?: string;
  /** Concurrent connections, each with one request at a time; default 64. */
  connections?: number;
  /** Whether a connection carries many requests; otherwise each request has its own connection, which the tracker closes. */
  keepAlive?: boolean;
}

/** The state of one connection. */
class Connection {
  readonly index: number;
  readonly bytes: Buffer = Buffer.alloc(responseBytes);
  /** Memory address of `bytes`. */
  readonly bytesAt: number;
  source = 0;
  fd = -1;
  /** Received bytes of the response. */
  length = 0;
  /** Number of the pending request in this run; -1 without one. */
  request = -1;
  /** The peer that the request announces. */
  peer = 0;
  /** Whether the request still waits for the connection. */
  isWaiting = false;

  constructor(libc: Libc, index: number) {
    this.index = index;
    this.bytesAt = Number(libc.address(this.bytes));
  }
}

/** Announces over HTTP from many source addresses. A run with a rate never sleeps, and uses one core. */
export class HttpLoad implements Load {
  readonly #libc: Libc;
  readonly #epoll: Epoll;
  readonly #family: Family;
  readonly #options: Required<HttpLoadOptions>;
  readonly #population: Population;
  readonly #sources: Sources;
  readonly #connections: readonly Connection[];
  readonly #closing: HttpRequest;
  readonly #keeping: HttpRequest;
  readonly #random: Random = createRandom(7);
  readonly #remote: Uint8Array = new Uint8Array(nameCapacity);
  readonly #local: Uint8Array = new Uint8Array(nameCapacity);
  readonly #localView: DataView = new DataView(this.#local.buffer);
  /** Connections without a request; the one that has been idle longest is first. */
  #idle: Connection[] = [];
  #keepAlive = false;
  #source = 0;
  #result: LoadResult = new LoadResult();
  #pace: Pace = new Pace({ seconds: 0 });
  readonly #silence = new Silence(performance.now());

  /** @throws Error (the promise rejects) if the platform cannot run the load */
  static async create(options: HttpLoadOptions): Promise<HttpLoad> {
    return new HttpLoad(await loadLibc(), options);
  }

  private constructor(libc: Libc, options: HttpLoadOptions) {
    this.#libc = libc;
    this.#options = {
      path: "/announce",
      connections: 64,
      keepAlive: false,
      sources: defaultSources,
      ...options,
    };
    const { host, port, connections } = this.#options;
    this.#population = new Population(options);
    this.#family = host.includes(":") ? 6 : 4;
    this.#sources = new Sources(host, this.#options.sources);
    this.#connections = Array.from({ length: connections }, (_, index) => new Connection(libc, index));
    this.#closing = new HttpRequest({ ...this.#options, keepAlive: false });
    this.#keeping = new HttpRequest({ ...this.#options, keepAlive: true });
    writeSocketAddress(new DataView(this.#remote.buffer), 0, Address.parse(host), this.#family, port);
    writeSocketAddress(this.#localView, 0, Address.parse("127.0.0.1"), 4, 0);
    this.#epoll = new Epoll(libc);
  }

  /** Uses one connection for each announce, so that the announces come from all sources in turn. */
  fill(): LoadResult {
    const { count } = this.#sources;
    const next = new Uint32Array(count);
    const draw = (source: number) => next[source]!++ * count + source;
    this.#keepAlive = false;
    return this.#run({ seconds: Number.POSITIVE_INFINITY }, this.#peersOfSource * count, draw);
  }

  run(run: LoadRun): LoadResult {
    const { count } = this.#sources;
    const first = Math.ceil((run.from ?? 0) / count);
    const draw = (source: number) => (first + (this.#random.next() % this.#peersOfSource)) * count + source;
    this.#keepAlive = this.#options.keepAlive;
    return this.#run(run, Number.POSITIVE_INFINITY, draw);
  }

  close(): void {
    for (const connection of this.#connections) this.#disconnect(connection);
    this.#epoll.close();
  }

  get #peersOfSource(): number {
    return Math.ceil(this.#options.peers / this.#sources.count);
  }

  #run(run: LoadRun, left: number, draw: (source: number) => number): LoadResult {
    this.#result = new LoadResult();
    // The tracker may have closed idle connections since the last run.
    for (const connection of this.#connections) this.#disconnect(connection);
    this.#idle = [...this.#connections];
    this.#pace = new Pace(run);
    const pace = this.#pace;
    const result = this.#result;
    let now = pace.started;
    this.#silence.end(now);
    while (!pace.isOver(now) && left > result.sent) {
      for (let due = Math.min(pace.due(now), left - result.sent); due > 0; due--) {
        const connection = this.#idle.shift();
        if (connection === undefined) break;
        this.#start(connection, draw);
      }
      this.#receive(pace.isPaced ? 0 : 1);
      now = performance.now();
      if (this.#silence.look(now) > lostMs) this.#giveUp();
    }
    result.seconds = (performance.now() - pace.started) / 1000;
    this.#silence.end(performance.now());
    while (result.lost > 0 && this.#silence.look(performance.now()) < lostMs) this.#receive(1);
    this.#giveUp();
    return result;
  }

  /** Sends the next request of a connection; connects first if needed. */
  #start(connection: Connection, draw: (source: number) => number): void {
    connection.request = this.#result.sent++;
    this.#pace.take(1);
    if (connection.fd < 0) this.#connect(connection);
    connection.peer = draw(connection.source);
    connection.length = 0;
    this.#send(connection);
  }

  #send(connection: Connection): void {
    const { peer, fd } = connection;
    const request = this.#keepAlive ? this.#keeping : this.#closing;
    const torrent = this.#population.torrentOf(peer);
    const port = portOf(peer, this.#sources.count);
    request.write(this.#population, torrent, port, this.#population.isSeeder(peer));
    const sent = this.#libc.sendRange(fd, request.bytes, 0, request.bytes.length, false);
    if (sent === request.bytes.length) {
      if (connection.isWaiting) this.#epoll.control(Linux.EPOLL_CTL_MOD, fd, Linux.EPOLLIN, connection.index);
      connection.isWaiting = false;
    } else if (sent < 0 && this.#libc.errno() === Linux.EAGAIN && !connection.isWaiting) {
      connection.isWaiting = true;
      this.#epoll.control(Linux.EPOLL_CTL_MOD, fd, Linux.EPOLLOUT, connection.index);
    } else {
      this.#done(connection, Wrong, true);
    }
  }

  #connect(connection: Connection): void {
    const libc = this.#libc;
    const fd = libc.socket(
      layouts[this.#family].domain,
      Linux.SOCK_STREAM | Linux.SOCK_NONBLOCK | Linux.SOCK_CLOEXEC,
      0,
    );
    if (fd < 0) throw systemError(libc, "socket");
    connection.source = this.#source;
    this.#source = (this.#source + 1) % this.#sources.count;
    const address = this.#sources.address(connection.source);
    if (address !== undefined) {
      // The kernel then chooses the port in `connect`, where a port may serve several destinations.
      setOption(libc, fd, Linux.SOL_IP, Linux.IP_BIND_ADDRESS_NO_PORT, 1);
      this.#localView.setUint32(layouts[4].addressAt, address);
      if (libc.bind(fd, this.#local, layouts[4].nameLength) < 0) throw systemError(libc, "bind");
    }
    if (libc.connect(fd, this.#remote, layouts[this.#family].nameLength) < 0) {
      if (libc.errno() !== Linux.EINPROGRESS) throw systemError(libc, "connect");
    }
    connection.fd = fd;
    connection.isWaiting = false;
    this.#epoll.control(Linux.EPOLL_CTL_ADD, fd, Linux.EPOLLIN, connection.index);
  }

  #receive(timeoutMs: number): void {
    const count = this.#epoll.wait(timeoutMs);
    if (count <= 0) return;
    this.#silence.end(performance.now());
    for (let i = 0; i < count; i++) {
      const connection = this.#connections[this.#epoll.data(i)]!;
      if (connection.fd < 0) continue;
      if (connection.isWaiting) this.#send(connection);
      else this.#read(connection);
    }
  }

  #read(connection: Connection): void {
    const { bytes } = connection;
    for (;;) {
      const { length: at, bytesAt } = connection;
      const length = this.#libc.recv(connection.fd, bytesAt + at, bytes.length - at, 0);
      if (length < 0 && this.#libc.errno() === Linux.EAGAIN) return;
      if (connection.request < 0) {
        // The tracker has closed an idle connection.
        this.#disconnect(connection);
        return;
      }
      const hasEnded = length <= 0;
      if (!hasEnded) connection.length += length;
      if (hasEnded || this.#keepAlive || connection.length === bytes.length) {
        const peers = readResponse(bytes, connection.length, hasEnded);
        if (peers !== Incomplete) {
          this.#done(connection, peers, hasEnded || peers === Wrong);
          return;
        }
      }
    }
  }

  /** @param peers  result of {@link readResponse} */
  #done(connection: Connection, peers: number, disconnect: boolean): void {
    const result = this.#result;
    if (peers === Wrong) {
      result.errors++;
    } else {
      result.announces++;
      result.peers += peers;
    }
    if (this.#pace.isPaced) {
      result.latency.record(1000 * (performance.now() - this.#pace.dueAt(connection.request)));
    }
    connection.request = -1;
    if (disconnect) this.#disconnect(connection);
    this.#idle.push(connection);
  }

  #disconnect(connection: Connection): void {
    if (connection.fd < 0) return;
    this.#libc.close(connection.fd); // also removes the descriptor from the epoll set
    connection.fd = -1;
  }

  /** Abandons all pending requests. */
  #giveUp(): void {
    for (const connection of this.#connections) {
      if (connection.request < 0) continue;
      this.#disconnect(connection);
      connection.request = -1;
      this.#idle.push(connection);
    }
    this.#silence.end(performance.now());
  }
}
