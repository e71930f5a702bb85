import type { DatagramOptions, DatagramSocket } from "./datagram.ts";
import { bindDatagram } from "./portable/datagram.ts";
import { listenStream } from "./portable/stream.ts";
import type { StreamListener, StreamOptions } from "./stream.ts";

/** Access to the kernel: one network per thread. */
export interface Network {
  readonly engine: "linux" | "portable";
  /** Rejects with an Error that names the address and the remedy; so does `listenStream`. */
  bindDatagram(options: DatagramOptions): Promise<DatagramSocket>;
  listenStream<State>(options: StreamOptions<State>): Promise<StreamListener>;
  /**
   * Changes how many seconds an event may wait so that others share its wake-up. 0, the initial value, turns this off. The
   * portable network ignores it.
   */
  setCoalesce(seconds: number): void;
  /**
   * Notes that this thread runs, so that others know when it hangs. A worker calls this about once a second.
   * @param seconds  of a clock that all threads share
   */
  beat(seconds: number): void;
  /** Releases resources that the sockets shared. Close the sockets first. Idempotent. */
  close(): void;
}

/** Which network to use: `auto` prefers the native network if it runs here. */
export type NetworkChoice = "auto" | "linux" | "portable";

/** Sockets of Node.js: on every platform, with at least one system call per packet. */
export const portableNetwork: Network = {
  engine: "portable",
  bindDatagram,
  listenStream,
  setCoalesce() {},
  beat() {},
  close() {},
};
