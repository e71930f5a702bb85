import { type Libc, Linux, systemError } from "./libc.ts";

/** Readiness that is taken from the kernel at once. */
const eventCapacity = 256;
/** `struct epoll_event`: packed on x64, aligned on arm64. */
const eventBytes = process.arch === "x64" ? 12 : 16;
const dataAt = eventBytes - 8;
/** FairQueue of the event loop without work before the poller waits. */
const idleTurns = 2;
/** How long it then waits in this thread at first, and so holds up what libuv may have to do. */
const napMs = 1;
/** Waits in a row in which others must have had no events before it naps. */
const quietWaits = 16;
/** How long it sleeps at most: a thread (or the process) that is ended has to wait for the call to return. */
const sleepMs = 200;

/** Is called with the events of its descriptor. Must not throw. */
export type Ready = (events: number) => void;

/**
 * Waits for all descriptors of a thread on one epoll descriptor. While there is work it asks the kernel once in
 * each turn of the event loop, without waiting, so that timers, promises and messages go on. When there has been none for
 * a few turns it naps for a millisecond in this very thread, unless others (connections of Node.js, libuv's pool,
 * messages) have had events lately, and may be waiting for the next; only then it sleeps in one asynchronous call, which takes one thread of
 * libuv's pool. To be woken from a nap costs much less: at 5000 announces a second 73 µs of CPU each rather than 120.
 */
export class Poller {
  readonly libc: Libc;
  readonly #loopEvents: () => number;
  readonly #epoll: number;
  readonly #wake: number;
  readonly #events: Uint8Array = new Uint8Array(eventCapacity * eventBytes);
  readonly #view: DataView = new DataView(this.#events.buffer);
  readonly #event: Uint8Array = new Uint8Array(eventBytes);
  readonly #eventView: DataView = new DataView(this.#event.buffer);
  readonly #ready: (Ready | undefined)[] = [];
  #idle = 0;
  #isAsleep = false;
  /** How often it has slept, each of which is an event of libuv's. */
  #sleeps = 0;
  /** Events of libuv's that were others', when it last waited, and for how many waits there have been no more. */
  #others = 0;
  #quiet = 0;
  #isClosed = false;

  /** @param loopEvents  how many events libuv has handled for this thread so far */
  constructor(libc: Libc, loopEvents: () => number = () => performance.nodeTiming.uvMetricsInfo.events) {
    this.libc = libc;
    this.#loopEvents = loopEvents;
    this.#epoll = libc.epoll_create1(Linux.EPOLL_CLOEXEC);
    this.#wake = libc.eventfd(0, Linux.EFD_NONBLOCK | Linux.EPOLL_CLOEXEC);
    if (this.#epoll < 0 || this.#wake < 0) throw systemError(libc, "epoll");
    this.add(this.#wake, Linux.EPOLLIN, () => {});
    setImmediate(this.#turn);
  }

  /** Calls `ready` whenever one of `events` holds (level-triggered). @throws Error when the kernel has no room for it */
  add(fd: number, events: number, ready: Ready): void {
    this.#control(Linux.EPOLL_CTL_ADD, fd, events);
    this.#ready[fd] = ready;
  }

  modify(fd: number, events: number): void {
    this.#control(Linux.EPOLL_CTL_MOD, fd, events);
  }

  /** Forgets a descriptor that is about to be closed, and that nothing else refers to. */
  forget(fd: number): void {
    this.#ready[fd] = undefined;
  }

  /** Stops polling a descriptor. */
  remove(fd: number): void {
    this.forget(fd);
    this.libc.epoll_ctl(this.#epoll, Linux.EPOLL_CTL_DEL, fd, this.#event);
  }

  /** Ends it. Descriptors that were added stay open. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.libc.write(this.#wake, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]), 8);
  }

  readonly #turn = (): void => {
    if (this.#isClosed) {
      this.#end();
      return;
    }
    const waitMs = this.#idle === idleTurns && this.#isAlone() ? napMs : 0;
    const count = this.libc.epoll_wait(this.#epoll, this.#events, eventCapacity, waitMs);
    this.#dispatch(count);
    this.#idle = count > 0 ? 0 : this.#idle + 1;
    if (this.#idle <= idleTurns) {
      setImmediate(this.#turn);
      return;
    }
    this.#isAsleep = true;
    this.libc.epollWaitAsync(this.#epoll, this.#events, eventCapacity, sleepMs, this.#awake);
  };

  readonly #awake = (count: number): void => {
    this.#isAsleep = false;
    this.#sleeps++;
    if (this.#isClosed) {
      this.#end();
      return;
    }
    this.#dispatch(count);
    this.#idle = count > 0 ? 0 : idleTurns; // nothing came: back to sleep after one look
    setImmediate(this.#turn);
  };

  /** Whether nobody else has used this thread's event loop lately. */
  #isAlone(): boolean {
    const others = this.#loopEvents() - this.#sleeps;
    this.#quiet = others === this.#others ? this.#quiet + 1 : 0;
    this.#others = others;
    return this.#quiet >= quietWaits;
  }

  #dispatch(count: number): void {
    for (let i = 0; i < count; i++) {
      const at = i * eventBytes;
      this.#ready[this.#view.getInt32(at + dataAt, true)]?.(this.#view.getUint32(at, true));
    }
  }

  #end(): void {
    if (this.#isAsleep) return;
    this.libc.close(this.#epoll);
    this.libc.close(this.#wake);
  }

  #control(operation: number, fd: number, events: number): void {
    this.#eventView.setUint32(0, events, true);
    this.#eventView.setInt32(dataAt, fd, true);
    if (this.libc.epoll_ctl(this.#epoll, operation, fd, this.#event) < 0) {
      throw systemError(this.libc, "epoll_ctl");
    }
  }
}
