import { eventLoopUtilization } from "../../lib/loop-utilization.ts";
import { Linux } from "./abi.ts";
import type { Libc } from "./libc.ts";
import { Liveness } from "./liveness.ts";

/** How often to decide, in milliseconds. */
const everyMs = 250;
/** All threads together work for less than this share of a processor: one thread is enough. */
const little = 0.3;
/** One thread works for more than this share of the time: the others must help. */
const much = 0.5;
/** Of so many equal decisions for one thread, only the first is carried out. */
const repeats = 20;

/** Which sockets of the group receive datagrams: the first, or all of them by the hash of the addresses. */
type Target = "first" | "all";

/**
 * Steers the datagrams of an address that several threads share. With little to do, one thread receives all of them, so that the
 * threads do not each wake up for a share of the datagrams. Each thread decides for itself, from its own work; the last decision
 * holds. A decision takes effect for the next datagram.
 *
 * A thread that hangs must not receive all datagrams. So while one does, the other threads steer to all.
 */
export class Steering {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #threads: number;
  readonly #liveness: Liveness;
  readonly #utilization: () => number;
  /** A `struct sock_filter`: return the number of a socket. */
  readonly #filter: Uint8Array = new Uint8Array(8);
  readonly #filterView: DataView = new DataView(this.#filter.buffer);
  /** A `struct sock_fprog` with the filter. */
  readonly #program: Uint8Array = new Uint8Array(16);
  #decidedAt = 0;
  #last: Target | undefined;
  #repeated = 0;

  /** @param utilization  returns the share of time that this thread has worked since the last call */
  constructor(
    libc: Libc,
    fd: number,
    threads: number,
    liveness: Liveness = new Liveness(),
    utilization: () => number = createUtilization(),
  ) {
    this.#libc = libc;
    this.#fd = fd;
    this.#threads = threads;
    this.#liveness = liveness;
    this.#utilization = utilization;
    this.#filterView.setUint16(0, Linux.BPF_RET_K, true);
    const view = new DataView(this.#program.buffer);
    view.setUint16(0, 1, true);
    view.setBigUint64(8, libc.address(this.#filter), true);
    liveness.onHang.add(this.#spread);
  }

  /** Close before the socket. */
  close(): void {
    this.#liveness.onHang.delete(this.#spread);
  }

  /** Decides if the last decision is long ago. @param now  in milliseconds */
  consider(now: number): void {
    if (now - this.#decidedAt < everyMs) return;
    this.#decidedAt = now;
    const share = this.#utilization();
    if (share > much) this.#steer("all");
    else if (share * this.#threads < little && !this.#liveness.someHangs) this.#steer("first");
  }

  /** Another thread may have steered to the first since, even the thread that hangs. */
  readonly #spread = (): void => this.#steer("all");

  #steer(target: Target): void {
    // Another thread may have decided since. A thread with much to do must be sure of help.
    if (target === "first" && this.#last === target && ++this.#repeated < repeats) return;
    this.#repeated = 0;
    this.#last = target;
    // For the number of no socket, the kernel takes the hash.
    this.#filterView.setUint32(4, target === "first" ? 0 : 0xffffffff, true);
    // A kernel before 4.5 refuses this, and still spreads the datagrams.
    this.#libc.setsockopt(this.#fd, Linux.SOL_SOCKET, Linux.SO_ATTACH_REUSEPORT_CBPF, this.#program, 16);
  }
}

function createUtilization(): () => number {
  let before = eventLoopUtilization();
  return () => {
    const now = eventLoopUtilization();
    const { utilization } = eventLoopUtilization(now, before);
    before = now;
    return utilization;
  };
}
