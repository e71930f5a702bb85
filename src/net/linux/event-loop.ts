import { Socket } from "node:net";
import { Linux } from "./abi.ts";
import { Epoll } from "./epoll.ts";
import { type Libc, systemError } from "./libc.ts";

/** Descriptors among which libuv's epoll descriptor is looked for. */
const descriptors = 65_536;

/**
 * libuv's wait for events in this thread, extended to other descriptors.
 *
 * libuv waits on an epoll descriptor, until the next timer is due. A descriptor that is added to it ends that wait as
 * well. libuv finds the handle of an event by the number in the event. So every event of an added descriptor has the
 * number of a pipe that Node.js reads, and that is always empty: libuv tries to read the pipe, and ends its wait.
 */
export class EventLoop {
  readonly #libc: Libc;
  readonly #epoll: Epoll;
  /** Reads the pipe, and keeps the thread alive. */
  readonly #reader: Socket;
  readonly #readEnd: number;
  readonly #writeEnd: number;

  private constructor(libc: Libc, epoll: Epoll, reader: Socket, readEnd: number, writeEnd: number) {
    this.#libc = libc;
    this.#epoll = epoll;
    this.#reader = reader;
    this.#readEnd = readEnd;
    this.#writeEnd = writeEnd;
  }

  /** @throws Error (the promise rejects) if libuv does not wait as described above */
  static async open(libc: Libc): Promise<EventLoop> {
    const ends = new Int32Array(2);
    if (libc.pipe2(new Uint8Array(ends.buffer), Linux.O_CLOEXEC | Linux.O_NONBLOCK) < 0) {
      throw systemError(libc, "pipe2");
    }
    const [readEnd, writeEnd] = [ends[0]!, ends[1]!];
    const reader = new Socket({ fd: readEnd, readable: true, writable: false }).resume();
    reader.on("error", () => {}); // the pipe is closed together with the thread
    const epoll = await findEpoll(libc, readEnd);
    if (epoll === undefined) {
      reader.destroy();
      libc.close(writeEnd);
      throw new Error("the event loop of this program does not wait on an epoll descriptor as libuv does");
    }
    return new EventLoop(libc, epoll, reader, readEnd, writeEnd);
  }

  /** Adds a descriptor whose `events` end libuv's wait. */
  add(fd: number, events: number): void {
    this.#epoll.control(Linux.EPOLL_CTL_ADD, fd, events, this.#readEnd);
  }

  modify(fd: number, events: number): void {
    this.#epoll.control(Linux.EPOLL_CTL_MOD, fd, events, this.#readEnd);
  }

  remove(fd: number): void {
    this.#epoll.remove(fd);
  }

  /** Calls `turn` in the next turn of the event loop. libuv does not wait before. */
  soon(turn: () => void): void {
    setImmediate(turn);
  }

  /** Calls `turn` after libuv's next wait. */
  afterWait(turn: () => void): void {
    setImmediate(turn).unref();
  }

  /** Remove all descriptors first. */
  close(): void {
    this.#reader.destroy();
    this.#libc.close(this.#writeEnd);
  }
}

/** Returns the epoll descriptor that has `fd`, a descriptor that libuv reads in this thread. */
async function findEpoll(libc: Libc, fd: number): Promise<Epoll | undefined> {
  if (!process.versions.uv?.startsWith("1.")) return undefined;
  // libuv adds descriptors when it waits. Between two immediates it waits once.
  await new Promise((resolve) => setImmediate(setImmediate, resolve));
  for (let candidate = 0; candidate < descriptors; candidate++) {
    const epoll = new Epoll(libc, candidate);
    // Only the descriptor that has `fd` allows this, and then it changes nothing.
    if (epoll.tryModify(fd, Linux.EPOLLIN, fd)) return epoll;
  }
  return undefined;
}
