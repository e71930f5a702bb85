import { Linux } from "./abi.ts";
import type { Libc, UvLoop } from "./libc.ts";

/** The longest interval of a timer, in milliseconds. */
const longest = 2 ** 31 - 1;

/** Runs what `process.nextTick` and promises have scheduled, as Node.js does between two immediates. */
const runTicks = (process as { _tickCallback?: () => void })._tickCallback;

/** libuv's loop of this thread, for a poller that sleeps in its place. */
export class EventLoop {
  /** libuv's epoll descriptor, which is readable while libuv has an event. */
  readonly fd: number;
  readonly #libc: Libc;
  readonly #loop: UvLoop;
  /** A `struct pollfd` of the descriptor. */
  readonly #poll: Uint8Array = new Uint8Array(8);
  /** A `struct timespec`. */
  readonly #time: Uint8Array = new Uint8Array(16);
  readonly #timeView: DataView = new DataView(this.#time.buffer);
  /** Without a handle, libuv would end the thread. */
  readonly #handle: NodeJS.Timeout;
  #next: NodeJS.Immediate | undefined;

  /** @throws Error if this build of Node.js does not export libuv */
  constructor(libc: Libc) {
    this.#libc = libc;
    this.#loop = libc.uvLoop();
    this.fd = this.#loop.fd;
    const poll = new DataView(this.#poll.buffer);
    poll.setInt32(0, this.fd, true);
    poll.setInt16(4, Linux.POLLIN, true);
    this.#handle = setInterval(() => {}, longest);
  }

  /**
   * Schedules `turn` for the next turn of the event loop.
   * @returns for how many milliseconds libuv would sleep before, if no event came: -1 is for ever, and 0 means that libuv must run
   */
  schedule(turn: () => void): number {
    // libuv never sleeps while an immediate has a reference. Until the last one has none, its timeout is 0.
    this.#next = setImmediate(turn).unref();
    return this.#loop.timeoutMs();
  }

  /**
   * Runs the callbacks of `process.nextTick` and of promises, so that a turn can go on without libuv.
   * @returns as `schedule` does
   * @throws what a callback throws
   */
  settle(): number {
    if (runTicks === undefined) return 0;
    runTicks();
    return this.#loop.timeoutMs();
  }

  /** Makes libuv come to the scheduled turn without a sleep. */
  hurry(): void {
    this.#next?.ref();
  }

  /** Sleeps until libuv has an event, but at most `ms` milliseconds, which are less than a second. */
  sleep(ms: number): void {
    this.#timeView.setUint32(8, Math.ceil(ms * 1e6), true);
    this.#libc.ppoll(this.#poll, 1, this.#time, null);
  }

  close(): void {
    clearInterval(this.#handle);
  }
}
