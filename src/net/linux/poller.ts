import { Linux } from "./abi.ts";
import { Epoll } from "./epoll.ts";
import { type Libc, systemError } from "./libc.ts";

/** Turns of the event loop without work before the poller waits. */
const idleTurns = 2;
/** How long the poller first waits in this thread; libuv's own work has to wait too. */
const napMs = 1;
/** How many waits must pass without other events before the poller naps. */
const quietWaits = 16;
/** The longest sleep, because a thread or process cannot end before the call returns. */
const sleepMs = 200;

/** Called with the events of a descriptor. Must not throw. */
export type Ready = (events: number) => void;

/**
 * Waits for all descriptors of a thread on one epoll descriptor.
 *
 * - With work: the poller asks the kernel once in each turn of the event loop, without waiting, so timers, promises and
 *   messages continue.
 * - After a few turns without work: the poller naps for a millisecond in this thread, unless others (connections of
 *   Node.js, libuv's pool, messages) have had events lately and may expect more.
 * - Otherwise: the poller sleeps in one asynchronous call, which occupies one thread of libuv's pool.
 *
 * Waking from a nap is much cheaper: at 5,000 announces a second, 73 µs of CPU each instead of 120.
 */
export class Poller {
  readonly libc: Libc;
  readonly #loopEvents: () => number;
  readonly #epoll: Epoll;
  readonly #wake: number;
  readonly #ready: (Ready | undefined)[] = [];
  #idle = 0;
  #isAsleep = false;
  /** The number of sleeps. Each sleep is an event of libuv. */
  #sleeps = 0;
  /** The events of others at the last wait, and the number of waits without further ones. */
  #others = 0;
  #quiet = 0;
  #isClosed = false;

  /** @param loopEvents  returns the number of events that libuv has handled for this thread */
  constructor(libc: Libc, loopEvents: () => number = () => performance.nodeTiming.uvMetricsInfo.events) {
    this.libc = libc;
    this.#loopEvents = loopEvents;
    this.#epoll = new Epoll(libc);
    this.#wake = libc.eventfd(0, Linux.EFD_NONBLOCK | Linux.EPOLL_CLOEXEC);
    if (this.#wake < 0) throw systemError(libc, "eventfd");
    this.add(this.#wake, Linux.EPOLLIN, () => {});
    setImmediate(this.#turn);
  }

  /** Calls `ready` whenever one of `events` holds (level-triggered). @throws Error if the kernel has no room */
  add(fd: number, events: number, ready: Ready): void {
    this.#epoll.control(Linux.EPOLL_CTL_ADD, fd, events, fd);
    this.#ready[fd] = ready;
  }

  modify(fd: number, events: number): void {
    this.#epoll.control(Linux.EPOLL_CTL_MOD, fd, events, fd);
  }

  /** Drops a descriptor that the caller is about to close. The descriptor must have no other references. */
  forget(fd: number): void {
    this.#ready[fd] = undefined;
  }

  /** Stops polling a descriptor. */
  remove(fd: number): void {
    this.forget(fd);
    this.#epoll.remove(fd);
  }

  /** Closes the poller. Added descriptors stay open. Idempotent. */
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
    const count = this.#epoll.wait(waitMs);
    this.#dispatch(count);
    this.#idle = count > 0 ? 0 : this.#idle + 1;
    if (this.#idle <= idleTurns) {
      setImmediate(this.#turn);
      return;
    }
    this.#isAsleep = true;
    this.#epoll.waitAsync(sleepMs, this.#awake);
  };

  readonly #awake = (count: number): void => {
    this.#isAsleep = false;
    this.#sleeps++;
    if (this.#isClosed) {
      this.#end();
      return;
    }
    this.#dispatch(count);
    this.#idle = count > 0 ? 0 : idleTurns; // no events: back to sleep after one look
    setImmediate(this.#turn);
  };

  /** Returns whether nothing else has used this thread's event loop lately. */
  #isAlone(): boolean {
    const others = this.#loopEvents() - this.#sleeps;
    this.#quiet = others === this.#others ? this.#quiet + 1 : 0;
    this.#others = others;
    return this.#quiet >= quietWaits;
  }

  #dispatch(count: number): void {
    for (let i = 0; i < count; i++) this.#ready[this.#epoll.data(i)]?.(this.#epoll.events(i));
  }

  #end(): void {
    if (this.#isAsleep) return;
    this.#epoll.close();
    this.libc.close(this.#wake);
  }
}
