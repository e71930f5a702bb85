import { Kept } from "../lib/kept.ts";
import type { SwarmMethods } from "../operator/swarms/swarm-methods.ts";
import type { SwarmReader } from "../operator/swarms/swarm-reader.ts";
import type { PeerStore } from "../storage/peer-store.ts";
import { type Bus, BusError, isGone } from "./bus.ts";
import { swarmService } from "./services.ts";

/** Milliseconds that a pass over all torrents may take, and any other request. */
const passMs = 120_000;
const timeoutMs = 10_000;

/** Serves operators' requests about the store of this thread. The code is loaded with the first of them. */
export function serveSwarms(bus: Bus, store: PeerStore): void {
  const reader = new Kept<SwarmReader>(async () => {
    const { SwarmReader } = await import("../operator/swarms/swarm-reader.ts");
    return new SwarmReader(store);
  });
  bus.serve(swarmService, {
    find: async (infoHashes) => (await reader.read()).find(infoHashes),
    top: async (queries, { signal }) => (await reader.read()).top(queries, signal),
    peers: async (query) => (await reader.read()).peers(query),
    sampleClients: async (peers, { signal }) => (await reader.read()).sampleClients(peers, signal),
    remove: async (infoHash) => (await reader.read()).remove(infoHash),
  });
}

/**
 * Asks the workers about the store: the first one that is there, and the next one if that one dies. The main thread never
 * asks the store itself, because it must not wait for a lock.
 */
export function createSwarms(bus: Bus): SwarmMethods {
  async function ask<T>(send: (worker: number) => Promise<T>): Promise<T> {
    for (const worker of bus.workers) {
      try {
        return await send(worker);
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    }
    throw new BusError("gone", "no worker is running");
  }
  return {
    find: (infoHashes) => ask((worker) => bus.call(worker, swarmService, "find", infoHashes, { timeoutMs })),
    top: (queries) => ask((worker) => bus.call(worker, swarmService, "top", queries, { timeoutMs: passMs })),
    peers: (query) => ask((worker) => bus.call(worker, swarmService, "peers", query, { timeoutMs })),
    sampleClients: (peers) =>
      ask((worker) => bus.call(worker, swarmService, "sampleClients", peers, { timeoutMs: passMs })),
    remove: (infoHash) => removeEverywhere(bus, infoHash),
  };
}

/**
 * Has every worker remove a torrent. Each does so after the announces that it has begun, so once the workers refuse the
 * torrent, no announce brings a peer back.
 */
async function removeEverywhere(bus: Bus, infoHash: Uint8Array): Promise<void> {
  const results = [...(await bus.callAll(swarmService, "remove", infoHash, { timeoutMs: passMs })).values()];
  for (const result of results)
    if (result.status === "rejected" && !isGone(result.reason)) throw result.reason;
  if (results.every(({ status }) => status === "rejected"))
    throw new BusError("gone", "no worker is running");
}
