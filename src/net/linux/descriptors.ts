import type { Libc } from "./libc.ts";

/** As many as a process may have open, where `fs.nr_open` is what Linux makes it. */
const capacity = 1024 * 1024;

/**
 * Creates the memory in which a thread notes the descriptors that it has open: one byte for each number, 1 while it is
 * open. It is shared, and so outlives the thread: descriptors are the process's, one that is terminated closes none of
 * them, and the kernel would go on giving a share of the clients to its sockets.
 */
export function createDescriptors(): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(capacity));
}

/**
 * Has every descriptor that is opened and closed through the `libc` that it returns noted in `open`.
 *
 * A number is noted once it is open and struck out before it is closed, when another thread may get it: whatever is
 * noted is this thread's own. No call lies between the two, as a thread ends only where it enters a function or repeats
 * a loop.
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
    eventfd(value, flags) {
      const fd = libc.eventfd(value, flags);
      if (fd >= 0) open[fd] = 1;
      return fd;
    },
    close(fd) {
      open[fd] = 0;
      return libc.close(fd);
    },
  };
}

/** Closes what a thread has left open. It must be gone. */
export function closeDescriptors(libc: Libc, open: Uint8Array): void {
  for (let fd = open.indexOf(1); fd >= 0; fd = open.indexOf(1, fd + 1)) {
    open[fd] = 0;
    libc.close(fd);
  }
}
