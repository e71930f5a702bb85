import { Linux } from "./abi.ts";
import { type Libc, systemError } from "./libc.ts";

/** Events that one call receives. */
const capacity = 256;
/** `struct epoll_event`: packed on x64, aligned on arm64. */
const eventBytes = process.arch === "x64" ? 12 : 16;
const dataAt = eventBytes - 8;

/** An epoll descriptor, with memory for the events of one call. */
export class Epoll {
  readonly #libc: Libc;
  readonly fd: number;
  readonly #events: Uint8Array = new Uint8Array(capacity * eventBytes);
  readonly #view: DataView = new DataView(this.#events.buffer);
  readonly #event: Uint8Array = new Uint8Array(eventBytes);
  readonly #eventView: DataView = new DataView(this.#event.buffer);

  /** @throws Error if the kernel has no room */
  constructor(libc: Libc) {
    this.fd = libc.epoll_create1(Linux.EPOLL_CLOEXEC);
    if (this.fd < 0) throw systemError(libc, "epoll_create1");
    this.#libc = libc;
  }

  /**
   * Adds or changes a descriptor, level-triggered.
   * @param data  a number that comes with each event of the descriptor
   * @throws Error if the kernel has no room
   */
  control(operation: number, fd: number, events: number, data: number): void {
    this.#eventView.setUint32(0, events, true);
    this.#eventView.setInt32(dataAt, data, true);
    if (this.#libc.epoll_ctl(this.fd, operation, fd, this.#event) !== 0)
      throw systemError(this.#libc, "epoll_ctl");
  }

  /** Removes a descriptor that stays open. */
  remove(fd: number): void {
    this.#libc.epoll_ctl(this.fd, Linux.EPOLL_CTL_DEL, fd, this.#event);
  }

  /**
   * @returns the number of events, -1 if a signal has ended the wait; the next wait overwrites them
   * @throws Error if the descriptor was closed by other code
   */
  wait(timeoutMs: number): number {
    const count = this.#libc.epoll_wait(this.fd, this.#events, capacity, timeoutMs);
    if (count < 0 && this.#libc.errno() !== Linux.EINTR) throw systemError(this.#libc, "epoll_wait");
    return count;
  }

  /** The `data` of event `i`. */
  data(i: number): number {
    return this.#view.getInt32(i * eventBytes + dataAt, true);
  }

  /** What holds for the descriptor of event `i`: `EPOLLIN` and others. */
  events(i: number): number {
    return this.#view.getUint32(i * eventBytes, true);
  }

  close(): void {
    this.#libc.close(this.fd);
  }
}
