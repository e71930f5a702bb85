import assert from "node:assert/strict";
import { test } from "node:test";
import type { Libc } from "./libc.ts";
import { Poller } from "./poller.ts";

/** A poller of descriptors that are quiet. */
class Quiet {
  /** Events of libuv's, for the poller to see. */
  events = 0;
  /** How long it has waited in its own thread, in milliseconds, call by call. */
  readonly waits: number[] = [];
  readonly #poller: Poller;
  #asleep = Promise.withResolvers<(count: number) => void>();

  constructor() {
    const libc: Partial<Libc> = {
      epoll_create1: () => 3,
      eventfd: () => 4,
      epoll_ctl: () => 0,
      write: () => 8,
      close: () => 0,
      epoll_wait: (_epoll, _events, _count, timeoutMs) => {
        this.waits.push(timeoutMs);
        return 0;
      },
      epollWaitAsync: (_epoll, _events, _count, _timeoutMs, done) => this.#asleep.resolve(done),
    };
    this.#poller = new Poller(libc as Libc, () => this.events);
  }

  /** Waits until it sleeps, and has it woken as libuv would. @returns how it had waited before */
  async wake(): Promise<number[]> {
    const done = await this.#asleep.promise;
    this.#asleep = Promise.withResolvers();
    this.events++;
    done(0);
    return this.waits.splice(0);
  }

  async close(): Promise<void> {
    const done = await this.#asleep.promise;
    this.#poller.close();
    done(0);
  }
}

/** Waits, well above those that it takes to be sure that nobody else is there. */
const many = 50;

test("a poller that is alone in its thread naps there before it sleeps", async () => {
  const quiet = new Quiet();
  for (let i = 0; i < many; i++) await quiet.wake();
  assert.deepEqual(await quiet.wake(), [1]);
  await quiet.close();
});

test("a poller does not hold up others who use its thread's event loop", async () => {
  const quiet = new Quiet();
  for (let i = 0; i < many; i++) {
    quiet.events += i % 2; // an event may come before the poller waits, or after
    const waits = await quiet.wake();
    assert.ok(
      waits.every((timeoutMs) => timeoutMs === 0),
      `${waits}`,
    );
  }
  for (let i = 0; i < many; i++) await quiet.wake();
  assert.deepEqual(await quiet.wake(), [1], "but naps again when they are done");
  await quiet.close();
});
