import { createRandom } from "../../bittorrent/clock.ts";
import { storeConformance } from "../conformance.ts";
import { MemoryStore } from "./memory-store.ts";

for (const peerIds of [false, true]) {
  storeConformance(
    peerIds ? "memory store with peer ids" : "memory store",
    ({ clock, peerLifetime, capacity }) =>
      new MemoryStore({
        clock,
        random: createRandom(1),
        config: { gcInterval: 180, peerLifetime, maxPeers: capacity ?? 10_000, peerIds },
      }),
    { peerIds, capacity: true },
  );
}
