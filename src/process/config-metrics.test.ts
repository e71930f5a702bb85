import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics } from "../observability/metrics.ts";
import { renderPrometheus } from "../observability/prometheus.ts";
import { ConfigMetrics } from "./config-metrics.ts";

test("a refused reload shows until the next reload succeeds", () => {
  const clock = { seconds: 0, unixSeconds: 1000 };
  const metrics = new Metrics();
  const config = new ConfigMetrics(metrics, clock, "first");
  const show = () =>
    renderPrometheus(metrics.snapshot())
      .split("\n")
      .filter((line) => line.startsWith("chihaya_"))
      .map((line) => line.replace("chihaya_config_", ""));
  assert.deepEqual(show(), [
    'info{hash="first"} 1',
    "last_reload_success_timestamp_seconds 1000",
    "last_reload_successful 1",
    "needs_restart_options 0",
    'reloads_total{result="applied"} 0',
    'reloads_total{result="refused"} 0',
  ]);

  clock.unixSeconds = 2000;
  config.refused();
  assert.deepEqual(show(), [
    'info{hash="first"} 1',
    "last_reload_success_timestamp_seconds 1000",
    "last_reload_successful 0",
    "needs_restart_options 0",
    'reloads_total{result="applied"} 0',
    'reloads_total{result="refused"} 1',
  ]);

  config.applied("second", 2);
  assert.deepEqual(show(), [
    'info{hash="second"} 1',
    "last_reload_success_timestamp_seconds 2000",
    "last_reload_successful 1",
    "needs_restart_options 2",
    'reloads_total{result="applied"} 1',
    'reloads_total{result="refused"} 1',
  ]);

  config.applied("first", 0);
  assert.equal(show()[0], 'info{hash="first"} 1');
});
