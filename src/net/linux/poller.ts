import { noteSleep } from "../../lib/loop-utilization.ts";
import { Linux } from "./abi.ts";
import { Epoll } from "./epoll.ts";
import type { EventLoop } from "./event-loop.ts";
import type { Libc } from "./libc.ts";

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

/** What the {@link Poller} calls for a descriptor. */
export interface Watcher {
  /** Called with the events that hold. Must not throw. @returns how many requests it has taken, about */
  ready(events: number): number;
}

/** The part of {@link EventLoop} that the poller uses. */
export type PollerLoop = Pick<EventLoop, "fd" | "schedule" | "settle" | "hurry" | "sleep" | "close">;

/**
 * Waits for all descriptors of a thread on one epoll descriptor, and for libuv's events as well. The poller sleeps in place of
 * libuv, until libuv has an event, and for as long as libuv would sleep. Within one turn of the event loop the poller sleeps and
 * serves until libuv has something to do; before each sleep it runs what promises have scheduled. So timers, promises and other
 * handles are never held up. Only an immediate without a reference waits until libuv runs for another reason.
 *
 * - Without coalescing, an event of any descriptor ends the sleep. While there is much work, the poller does not sleep.
 * - When events come often but one by one, the poller coalesces: it sleeps until a bounded time after its last look, and only
 *   libuv's events end that sleep. To wake a thread costs more than to serve several requests. If fewer requests come then
 *   than before, the clients wait for responses, and the poller stops to coalesce for a while.
 *
 * A thread has one poller, because only one can sleep.
 */
export class Poller {
  readonly libc: Libc;
  /** The longest time in milliseconds that an event waits so that others share its wake-up; 0 turns this off. */
  coalesceMs = 0;
  readonly #loop: PollerLoop;
  readonly #now: () => number;
  readonly #epoll: Epoll;
  readonly #watchers: (Watcher | undefined)[] = [];
  /** When the poller last looked and found events, in milliseconds. */
  lookedAt = 0;
  /** Whether requests wait for the bound since the last look. */
  #isCoalescing = false;
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
    let epoll: Epoll | undefined;
    try {
      epoll = new Epoll(libc);
      epoll.control(Linux.EPOLL_CTL_ADD, loop.fd, Linux.EPOLLIN, loop.fd);
    } catch (error) {
      epoll?.close();
      loop.close();
      throw error;
    }
    this.#epoll = epoll;
    loop.schedule(this.#turn);
    loop.hurry();
  }

  /** Calls the watcher whenever one of `events` holds (level-triggered). @throws Error if the kernel has no room */
  add(fd: number, events: number, watcher: Watcher): void {
    this.#epoll.control(Linux.EPOLL_CTL_ADD, fd, events, fd);
    this.#watchers[fd] = watcher;
  }

  modify(fd: number, events: number): void {
    this.#epoll.control(Linux.EPOLL_CTL_MOD, fd, events, fd);
  }

  /** Drops a descriptor that the caller is about to close. The descriptor must have no other references. */
  forget(fd: number): void {
    this.#watchers[fd] = undefined;
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
    this.#epoll.close();
    this.#loop.close();
  }

  readonly #turn = (): void => {
    if (this.#isClosed) return;
    try {
      let timeout = this.#loop.schedule(this.#turn);
      while (this.#look(timeout) && timeout !== 0) timeout = this.#loop.settle();
    } finally {
      this.#loop.hurry();
    }
  };

  /**
   * Sleeps, looks, and calls the watchers.
   * @param timeout  for how many milliseconds libuv would sleep: -1 is for ever, and 0 means that libuv must run
   * @returns whether the poller may look again before libuv runs
   */
  #look(timeout: number): boolean {
    if (this.#isClosed) return false;
    const begin = this.#now();
    const dueAt = this.#isCoalescing ? this.lookedAt + this.coalesceMs : begin;
    let now = begin;
    if (dueAt > begin && timeout !== 0) {
      this.#loop.sleep(timeout < 0 ? dueAt - begin : Math.min(dueAt - begin, timeout));
      now = this.#now();
    }
    let count = 0;
    const looks = now >= dueAt;
    if (looks) {
      count = this.#epoll.wait(this.#isCoalescing ? 0 : timeout);
      if (!this.#isCoalescing) now = this.#now();
    }
    // Watchers may read how busy the thread is, so they come last.
    noteSleep(now - begin);
    if (count > 1 || (count === 1 && this.#epoll.data(0) !== this.#loop.fd)) return this.#serve(count, now);
    if (looks) this.#isCoalescing = false;
    return looks && count === 0;
  }

  /**
   * Calls the watchers of `count` events, and decides whether to coalesce.
   * @returns whether libuv has no event
   */
  #serve(count: number, now: number): boolean {
    const gap = now - this.lookedAt;
    this.lookedAt = now;
    this.#assess(gap);
    let requests = 0;
    let isAlone = true;
    for (let i = 0; i < count; i++) {
      const fd = this.#epoll.data(i);
      if (fd === this.#loop.fd) isAlone = false;
      else requests += this.#watchers[fd]?.ready(this.#epoll.events(i)) ?? 0;
    }
    if (this.#isClosed) return false;
    const done = this.#now();
    const work = done - now;
    if (this.#isCoalescing) {
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
    this.#isCoalescing = this.#credit >= enoughCredit && this.#busy < busyShare && this.#paused === 0;
    return isAlone;
  }

  /** Counts whether events come often. @param gap  milliseconds between the last two looks that found events */
  #assess(gap: number): void {
    const limit = this.coalesceMs * (this.#isCoalescing ? soonCoalesced : soon);
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
}
