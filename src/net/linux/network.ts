import { isMainThread } from "node:worker_threads";
import type { Network } from "../network.ts";
import { listenStream as listenPortable } from "../portable/stream.ts";
import { bindDatagram } from "./datagram.ts";
import { loadLibc } from "./libc.ts";
import { Poller } from "./poller.ts";
import { listenStream } from "./stream.ts";

/**
 * Opens the engine of batched system calls for this thread; TLS stays with Node.js.
 * @throws Error that says why it cannot run here: no koffi for the platform, or calls that the kernel refuses
 */
export async function openLinuxNetwork(): Promise<Network> {
  const poller = new Poller(await loadLibc());
  // Descriptors are the process's: listeners of a thread that dies would go on taking clients, and nobody answer them.
  if (!isMainThread) process.once("exit", () => poller.abandon());
  return {
    engine: "linux",
    bindDatagram: async (options) => bindDatagram(poller, options),
    listenStream: async (options) => (options.tls ? listenPortable(options) : listenStream(poller, options)),
    close: () => poller.close(),
  };
}
