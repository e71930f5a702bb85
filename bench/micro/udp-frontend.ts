import { createRandom } from "../../src/lib/clock.ts";
import { TrackerLogic } from "../../src/middleware/logic.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";
import { UdpInProcess } from "../../test/support/udp-in-process.ts";
import type { Micro, MicroCase } from "./micro.ts";

const slots = 32;
const infoHashes = 10_000;

const frontends: Record<string, MicroCase> = {};
for (const family of [4, 6] as const) {
  const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
  const random = createRandom(1);
  const config = { gcInterval: 180, peerLifetime: 1860, maxPeers: 1_000_000, peerIds: false };
  const store = new MemoryStore({ config, clock, random });
  const settings = { interval: 1800, minInterval: 900, preHooks: [], postHooks: [] };
  const report = (where: string, error: unknown) => {
    throw new Error(`${where} failed`, { cause: error });
  };
  const udp = await UdpInProcess.start(slots, new TrackerLogic(store, settings, report), clock, {}, family);
  udp.connectAndAnnounce();
  const { view } = udp.batch;
  const call = () => {
    for (let slot = 0; slot < slots; slot++) {
      const at = udp.batch.inAt(slot);
      view.setUint32(at + 16, random.next() % infoHashes);
      view.setUint16(at + 96, 1 + (random.next() % 3));
    }
    udp.handle(slots);
  };
  frontends[`announce over IPv${family}, 10,000 torrents`] = { call, operations: slots };
}

/** A whole UDP announce without the socket: from the bytes of the request to those of the response, in batches of 32. */
export const udpFrontend: Micro = {
  title: "UDP frontend, logic and memory store together, without sockets",
  cases: () => frontends,
};
