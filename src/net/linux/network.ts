import type { Network } from "../network.ts";
import { listenStream as listenPortable } from "../portable/stream.ts";
import { bindDatagram } from "./datagram.ts";
import { noteDescriptors } from "./descriptors.ts";
import { EventLoop } from "./event-loop.ts";
import { loadLibc } from "./libc.ts";
import { Liveness } from "./liveness.ts";
import { Poller } from "./poller.ts";
import { listenStream } from "./stream.ts";

/** Memory that a worker thread shares with the others. */
export interface NetworkMemory {
  /** Marks of this thread's descriptors, see `createDescriptors`; another thread closes them if this one dies. */
  descriptors: Uint8Array;
  /** See `createBeats`. */
  beats: Int32Array;
  /** Index of this thread. */
  thread: number;
}

/**
 * Opens the network of batched system calls for this thread; Node.js still does TLS.
 * @param memory  of a worker thread
 * @throws Error that says why this network cannot run here: koffi has no binary for the platform, or the kernel refuses
 * calls
 */
export async function openLinuxNetwork(memory?: NetworkMemory): Promise<Network> {
  const libc = await loadLibc();
  const own = memory ? noteDescriptors(libc, memory.descriptors) : libc;
  const liveness = new Liveness(memory?.beats, memory?.thread);
  const poller = new Poller(own, await EventLoop.open(own));
  return {
    engine: "linux",
    bindDatagram: async (options) => bindDatagram(poller, options, liveness),
    listenStream: async (options) => (options.tls ? listenPortable(options) : listenStream(poller, options)),
    setCoalesce: (seconds) => {
      poller.coalesceMs = seconds * 1000;
    },
    beat: (seconds) => liveness.beat(seconds),
    close: () => poller.close(),
  };
}
