import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "./logger.ts";
import { Metrics } from "./metrics.ts";
import { renderPrometheus } from "./prometheus.ts";
import { observeExpiry, registerStorageMetrics } from "./storage-metrics.ts";

const statistics = { swarms: 1, seeders: 2, leechers: 3, peers4: 4, peers6: 1, refused: 6 };

async function lines(metrics: Metrics): Promise<string[]> {
  return renderPrometheus(await metrics.scrape())
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#") && !line.includes("_gc_"));
}

for (const [how, answer] of [
  ["at once", () => statistics],
  ["later", () => Promise.resolve(statistics)],
] as const) {
  test(`a store that answers ${how} is described under Chihaya's names`, async () => {
    const metrics = new Metrics();
    registerStorageMetrics(metrics, { statistics: answer });
    assert.deepEqual(await lines(metrics), [
      "chihaya_storage_infohashes_count 1",
      "chihaya_storage_leechers_count 3",
      'chihaya_storage_peers{address_family="IPv4"} 4',
      'chihaya_storage_peers{address_family="IPv6"} 1',
      "chihaya_storage_refused_peers_total 6",
      "chihaya_storage_seeders_count 2",
    ]);
  });
}

test("a store that fails has its gauges left out", async () => {
  const metrics = new Metrics();
  let broken = false;
  registerStorageMetrics(metrics, {
    statistics: () => (broken ? Promise.reject(new Error("gone")) : statistics),
  });
  assert.equal((await lines(metrics)).length, 6);
  broken = true;
  assert.deepEqual(await lines(metrics), []);
});

test("passes of the expiry are observed in milliseconds", () => {
  const metrics = new Metrics();
  observeExpiry(metrics, silentLogger)(9.375, 1);
  const text = renderPrometheus(metrics.snapshot());
  assert.match(text, /^chihaya_storage_gc_duration_milliseconds_bucket\{le="5"\} 0$/m);
  assert.match(text, /^chihaya_storage_gc_duration_milliseconds_bucket\{le="9.375"\} 1$/m);
});
