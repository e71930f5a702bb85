import type { Network } from "../network.ts";
import { listenStream as listenPortable } from "../portable/stream.ts";
import { bindDatagram } from "./datagram.ts";
import { noteDescriptors } from "./descriptors.ts";
import { EventLoop } from "./event-loop.ts";
import { loadLibc } from "./libc.ts";
import { Poller } from "./poller.ts";
import { listenStream } from "./stream.ts";

/**
 * Opens the network of batched system calls for this thread; Node.js still does TLS.
 * @param open  marks of this thread's descriptors, see `createDescriptors`; another thread closes them if this one dies
 * @throws Error that says why this network cannot run here: koffi has no binary for the platform, or the kernel refuses
 * calls
 */
export async function openLinuxNetwork(open?: Uint8Array): Promise<Network> {
  const libc = await loadLibc();
  const own = open ? noteDescriptors(libc, open) : libc;
  const poller = new Poller(own, await EventLoop.open(own));
  return {
    engine: "linux",
    bindDatagram: async (options) => bindDatagram(poller, options),
    listenStream: async (options) => (options.tls ? listenPortable(options) : listenStream(poller, options)),
    setCoalesce: (seconds) => {
      poller.coalesceMs = seconds * 1000;
    },
    close: () => poller.close(),
  };
}
