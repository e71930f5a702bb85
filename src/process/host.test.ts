import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "../config/load.ts";
import { createRandom } from "../lib/clock.ts";
import { portableNetwork } from "../net/network.ts";
import { silentLogger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { createStore } from "../tracker/create-store.ts";
import { LocalHub } from "../tracker/share-hub.ts";
import { LocalHost } from "./host.ts";

function load(coalesce: string) {
  const set = ["http.addr=127.0.0.1:0", "udp.addr=127.0.0.1:0", "storage.config.max_peers=1000"];
  const loaded = loadConfig({ env: {}, set: [...set, `network_coalesce=${coalesce}`] });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.config;
}

test("a reload changes how long requests wait for others", async (t) => {
  const config = load("2ms");
  const clock = { seconds: 100_000, unixSeconds: 1_700_000_000 };
  const random = createRandom(1);
  const own = { clock, random, metrics: new Metrics(), logger: silentLogger, isFirst: true, owner: 1 };
  const bounds: number[] = [];
  const network = { ...portableNetwork, setCoalesce: (seconds: number) => bounds.push(seconds) };
  const hub = new LocalHub({ clock, random });
  const store = await createStore(config.storage, own);
  const host = new LocalHost({ ...own, config, hub, store }, network);
  await host.start();
  t.after(() => host.stop(0));
  assert.deepEqual(bounds, [0.002]);
  await host.reload(load("0"));
  assert.deepEqual(bounds, [0.002, 0]);
});
