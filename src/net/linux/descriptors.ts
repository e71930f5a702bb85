import type { Libc } from "./libc.ts";

/** The default of `fs.nr_open` on Linux: the maximum number of descriptors of a process. */
const capacity = 1024 * 1024;

/**
 * Creates the memory in which a thread marks its open descriptors: one byte per number, 1 while open. The memory is
 * shared, so it outlives the thread. Descriptors belong to the process: a terminated thread closes none, and the kernel
 * would still send a share of the clients to its sockets.
 */
export function createDescriptors(): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(capacity));
}

/**
 * Wraps a `libc` so that every descriptor it opens or closes is marked in `open`.
 *
 * The wrapper sets the mark after the open, and removes the mark before the close, when another thread may get the
 * number. So a mark always belongs to this thread. No call lies between the two steps: a thread ends only where it
 * enters a function or repeats a loop.
 */
export function noteDescriptors(libc: Libc, open: Uint8Array): Libc {
  return {
    ...libc,
    socket(domain, type, protocol) {
      const fd = libc.socket(domain, type, protocol);
      if (fd >= 0) open[fd] = 1;
      return fd;
    },
    accept4(listener, name, length, flags) {
      const fd = libc.accept4(listener, name, length, flags);
      if (fd >= 0) open[fd] = 1;
      return fd;
    },
    epoll_create1(flags) {
      const fd = libc.epoll_create1(flags);
      if (fd >= 0) open[fd] = 1;
      return fd;
    },
    close(fd) {
      open[fd] = 0;
      return libc.close(fd);
    },
  };
}

/** Closes the descriptors that a thread has left open. The thread must have ended. */
export function closeDescriptors(libc: Libc, open: Uint8Array): void {
  for (let fd = open.indexOf(1); fd >= 0; fd = open.indexOf(1, fd + 1)) {
    open[fd] = 0;
    libc.close(fd);
  }
}
