import type { Network } from "../network.ts";
import { listenStream as listenPortable } from "../portable/stream.ts";
import { bindDatagram } from "./datagram.ts";
import { noteDescriptors } from "./descriptors.ts";
import { loadLibc } from "./libc.ts";
import { Poller } from "./poller.ts";
import { listenStream } from "./stream.ts";

/**
 * Opens the engine of batched system calls for this thread; TLS stays with Node.js.
 * @param open  where it notes its descriptors, for whoever closes them if the thread dies: see `createDescriptors`
 * @throws Error that says why it cannot run here: no koffi for the platform, or calls that the kernel refuses
 */
export async function openLinuxNetwork(open?: Uint8Array): Promise<Network> {
  const libc = await loadLibc();
  const poller = new Poller(open ? noteDescriptors(libc, open) : libc);
  return {
    engine: "linux",
    bindDatagram: async (options) => bindDatagram(poller, options),
    listenStream: async (options) => (options.tls ? listenPortable(options) : listenStream(poller, options)),
    close: () => poller.close(),
  };
}
