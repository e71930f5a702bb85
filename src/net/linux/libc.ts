import { getSystemErrorName } from "node:util";
import { installRemedy } from "../../lib/install-remedy.ts";
import { Linux } from "./abi.ts";

/** Memory for the kernel: never a shared, resizable or pooled buffer. */
type Memory = Uint8Array | null;

/**
 * The system calls of the native network. Each returns the result of the C function; after -1, {@link errno} has the
 * error. The caller must keep a reference to memory that the kernel may write to after the call.
 */
export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Memory, length: number): number;
  connect(fd: number, address: Memory, length: number): number;
  listen(fd: number, backlog: number): number;
  /** `name` and `length` are addresses of memory. */
  accept4(fd: number, name: number, length: number, flags: number): number;
  getsockname(fd: number, address: Memory, length: Memory): number;
  setsockopt(fd: number, level: number, name: number, value: Memory, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: Memory, length: Memory): number;
  recvmmsg(fd: number, messages: Memory, count: number, flags: number, timeout: Memory): number;
  sendmmsg(fd: number, messages: Memory, count: number, flags: number): number;
  /** `bytes` is an address of memory. */
  recv(fd: number, bytes: number, length: number, flags: number): number;
  send(fd: number, bytes: Memory, length: number, flags: number): number;
  /**
   * Sends `bytes[start..end)`, without a signal and without waiting.
   * @param more  whether the kernel may wait for more bytes, or for the end of the stream
   */
  sendRange(fd: number, bytes: Uint8Array, start: number, end: number, more: boolean): number;
  shutdown(fd: number, how: number): number;
  close(fd: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, fd: number, event: Memory): number;
  epoll_wait(epoll: number, events: Memory, count: number, timeoutMs: number): number;
  ppoll(descriptors: Memory, count: number, timeout: Memory, mask: Memory): number;
  /** `address` is an address of memory. */
  madvise(address: number, length: number, advice: number): number;
  /** Gives the unused memory of malloc back to the system. Does nothing with a C library that cannot, such as musl. */
  malloc_trim(pad: number): number;
  /** Returns the address of memory. */
  address(memory: Uint8Array): bigint;
  errno(): number;
  /**
   * Returns libuv's loop of this thread.
   * @throws Error if this build of Node.js does not export libuv
   */
  uvLoop(): UvLoop;
}

/** What libuv tells about a loop, for programs that wait in its place. */
export interface UvLoop {
  /** libuv's epoll descriptor. */
  readonly fd: number;
  /** Returns for how many milliseconds libuv would wait now: -1 is for ever. */
  timeoutMs(): number;
}

/** Sets an option that is an int. */
export function setOption(libc: Libc, fd: number, level: number, name: number, value: number): void {
  const memory = new Uint8Array(new Int32Array([value]).buffer);
  if (libc.setsockopt(fd, level, name, memory, 4) < 0) throw systemError(libc, "setsockopt");
}

/** Reads an option that is an int. */
export function getOption(libc: Libc, fd: number, level: number, name: number): number {
  const value = new Int32Array(1);
  const length = new Uint8Array(new Uint32Array([4]).buffer);
  if (libc.getsockopt(fd, level, name, new Uint8Array(value.buffer), length) < 0) {
    throw systemError(libc, "getsockopt");
  }
  return value[0]!;
}

/** Returns the last error of a system call in Node's form, with a `code` such as `EADDRINUSE`. */
export function systemError(libc: Libc, call: string): Error {
  const errno = libc.errno();
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${call}: ${code}`), { code, errno });
}

/**
 * Loads libc through koffi.
 * @throws Error that says why the native network cannot run here
 */
export async function loadLibc(): Promise<Libc> {
  if (process.platform !== "linux") throw new Error(`the platform is ${process.platform}, not Linux`);
  if (process.arch !== "x64" && process.arch !== "arm64") {
    throw new Error(`the processor is ${process.arch}, not x64 or arm64`);
  }
  // Other runtimes have their own event loop behind libuv's names, and some end the process when one of these is called.
  const other = ["bun", "deno", "electron", "nw"].find((name) => name in process.versions);
  if (other !== undefined) throw new Error(`the program is run by ${other}, not by Node.js`);
  const { default: koffi } = await import("koffi").catch((cause) => {
    const message = `the optional package "koffi" is not installed for this platform: ${installRemedy("koffi")}`;
    throw new Error(message, { cause });
  });
  const library = koffi.load(null);
  let trim = (_pad: number): number => 0;
  try {
    trim = library.func("int malloc_trim(size_t pad)");
  } catch {
    // not in this C library
  }
  const sendAt = library.func("intptr_t send(int fd, uintptr_t bytes, size_t length, int flags)");
  const flags = Linux.MSG_DONTWAIT | Linux.MSG_NOSIGNAL;
  // A subarray per response would be garbage; responses nearly always come from the same memory.
  let lastBytes: Uint8Array | undefined;
  let lastAddress = 0;
  return {
    socket: library.func("int socket(int domain, int type, int protocol)"),
    bind: library.func("int bind(int fd, void *address, uint32_t length)"),
    connect: library.func("int connect(int fd, void *address, uint32_t length)"),
    listen: library.func("int listen(int fd, int backlog)"),
    accept4: library.func("int accept4(int fd, uintptr_t name, uintptr_t length, int flags)"),
    getsockname: library.func("int getsockname(int fd, void *address, void *length)"),
    setsockopt: library.func("int setsockopt(int fd, int level, int name, void *value, uint32_t length)"),
    getsockopt: library.func("int getsockopt(int fd, int level, int name, void *value, void *length)"),
    recvmmsg: library.func(
      "int recvmmsg(int fd, void *messages, unsigned int count, int flags, void *timeout)",
    ),
    sendmmsg: library.func("int sendmmsg(int fd, void *messages, unsigned int count, int flags)"),
    recv: library.func("intptr_t recv(int fd, uintptr_t bytes, size_t length, int flags)"),
    send: library.func("intptr_t send(int fd, void *bytes, size_t length, int flags)"),
    sendRange(fd, bytes, start, end, more) {
      if (bytes !== lastBytes) {
        lastBytes = bytes;
        lastAddress = Number(koffi.address(bytes));
      }
      return sendAt(fd, lastAddress + start, end - start, more ? flags | Linux.MSG_MORE : flags);
    },
    shutdown: library.func("int shutdown(int fd, int how)"),
    close: library.func("int close(int fd)"),
    epoll_create1: library.func("int epoll_create1(int flags)"),
    epoll_ctl: library.func("int epoll_ctl(int epoll, int operation, int fd, void *event)"),
    epoll_wait: library.func("int epoll_wait(int epoll, void *events, int count, int timeout)"),
    ppoll: library.func("int ppoll(void *descriptors, unsigned long count, void *timeout, void *mask)"),
    madvise: library.func("int madvise(uintptr_t address, size_t length, int advice)"),
    malloc_trim: trim,
    address: (memory) => koffi.address(memory),
    errno: () => koffi.errno(),
    uvLoop() {
      try {
        // Node.js exports these functions for addons: node::GetCurrentEventLoop(v8::Isolate::GetCurrent())
        const isolate = library.func("uintptr_t _ZN2v87Isolate10GetCurrentEv()")();
        const loopOf = library.func(
          "uintptr_t _ZN4node19GetCurrentEventLoopEPN2v87IsolateE(uintptr_t isolate)",
        );
        const fdOf = library.func("int uv_backend_fd(uintptr_t loop)");
        const timeoutOf = library.func("int uv_backend_timeout(uintptr_t loop)");
        const updateTime = library.func("void uv_update_time(uintptr_t loop)");
        const loop = loopOf(isolate);
        if (!loop) throw new Error("this thread has no event loop of Node.js");
        return {
          fd: fdOf(loop),
          timeoutMs() {
            updateTime(loop); // libuv has not looked at the clock since its last wait
            return timeoutOf(loop);
          },
        };
      } catch (cause) {
        throw new Error("this build of Node.js does not export the functions of its event loop", { cause });
      }
    },
  };
}
