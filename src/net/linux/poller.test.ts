import assert from "node:assert/strict";
import { test } from "node:test";
import { eventLoopUtilization } from "../../lib/loop-utilization.ts";
import { Linux } from "./abi.ts";
import type { Libc } from "./libc.ts";
import { Poller } from "./poller.ts";

const epollFd = 3;
const loopFd = 4;
const socketFd = 5;
const [eventBytes, dataAt] = process.arch === "x64" ? [12, 4] : [16, 8];

/** Requests that one look serves at most. */
const requestsPerLook = 512;

/** The time that a turn of the event loop takes, in milliseconds. */
const turnMs = 0.001;

/** A kernel and an event loop with a clock of their own. One socket gets requests, and other handles get events. */
class Simulation {
  readonly poller: Poller;
  readonly libc: Partial<Libc>;
  now = 0;
  /** Times in milliseconds at which requests arrive, and at which other handles of libuv have events. */
  requests: number[] = [];
  others: number[] = [];
  /** How long the requests were not served, and the events of other handles not handled. */
  readonly waits: number[] = [];
  readonly otherWaits: number[] = [];
  /** How often the thread slept, the poller looked and found requests, and the poller ignored requests for a time. */
  sleeps = 0;
  looks = 0;
  naps = 0;
  /** How often libuv ran. */
  turns = 0;
  onServed: () => void = () => {};
  /** What the ticks and promises of a look do. */
  onSettle: () => void = () => {};
  /** The next request to be served. */
  #next = 0;
  readonly #workMs: number;
  #turn: (() => void) | undefined;
  /** Whether libuv comes to the turn without a sleep. */
  #isHurried = false;
  /** When libuv has a timer. */
  #end = 0;

  /** @param workMs  the time that a request takes */
  constructor(coalesceMs: number, workMs = 0.005) {
    this.#workMs = workMs;
    const libc: Partial<Libc> = {
      epoll_create1: () => epollFd,
      epoll_ctl: () => 0,
      close: () => 0,
      epoll_wait: (_epoll, events, _count, timeoutMs) => {
        this.#sleep(timeoutMs, this.requests[this.#next]);
        if (this.now >= this.#end) return 0;
        const ready = [
          ...(this.#isReadable ? [socketFd] : []),
          ...(this.others[0]! <= this.now ? [loopFd] : []),
        ];
        const view = new DataView(events!.buffer);
        for (const [i, fd] of ready.entries()) {
          view.setUint32(i * eventBytes, Linux.EPOLLIN, true);
          view.setInt32(i * eventBytes + dataAt, fd, true);
        }
        return ready.length;
      },
    };
    this.libc = libc;
    const loop = {
      fd: loopFd,
      sleep: (ms: number) => {
        this.naps++;
        this.#sleep(ms);
      },
      schedule: (turn: () => void) => {
        assert.equal(this.#turn, undefined, "one turn at a time");
        this.#turn = turn;
        this.#isHurried = false;
        return Math.max(this.#end - this.now, 0);
      },
      settle: () => {
        this.now += turnMs;
        this.onSettle();
        return Math.max(this.#end - this.now, 0);
      },
      hurry: () => {
        this.#isHurried = true;
      },
      close() {},
    };
    this.poller = new Poller(libc as Libc, loop, () => this.now);
    this.poller.coalesceMs = coalesceMs;
    this.poller.add(socketFd, Linux.EPOLLIN, { ready: () => this.#serve() });
  }

  /** Lets time pass until `end`. */
  run(end: number): void {
    this.#end = end;
    while (this.#turn !== undefined && this.#isHurried && this.now < end) {
      while (this.others[0]! <= this.now) this.otherWaits.push(this.now - this.others.shift()!);
      const turn = this.#turn;
      this.#turn = undefined;
      this.turns++;
      turn();
      this.now += turnMs;
    }
  }

  get #isReadable(): boolean {
    return this.requests[this.#next]! <= this.now;
  }

  /** Sleeps until `at`, or until another handle has an event, but at most `ms`. */
  #sleep(ms: number, at = Number.POSITIVE_INFINITY): void {
    const wakeAt = Math.min(this.now + ms, at, this.others[0] ?? at);
    if (wakeAt <= this.now) return;
    this.now = wakeAt;
    if (wakeAt < this.#end) this.sleeps++;
  }

  #serve(): number {
    this.looks++;
    let served = 0;
    for (; served < requestsPerLook && this.#isReadable; served++) {
      this.waits.push(this.now - this.requests[this.#next++]!);
      this.now += this.#workMs;
      this.onServed();
    }
    return served;
  }
}

/** Returns the times of `rate` events a second, from `start` to `end`. */
function evenly(rate: number, start: number, end: number): number[] {
  const interval = 1000 / rate;
  return Array.from({ length: Math.floor((end - start) / interval) }, (_, i) => start + i * interval);
}

/** Runs a second at a rate, after a tenth of a second to settle. */
function atRate(rate: number, coalesceMs = 1, workMs?: number): Simulation {
  const simulation = new Simulation(coalesceMs, workMs);
  simulation.requests = evenly(rate, 0, 1100);
  simulation.run(99.9);
  Object.assign(simulation, { sleeps: 0, looks: 0, naps: 0 });
  simulation.waits.length = 0;
  simulation.run(1100);
  return simulation;
}

for (const rate of [2000, 5000, 20_000, 60_000]) {
  test(`${rate} requests a second share a wake-up each millisecond, and none waits longer`, () => {
    const { sleeps, waits } = atRate(rate);
    assert.ok(waits.length >= rate - 100, `${waits.length} served`);
    assert.ok(sleeps <= 1050, `${sleeps} wake-ups`); // some looks try whether the thread is busy
    assert.ok(Math.max(...waits) <= 1 + rate / 1e6, `${Math.max(...waits)} ms`);
  });
}

for (const rate of [10, 200, 1000]) {
  test(`each of ${rate} requests a second is served at once, by one look`, () => {
    const { sleeps, waits, looks, naps } = atRate(rate);
    assert.equal(waits.length, rate);
    assert.deepEqual({ sleeps, looks, naps }, { sleeps: rate, looks: rate, naps: 0 });
    assert.equal(Math.max(...waits), 0);
  });
}

for (const rate of [10, 200, 2000, 20_000])
  test(`libuv runs only for its own events beside ${rate} requests a second`, () => {
    const simulation = new Simulation(1);
    simulation.requests = evenly(rate, 0, 1000);
    simulation.others = [300, 600.5, 900];
    simulation.run(1000);
    assert.equal(simulation.otherWaits.length, 3);
    assert.ok(simulation.turns <= 1 + 2 * 3, `${simulation.turns} turns`); // an event may end the sleep and come again in a look
  });

test("a poller without requests does nothing", () => {
  const simulation = new Simulation(1);
  simulation.run(60_000);
  assert.deepEqual([simulation.sleeps, simulation.looks, simulation.naps], [0, 0, 0]);
});

test("a saturated poller never sleeps", () => {
  const { sleeps, naps, waits } = atRate(300_000);
  assert.deepEqual([sleeps, naps], [0, 0]);
  assert.ok(waits.length > 190_000);
});

for (const clients of [1, 8, 64]) {
  test(`with ${clients} clients that each wait for a response, the rate stays high`, () => {
    const simulation = new Simulation(1);
    simulation.requests = Array.from({ length: clients }, () => 0);
    simulation.onServed = () => simulation.requests.push(simulation.now + 0.001);
    simulation.run(500);
    simulation.waits.length = 0;
    simulation.run(1500);
    assert.ok(simulation.waits.length > 150_000, `${simulation.waits.length} served in a second`);
  });
}

/** Returns how many requests are served in ten seconds, of clients that send their next request some time after a response. */
function servedInClosedLoop(clients: number, pauseMs: number, coalesceMs: number): number {
  const simulation = new Simulation(coalesceMs);
  simulation.requests = Array.from({ length: clients }, () => 0);
  simulation.onServed = () => simulation.requests.push(simulation.now + pauseMs);
  simulation.run(10_000);
  return simulation.waits.length;
}

for (const [clients, pauseMs] of [
  [1, 0.03],
  [1, 0.1],
  [1, 0.4],
  [4, 0.1],
  [8, 0.3],
  [16, 0.3],
  [64, 1],
] as const) {
  test(`with ${clients} clients that wait ${pauseMs} ms after each response, coalescing loses no rate`, () => {
    const rate = servedInClosedLoop(clients, pauseMs, 1);
    const without = servedInClosedLoop(clients, pauseMs, 0);
    assert.ok(rate > 0.9 * without, `${rate} served, ${without} without coalescing`);
  });
}

test("a bound of 0 serves every request as soon as the thread is free", () => {
  const { waits, naps } = atRate(20_000, 0);
  assert.equal(naps, 0);
  assert.ok(Math.max(...waits) < 0.01, `${Math.max(...waits)} ms`);
});

test("a longer bound means fewer wake-ups", () => {
  const { sleeps, waits } = atRate(5000, 10);
  assert.ok(sleeps <= 101, `${sleeps} wake-ups`);
  assert.ok(Math.max(...waits) <= 10.1, `${Math.max(...waits)} ms`);
});

test("a new bound takes effect at once", () => {
  const simulation = atRate(20_000);
  simulation.requests.push(...evenly(20_000, 1100, 1300));
  simulation.poller.coalesceMs = 0;
  simulation.naps = 0;
  simulation.run(1200);
  assert.equal(simulation.naps, 0);
  simulation.poller.coalesceMs = 1;
  simulation.run(1300);
  assert.ok(simulation.naps > 50, `${simulation.naps} naps`);
});

test("requests that stop and come again are served", () => {
  const simulation = new Simulation(1);
  for (let start = 0; start < 2000; start += 100)
    simulation.requests.push(...evenly(10_000, start, start + 50));
  const count = simulation.requests.length;
  simulation.run(2000);
  assert.equal(simulation.waits.length, count);
  assert.ok(Math.max(...simulation.waits) <= 1.1);
});

test("other handles are never held up while requests wait, and do not shorten the wait", () => {
  const simulation = new Simulation(1);
  simulation.requests = evenly(20_000, 0, 1000);
  simulation.others = evenly(7000, 0, 1000);
  simulation.run(1000);
  assert.ok(simulation.otherWaits.length > 6900);
  const longest = Math.max(...simulation.otherWaits);
  assert.ok(longest <= 0.2, `another event waited ${longest} ms, longer than the work of one look`);
  assert.ok(simulation.looks < 1100, `${simulation.looks} looks`);
  assert.ok(Math.max(...simulation.waits) <= 1.2);
});

test("a handle that always has events does not keep the poller from its requests", () => {
  const simulation = new Simulation(1);
  simulation.requests = evenly(2000, 0, 1000);
  simulation.others = evenly(20_000, 0, 1000);
  simulation.run(1000);
  assert.ok(simulation.waits.length >= 1998);
  assert.ok(Math.max(...simulation.waits) <= 1.1);
});

test("after an error of a tick the poller goes on", () => {
  const simulation = new Simulation(1);
  simulation.requests = [1, 2, 3];
  simulation.onSettle = () => {
    throw new Error("of a tick");
  };
  assert.throws(() => simulation.run(10), /of a tick/);
  simulation.onSettle = () => {};
  simulation.run(10);
  assert.equal(simulation.waits.length, 3);
});

test("a closed poller looks no more", () => {
  const simulation = new Simulation(1);
  simulation.requests = [1, 2, 3];
  simulation.run(1.5);
  simulation.poller.close();
  simulation.run(10);
  assert.equal(simulation.waits.length, 1);
});

test("a watcher sees the sleep that its event has ended", () => {
  const simulation = new Simulation(1);
  simulation.requests = [900];
  const before = eventLoopUtilization();
  let idle = 0;
  simulation.onServed = () => {
    idle = eventLoopUtilization().idle - before.idle;
  };
  simulation.run(1000);
  assert.ok(idle >= 899, `${idle} ms`);
});

test("a poller whose descriptor was closed by other code says so", () => {
  const simulation = new Simulation(1);
  simulation.libc.epoll_wait = () => -1;
  simulation.libc.errno = () => 9; // EBADF
  assert.throws(() => simulation.run(10), /epoll_wait/);
});
