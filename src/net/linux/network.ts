import type { Network } from "../network.ts";
import { listenStream as listenPortable } from "../portable/stream.ts";
import { bindDatagram } from "./datagram.ts";
import { noteDescriptors } from "./descriptors.ts";
import { EventLoop } from "./event-loop.ts";
import { loadLibc } from "./libc.ts";
import { Liveness } from "./liveness.ts";
import { loadBehind } from "./load-gate.ts";
import { Poller } from "./poller.ts";
import { listenStream } from "./stream.ts";

/** Memory that a worker thread shares with the others. */
export interface NetworkMemory {
  /** Marks of this thread's descriptors, see `createDescriptors`; another thread closes them if this one dies. */
  descriptors: Uint8Array;
  /** See `createBeats`. */
  beats: Int32Array;
  /** See `load-gate.ts`. */
  gate: Int32Array;
  /** Index of this thread. */
  thread: number;
}

/** This thread's poller, which all its networks share. */
let poller: Poller | undefined;
/** Where a copy of this package notes in a thread that its poller sleeps there: two pollers would keep each other awake. */
const sleeper = Symbol.for("chihaya.poller");
const thread = globalThis as { [sleeper]?: boolean };
/** The longest bound in seconds. */
const maxCoalesce = 0.01;
/** The open networks of this thread, each with the milliseconds that an event of it may wait. */
const bounds = new Map<Network, number>();

/** Lets events wait for the shortest of all bounds. Without networks, the poller ends. */
function applyBounds(): void {
  if (poller === undefined) return;
  if (bounds.size > 0) poller.coalesceMs = Math.min(...bounds.values());
  else {
    poller.close();
    poller = undefined;
    delete thread[sleeper];
  }
}

async function openPoller(memory: NetworkMemory | undefined): Promise<Poller> {
  const libc = await loadLibc();
  const own = memory ? noteDescriptors(libc, memory.descriptors) : libc;
  if (poller !== undefined) return poller;
  if (thread[sleeper]) throw new Error("another copy of this package has the native network of this thread");
  poller = new Poller(own, new EventLoop(own));
  thread[sleeper] = true;
  return poller;
}

/**
 * Opens the network of batched system calls for this thread; Node.js still does TLS.
 * @param memory  of a worker thread
 * @throws Error that says why this network cannot run here: koffi has no binary for the platform, or the kernel refuses
 * calls
 */
export async function openLinuxNetwork(memory?: NetworkMemory): Promise<Network> {
  const open = () => openPoller(memory);
  const shared = memory ? await loadBehind(memory.gate, open) : await open();
  const liveness = new Liveness(memory?.beats, memory?.thread);
  const network: Network = {
    engine: "linux",
    bindDatagram: async (options) => bindDatagram(shared, options, liveness),
    listenStream: async (options) => (options.tls ? listenPortable(options) : listenStream(shared, options)),
    setCoalesce: (seconds) => {
      if (!bounds.has(network)) return;
      bounds.set(network, 1000 * Math.min(seconds, maxCoalesce));
      applyBounds();
    },
    beat: (seconds) => liveness.beat(seconds),
    close: () => {
      bounds.delete(network);
      applyBounds();
    },
  };
  bounds.set(network, 0);
  applyBounds();
  return network;
}
