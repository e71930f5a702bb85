import { Address, type Family } from "../../ip/address.ts";
import type { Connection, StreamHandler, StreamListener, StreamOptions } from "../stream.ts";
import { Linux, nameCapacity, portAt, readSocketAddress } from "./abi.ts";
import { type Libc, setOption, systemError } from "./libc.ts";
import { openSocket } from "./open-socket.ts";
import type { Poller, Watcher } from "./poller.ts";

const backlog = 4096;
/** Seconds for which the kernel holds back a connection that has sent nothing. */
const deferSeconds = 5;
/** Connections accepted in one turn of the event loop. */
const acceptsPerTurn = 64;
/**
 * Bytes of one read, into memory that all connections of a listener share. A handler has to keep bytes that it cannot
 * use yet, so this is also the most that one read can make a handler keep.
 */
const readBytes = 16 * 1024;
/**
 * Bytes that the kernel may buffer for a connection in each direction; Linux grants twice as many, for its own
 * bookkeeping. Without a limit, the buffers of a client that does not read would grow to megabytes.
 */
const bufferBytes = 64 * 1024;
/** Addresses of closed connections kept for new connections. */
const maxFreeAddresses = 1024;
/** The address of connections that have forgotten theirs. */
const forgotten = new Address();
/** Errors of `accept4` when there are no resources for another connection. */
const exhausted: ReadonlySet<number> = new Set([Linux.EMFILE, Linux.ENFILE, Linux.ENOMEM, Linux.ENOBUFS]);
/** How long to stop accepting after such an error, in milliseconds. */
const exhaustedPauseMs = 50;

/**
 * Binds a TCP address through epoll. An IPv6 address accepts IPv6 only. Accept, read, respond and close follow each
 * other without waiting: the kernel hands over a connection when its first bytes arrive, and only a connection that
 * stays open after its first response is polled.
 *
 * With `threads`, several listeners may bind one address. Rejects with an Error that names the address.
 */
export function listenStream<State>(poller: Poller, options: StreamOptions<State>): StreamListener {
  const { libc } = poller;
  const prepare = (fd: number) => {
    setOption(libc, fd, Linux.SOL_SOCKET, Linux.SO_REUSEADDR, 1);
    // Accepted sockets inherit all of these.
    setOption(libc, fd, Linux.SOL_SOCKET, Linux.SO_SNDBUF, bufferBytes);
    setOption(libc, fd, Linux.SOL_SOCKET, Linux.SO_RCVBUF, bufferBytes);
    setOption(libc, fd, Linux.SOL_TCP, Linux.TCP_NODELAY, 1);
    setOption(libc, fd, Linux.SOL_TCP, Linux.TCP_DEFER_ACCEPT, deferSeconds);
  };
  return openSocket(libc, "http", options, prepare, ({ fd, family, port }) => {
    if (libc.listen(fd, backlog) < 0) throw systemError(libc, "listen");
    return new Listener(poller, fd, family, port, options);
  });
}

/** Resources that the connections of a listener share. */
interface Shared<State> {
  readonly poller: Poller;
  readonly libc: Libc;
  readonly handler: StreamHandler<State>;
  readonly buffer: Uint8Array;
  /** The address of `buffer`. */
  readonly bufferAt: number;
  /** Addresses without an open connection. Two views of one memory are the most expensive part of a new connection. */
  readonly addresses: Address[];
  readonly onError: (error: Error) => void;
}

class Listener<State> implements StreamListener {
  readonly port: number;
  readonly #fd: number;
  readonly #family: Family;
  readonly #shared: Shared<State>;
  /** A socket address, followed by its length. */
  readonly #name: Uint8Array = new Uint8Array(nameCapacity + 4);
  readonly #nameView: DataView = new DataView(this.#name.buffer);
  readonly #nameAt: number;
  #isClosed = false;

  constructor(poller: Poller, fd: number, family: Family, port: number, options: StreamOptions<State>) {
    this.port = port;
    this.#fd = fd;
    this.#family = family;
    const { handler, onError } = options;
    const { libc } = poller;
    this.#nameAt = Number(libc.address(this.#name));
    const buffer = new Uint8Array(readBytes);
    const bufferAt = Number(libc.address(buffer));
    this.#shared = { poller, libc, handler, buffer, bufferAt, addresses: [], onError };
    poller.add(fd, Linux.EPOLLIN, { ready: () => this.#accept() });
  }

  prepareTls(): () => void {
    throw new Error("this listener has no TLS");
  }

  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#shared.poller.remove(this.#fd);
      this.#shared.libc.close(this.#fd);
    }
    return Promise.resolve();
  }

  /** @returns how many connections */
  #accept(): number {
    const { libc, addresses } = this.#shared;
    const flags = Linux.SOCK_NONBLOCK | Linux.SOCK_CLOEXEC;
    let accepted = 0;
    for (let i = 0; i < acceptsPerTurn && !this.#isClosed; i++) {
      this.#name[nameCapacity] = nameCapacity;
      const fd = libc.accept4(this.#fd, this.#nameAt, this.#nameAt + nameCapacity, flags);
      if (fd < 0) {
        if (this.#refused(libc.errno())) continue;
        break;
      }
      accepted++;
      const remote = addresses.pop() ?? new Address();
      readSocketAddress(this.#name, 0, this.#family, remote);
      new LinuxConnection(this.#shared, fd, remote, this.#nameView.getUint16(portAt)).begin();
    }
    return accepted;
  }

  /**
   * Handles an error of `accept4`. Ignores a connection that closed before the accept. Without descriptors or memory,
   * drops another connection or pauses.
   * @returns whether to try again
   */
  #refused(errno: number): boolean {
    if (!exhausted.has(errno)) return false;
    const { poller, libc, handler, onError } = this.#shared;
    onError(systemError(libc, "accept"));
    if (handler.makeRoom?.()) return true;
    poller.modify(this.#fd, 0);
    setTimeout(() => {
      if (!this.#isClosed) poller.modify(this.#fd, Linux.EPOLLIN);
    }, exhaustedPauseMs);
    return false;
  }
}

/** A connection whose descriptor is polled only once it has outlived its first read. */
class LinuxConnection<State> implements Connection, Watcher {
  remote: Address;
  readonly remotePort: number;
  readonly #shared: Shared<State>;
  #fd: number;
  #state!: State;
  /** Bytes that the kernel has not taken: `#waiting[#waitingAt..#waitingEnd)`. */
  #waiting: Uint8Array | undefined;
  #waitingAt = 0;
  #waitingEnd = 0;
  /** The polled events; -1 before the connection is first polled. */
  #polled = -1;
  #paused = false;
  /** The other side has sent its last byte. */
  #ended = false;
  /** Closes when all is sent; `discarding` continues to read until the other side closes too. */
  #ending: "no" | "closing" | "discarding" = "no";
  #shutDown = false;

  constructor(shared: Shared<State>, fd: number, remote: Address, remotePort: number) {
    this.#shared = shared;
    this.#fd = fd;
    this.remote = remote;
    this.remotePort = remotePort;
  }

  get pending(): number {
    return this.#waiting === undefined ? 0 : this.#waitingEnd - this.#waitingAt;
  }

  /** Calls the handler, and reads the bytes that came with the connection. */
  begin(): void {
    this.#state = this.#shared.handler.opened(this);
    if (this.#fd < 0) {
      this.#gone(); // the handler has refused the connection
      return;
    }
    this.#read();
    this.#poll();
  }

  write(bytes: Uint8Array, start: number, end: number, isLast = false): void {
    if (this.#fd < 0 || this.#ending !== "no") return;
    if (this.#waiting !== undefined) {
      this.#keep(bytes, start, end);
      return;
    }
    const { libc } = this.#shared;
    const sent = libc.sendRange(this.#fd, bytes, start, end, isLast);
    if (sent === end - start) return;
    if (sent < 0 && !isPassing(libc.errno())) {
      this.#close(); // a later response must not follow lost bytes
      return;
    }
    this.#keep(bytes, start + Math.max(sent, 0), end);
    this.#poll();
  }

  pause(): void {
    this.#paused = true;
    this.#poll();
  }

  resume(): void {
    this.#paused = false;
    this.#poll();
  }

  end(discard: boolean): void {
    if (this.#ending !== "no" || this.#fd < 0) return;
    this.#ending = discard ? "discarding" : "closing";
    if (this.#waiting === undefined) this.#finish();
  }

  destroy(reset = false): void {
    if (this.#fd < 0) return;
    // Lingering for 0 seconds makes the kernel send a reset.
    if (reset) this.#shared.libc.setsockopt(this.#fd, Linux.SOL_SOCKET, Linux.SO_LINGER, noLinger, 8);
    this.#close();
  }

  forgetRemote(): void {
    const { addresses } = this.#shared;
    if (this.remote === forgotten) return;
    if (addresses.length < maxFreeAddresses) addresses.push(this.remote);
    this.remote = forgotten;
  }

  ready(events: number): number {
    // A read after the end would only repeat the end, but the kernel would report the reset forever.
    if (this.#ended && (events & (Linux.EPOLLERR | Linux.EPOLLHUP)) !== 0) {
      this.#close();
      return 0;
    }
    if ((events & Linux.EPOLLOUT) !== 0) this.#flush();
    if (this.#fd >= 0 && (events & ~Linux.EPOLLOUT) !== 0) this.#read();
    this.#poll();
    return 1;
  }

  #read(): void {
    const { libc, handler, buffer, bufferAt } = this.#shared;
    const length = libc.recv(this.#fd, bufferAt, readBytes, 0);
    if (length > 0) {
      if (this.#ending === "no") handler.received(this.#state, buffer, 0, length);
    } else if (length === 0) {
      this.#ended = true;
      if (this.#ending === "no") handler.ended(this.#state);
      else if (this.#waiting === undefined) this.#close();
    } else {
      if (!isPassing(libc.errno())) this.#close();
    }
  }

  #flush(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const { libc, handler } = this.#shared;
    const sent = libc.sendRange(this.#fd, waiting, this.#waitingAt, this.#waitingEnd, false);
    if (sent < 0) {
      if (!isPassing(libc.errno())) this.#close();
      return;
    }
    this.#waitingAt += sent;
    if (this.#waitingAt < this.#waitingEnd) return;
    this.#waiting = undefined;
    if (this.#ending === "no") handler.drained(this.#state);
    else this.#finish();
  }

  /** Keeps bytes behind those that wait. Memory that grows gets twice the room, so that few writes copy all that waits. */
  #keep(bytes: Uint8Array, start: number, end: number): void {
    const before = this.#waiting;
    const { pending } = this;
    let kept = before;
    if (kept === undefined || this.#waitingEnd + end - start > kept.length) {
      const needed = pending + end - start;
      kept = new Uint8Array(before === undefined ? needed : 2 * needed);
      if (before !== undefined) kept.set(before.subarray(this.#waitingAt, this.#waitingEnd));
      this.#waiting = kept;
      this.#waitingAt = 0;
      this.#waitingEnd = pending;
    }
    kept.set(bytes.subarray(start, end), this.#waitingEnd);
    this.#waitingEnd += end - start;
  }

  /** Closes or shuts down the connection after all is sent. */
  #finish(): void {
    if (this.#ending === "closing" || this.#ended) {
      this.#close();
    } else if (!this.#shutDown) {
      this.#shutDown = true;
      this.#shared.libc.shutdown(this.#fd, Linux.SHUT_WR);
      this.#poll();
    }
  }

  /** Polls for the events that the connection waits for. */
  #poll(): void {
    if (this.#fd < 0 || this.#state === undefined) return;
    const reads = !this.#ended && (!this.#paused || this.#ending === "discarding");
    const events = (reads ? Linux.EPOLLIN : 0) | (this.#waiting === undefined ? 0 : Linux.EPOLLOUT);
    if (events === this.#polled) return;
    const { poller } = this.#shared;
    try {
      if (this.#polled < 0) poller.add(this.#fd, events, this);
      else poller.modify(this.#fd, events);
      this.#polled = events;
    } catch (error) {
      // No memory or too many watches: drop a connection that cannot be polled.
      this.#shared.onError(error as Error);
      this.#close();
    }
  }

  #close(): void {
    const fd = this.#fd;
    if (fd < 0) return;
    this.#fd = -1;
    this.#waiting = undefined;
    if (this.#polled >= 0) this.#shared.poller.forget(fd);
    this.#shared.libc.close(fd); // this also removes the descriptor from the epoll set
    if (this.#state !== undefined) this.#gone();
  }

  #gone(): void {
    this.#shared.handler.closed(this.#state);
    this.forgetRemote();
  }
}

/** Returns whether a failed call may succeed later. */
function isPassing(errno: number): boolean {
  return errno === Linux.EAGAIN || errno === Linux.EINTR;
}

/** `struct linger`: on, for no seconds. */
const noLinger = new Uint8Array(new Int32Array([1, 0]).buffer);
