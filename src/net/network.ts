import type { DatagramOptions, DatagramSocket } from "./datagram.ts";
import { bindDatagram } from "./portable/datagram.ts";
import { listenStream } from "./portable/stream.ts";
import type { StreamListener, StreamOptions } from "./stream.ts";

/** How bytes reach the kernel: one for each thread. */
export interface Network {
  readonly engine: "linux" | "portable";
  /** Rejects with an Error that names the address and what can be done about it; so does `listenStream`. */
  bindDatagram(options: DatagramOptions): Promise<DatagramSocket>;
  listenStream<State>(options: StreamOptions<State>): Promise<StreamListener>;
  /** Lets go of what all sockets shared, which must have been closed. Idempotent. */
  close(): void;
}

/** Which engine to use: `auto` takes the native one where it runs. */
export type NetworkChoice = "auto" | "linux" | "portable";

/** Sockets of Node.js: on every platform, one system call and more for each packet. */
export const portableNetwork: Network = { engine: "portable", bindDatagram, listenStream, close() {} };

/**
 * Opens the network of this thread.
 * @param onFallback  hears why `auto` has to do without the native engine
 * @param open        where the native engine notes the descriptors that it has open
 * @throws Error where `linux` is asked for and cannot run here
 */
export async function openNetwork(
  choice: NetworkChoice,
  onFallback: (error: Error) => void,
  open?: Uint8Array,
): Promise<Network> {
  if (choice === "portable") return portableNetwork;
  try {
    const { openLinuxNetwork } = await import("./linux/network.ts");
    return await openLinuxNetwork(open);
  } catch (error) {
    if (choice === "linux")
      throw new Error(`the native network engine cannot run: ${(error as Error).message}`, { cause: error });
    onFallback(error as Error);
    return portableNetwork;
  }
}
