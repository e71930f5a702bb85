import assert from "node:assert/strict";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { test } from "node:test";
import { type DelayHistogram, EventLoopLag } from "./event-loop-lag.ts";

const ms = 1e6; // nanoseconds

test("lag is what comes on top of the interval, since the last call", () => {
  const calls: string[] = [];
  const histogram = {
    mean: 20.5 * ms,
    max: 1020 * ms,
    percentile: (p: number) => (p === 50 ? 19.9 * ms : 120 * ms),
    enable: () => void calls.push("enable"),
    disable: () => void calls.push("disable"),
    reset: () => void calls.push("reset"),
  } satisfies DelayHistogram;
  const lag = new EventLoopLag(({ resolution }) => {
    assert.equal(resolution, 20);
    calls.push("monitor");
    return histogram;
  });
  assert.deepEqual(calls, []);
  assert.deepEqual(lag.take(), { mean: 0.0005, p50: 0, p99: 0.1, max: 1 });
  assert.deepEqual(calls, ["monitor", "enable", "reset"]);
  lag.take();
  lag.stop();
  lag.stop();
  assert.deepEqual(calls, ["monitor", "enable", "reset", "reset", "disable"]);
});

test("a histogram that has seen nothing is no lag", () => {
  const lag = new EventLoopLag((options) => monitorEventLoopDelay(options));
  assert.deepEqual(lag.take(), { mean: 0, p50: 0, p99: 0, max: 0 });
  lag.stop();
});
