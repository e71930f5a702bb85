import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { Metrics } from "./metrics.ts";
import { registerProcessMetrics } from "./process-metrics.ts";

async function values(metrics: Metrics): Promise<Map<string, number>> {
  return new Map(
    (await metrics.scrape()).map(({ name, series }) => [name, series[0]?.values[0] ?? Number.NaN]),
  );
}

test("the process is described in the units that the names promise", async (t) => {
  const metrics = new Metrics();
  t.after(registerProcessMetrics(metrics, "1.2.3"));
  const { user, system } = process.cpuUsage();
  const now = await values(metrics);
  const at = (name: string): number => now.get(name) ?? Number.NaN;

  assert.ok(at("process_cpu_user_seconds_total") >= user / 1e6 && at("process_cpu_user_seconds_total") < 600);
  assert.ok(at("process_cpu_system_seconds_total") >= system / 1e6);
  assert.equal(
    at("process_cpu_seconds_total").toFixed(6),
    (at("process_cpu_user_seconds_total") + at("process_cpu_system_seconds_total")).toFixed(6),
  );
  assert.ok(at("process_resident_memory_bytes") > 10e6 && at("process_resident_memory_bytes") < 10e9);
  const started = Date.now() / 1000 - process.uptime();
  assert.ok(Math.abs(at("process_start_time_seconds") - started) < 1);
  assert.ok(at("nodejs_heap_size_used_bytes") > 1e6);
  assert.ok(at("nodejs_heap_size_total_bytes") >= at("nodejs_heap_size_used_bytes"));
  assert.ok(at("nodejs_external_memory_bytes") > 0);
  assert.deepEqual(metrics.snapshot().find(({ name }) => name === "chihaya_build_info")?.series, [
    { labels: { version: "1.2.3", node: process.version }, values: [1] },
  ]);
});

test("open files are counted", { skip: process.platform !== "linux" && "Linux only" }, async (t) => {
  const metrics = new Metrics();
  t.after(registerProcessMetrics(metrics, ""));
  const before = (await values(metrics)).get("process_open_fds") ?? Number.NaN;
  const files = [openSync("/dev/null", "r"), openSync("/dev/null", "r"), openSync("/dev/null", "r")];
  const after = (await values(metrics)).get("process_open_fds") ?? Number.NaN;
  for (const file of files) closeSync(file);
  assert.equal(after - before, 3);
  assert.ok(((await values(metrics)).get("process_max_fds") ?? 0) > after);
});
