import { Linux } from "./abi.ts";
import { Epoll } from "./epoll.ts";
import type { EventLoop } from "./event-loop.ts";
import { type Libc, systemError } from "./libc.ts";

/** How many of the last looks must have come soon after the look before them, for the poller to coalesce. */
const enoughCredit = 8;
const maxCredit = 10;
/** A look comes soon when it comes within this share of the bound: several events would share a wake-up. */
const soon = 0.6;
/** The same while the poller coalesces, when each look comes at least the whole bound after the look before. */
const soonCoalesced = 1.3;
/**
 * The poller does not coalesce if it works for more than this share of the time without coalescing. Such a poller serves
 * clients that send their next request after the response, and finds several events in each look anyway.
 */
const busyShare = 0.75;
/** The weight of one look in the mean share of work. */
const busyWeight = 1 / 4;
/** After so many coalesced looks, the poller stops to coalesce for {@link trialLooks} looks, to see whether it is busy. */
const maxCoalesced = 128;
const trialLooks = 4;
/** After so many coalesced looks, the poller compares the rate of requests with the rate before. */
const comparedLooks = 32;
/** The weight of one look in the mean rate of requests without coalescing. */
const rateWeight = 1 / 32;
/**
 * A rate that is less than this share of the rate without coalescing: the clients send their next request after the
 * response, so coalescing only holds them up.
 */
const slowedShare = 0.75;
/** For so many looks the poller does not coalesce then; the number doubles each time in a row. */
const minPause = 64;
const maxPause = 16_384;
/** By how much the timer may seem to expire early, because the clock has another resolution. */
const clockErrorMs = 0.05;

/** Called with the events of a descriptor; returns how many requests it has taken, about. Must not throw. */
export type Ready = (events: number) => number;

/** The part of {@link EventLoop} that the poller uses. */
export type PollerLoop = Pick<EventLoop, "add" | "modify" | "remove" | "soon" | "afterWait" | "close">;

/**
 * Waits for all descriptors of a thread on one epoll descriptor. The poller never blocks the thread: libuv waits for the
 * poller's descriptors together with its own, so timers, promises and other handles are never held up.
 *
 * - While there is much work: the poller looks (asks the kernel without waiting) once in each turn of the event loop.
 * - Without work: libuv's wait ends with the first event of a descriptor.
 * - In between, when events come often but one by one: the poller coalesces. It ignores its descriptors until a timer
 *   has expired, a bounded time after the last look. To wake a thread costs more than to serve several requests. If fewer
 *   requests come then than before, the clients wait for responses, and the poller stops to coalesce for a while.
 */
export class Poller {
  readonly libc: Libc;
  /** The longest time in milliseconds that an event waits so that others share its wake-up; 0 turns this off. */
  coalesceMs = 0;
  readonly #loop: PollerLoop;
  readonly #now: () => number;
  readonly #epoll: Epoll;
  readonly #timer: number;
  readonly #timerSpec: Uint8Array = new Uint8Array(32);
  readonly #timerView: DataView = new DataView(this.#timerSpec.buffer);
  readonly #ready: (Ready | undefined)[] = [];
  /** When the poller last looked and found events, in milliseconds. */
  lookedAt = 0;
  /** When the coalescing ends; 0 while the poller does not coalesce. */
  #dueAt = 0;
  /** Whether an event may end libuv's wait. */
  #isArmed = false;
  #credit = 0;
  /** The mean share of time that the poller works while it does not coalesce. */
  #busy = 0;
  /** When the poller last ended its work. */
  #doneAt = 0;
  /** Coalesced looks since the last one that was not. */
  #coalesced = 0;
  /** Mean requests of a look, and mean milliseconds from one look to the next, without coalescing. */
  #requests = 0;
  #interval = 0;
  /** Requests since the coalescing began, and when it began. */
  #coalescedRequests = 0;
  #coalescedSince = 0;
  /** For how many looks the poller will not coalesce, and how long the next such pause is. */
  #paused = 0;
  #pause = minPause;
  #isClosed = false;

  /** @param now  returns milliseconds */
  constructor(libc: Libc, loop: PollerLoop, now: () => number = () => performance.now()) {
    this.libc = libc;
    this.#loop = loop;
    this.#now = now;
    this.#epoll = new Epoll(libc);
    this.#timer = libc.timerfd_create(Linux.CLOCK_MONOTONIC, Linux.O_NONBLOCK | Linux.O_CLOEXEC);
    if (this.#timer < 0) throw systemError(libc, "timerfd_create");
    loop.add(this.#epoll.fd, 0);
    loop.add(this.#timer, Linux.EPOLLIN | Linux.EPOLLET);
    this.#wait();
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
    this.#loop.remove(this.#epoll.fd);
    this.#loop.remove(this.#timer);
    this.#epoll.close();
    this.libc.close(this.#timer);
    this.#loop.close();
  }

  readonly #turn = (): void => {
    if (this.#isClosed) return;
    const now = this.#now();
    if (now < this.#dueAt - clockErrorMs) {
      this.#loop.afterWait(this.#turn); // others had events
      return;
    }
    const count = this.#epoll.wait(0);
    if (count <= 0) {
      this.#dueAt = 0;
      this.#wait();
      return;
    }
    const gap = now - this.lookedAt;
    this.lookedAt = now;
    this.#assess(gap);
    let requests = 0;
    for (let i = 0; i < count; i++) {
      requests += this.#ready[this.#epoll.data(i)]?.(this.#epoll.events(i)) ?? 0;
    }
    if (this.#isClosed) return;
    const done = this.#now();
    const work = done - now;
    if (this.#dueAt > 0) {
      if (++this.#coalesced >= maxCoalesced) this.#credit = enoughCredit - trialLooks;
      this.#coalescedRequests += requests;
      if (this.#coalesced === comparedLooks) this.#compare(now);
    } else {
      this.#coalesced = 0;
      this.#coalescedRequests = 0;
      this.#coalescedSince = now;
      if (this.#paused > 0) this.#paused--;
      this.#requests += (requests - this.#requests) * rateWeight;
      this.#interval += (Math.min(gap, 2 * this.coalesceMs) - this.#interval) * rateWeight;
      this.#busy += (work / (done - this.#doneAt) - this.#busy) * busyWeight;
    }
    this.#doneAt = done;
    this.#dueAt = 0;
    if (this.#credit >= enoughCredit && this.#busy < busyShare && this.#paused === 0) this.#coalesce(done);
    // Events that come as fast as they are served have come meanwhile.
    else if (work * 4 > gap) this.#loop.soon(this.#turn);
    else this.#wait();
  };

  /** Counts whether events come often. @param gap  milliseconds between the last two looks that found events */
  #assess(gap: number): void {
    const limit = this.coalesceMs * (this.#dueAt > 0 ? soonCoalesced : soon);
    this.#credit = gap <= limit ? Math.min(this.#credit + 1, maxCredit) : Math.max(this.#credit - 1, 0);
  }

  /** Compares the rate of requests since the coalescing began with the rate before. */
  #compare(now: number): void {
    const share =
      (this.#coalescedRequests * this.#interval) / ((now - this.#coalescedSince) * this.#requests);
    if (!(share < slowedShare)) {
      this.#pause = minPause;
      return;
    }
    this.#paused = this.#pause;
    this.#pause = Math.min(2 * this.#pause, maxPause);
  }

  /** Looks again after the next event. */
  #wait(): void {
    this.#arm(true);
    this.#loop.afterWait(this.#turn);
  }

  /** Looks again when the bound has passed since the last look. */
  #coalesce(now: number): void {
    this.#dueAt = this.lookedAt + this.coalesceMs;
    const wait = this.#dueAt - now;
    if (wait <= 0) {
      this.#loop.soon(this.#turn);
      return;
    }
    this.#arm(false);
    this.#timerView.setUint32(24, Math.ceil(wait * 1e6), true);
    this.libc.timerfd_settime(this.#timer, 0, this.#timerSpec, null);
    this.#loop.afterWait(this.#turn);
  }

  /** Lets the next event end libuv's wait, or no event. An event does so once, so a thread that ends never spins. */
  #arm(isArmed: boolean): void {
    if (!isArmed && !this.#isArmed) return;
    this.#isArmed = isArmed;
    this.#loop.modify(this.#epoll.fd, isArmed ? Linux.EPOLLIN | Linux.EPOLLONESHOT : 0);
  }
}
