import assert from "node:assert/strict";
import { test } from "node:test";
import type { AnnounceRequest } from "../../src/bittorrent/announce.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { MapStore, type MapStoreOptions } from "./map-store.ts";
import { compareWithModel } from "./model.ts";

async function compare(Store: new (options: MapStoreOptions) => MapStore, steps: number): Promise<void> {
  const environment = { clock: { seconds: 100_000, unixSeconds: 1_700_000_000 }, peerLifetime: 1800 };
  const store = new Store({ ...environment, random: createRandom(1) });
  const model = new MapStore({ ...environment, random: createRandom(2) });
  await compareWithModel(store, model, { environment, seed: 3, steps });
}

test("a store that differs from the model only in its choices passes", () => compare(MapStore, 3000));

test("a rare mistake is found, and the error names its seed and step", async () => {
  class Forgetful extends MapStore {
    override apply(request: AnnounceRequest): void {
      super.apply(request);
      if (request.event !== 4) return;
      for (const { peers } of this.torrents.values()) {
        if (peers[6].size > 20) for (const peer of peers[6].values()) peer.announced++;
      }
    }
  }
  await assert.rejects(compare(Forgetful, 3000), /^AssertionError.*: seed 3, step \d+: peers that expired/s);
});
