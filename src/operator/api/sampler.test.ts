import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics } from "../../observability/metrics.ts";
import { Sampler } from "./sampler.ts";

test("the metrics are read every ten seconds, and every second with a viewer", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let scrapes = 0;
  const sampler = new Sampler({
    clock: { seconds: 0, unixSeconds: 0 },
    async scrape() {
      scrapes++;
      return [];
    },
    onError: (error) => assert.fail(error),
  });
  const readings = (seconds: number) => {
    scrapes = 0;
    t.mock.timers.tick(seconds * 1000);
    return scrapes;
  };
  sampler.watch(() => {})();
  assert.equal(readings(30), 0, "not before the start");
  sampler.start();
  assert.equal(readings(30), 3);
  const unwatch = [sampler.watch(() => {}), sampler.watch(() => {})];
  assert.equal(readings(30), 30);
  unwatch[0]!();
  assert.equal(readings(30), 30, "the other watches on");
  unwatch[1]!();
  assert.equal(readings(30), 3);
  sampler.stop();
  assert.equal(readings(30), 0);
});

test("the delay of the event loop is that of the slowest thread", async () => {
  const metrics = new Metrics();
  for (const [worker, lag] of [
    ["1", 0.001],
    ["2", 0.05],
    ["3", 0.002],
  ] as const)
    metrics.gauge("nodejs_eventloop_lag_p99_seconds", "", () => lag, { worker });
  const clock = { seconds: 0, unixSeconds: 0 };
  const sampler = new Sampler({
    clock,
    scrape: () => metrics.scrape(),
    onError: (error) => assert.fail(error),
  });
  for (clock.seconds = 0; clock.seconds < 3; clock.seconds++) await sampler.read();
  assert.deepEqual(sampler.history.read(2, 1, ["loop_lag_ms"]).series.loop_lag_ms, [50, 50]);
});

test("a reading of the timer that fails is reported", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const errors: Error[] = [];
  const failure = new Error("on purpose");
  const sampler = new Sampler({
    clock: { seconds: 0, unixSeconds: 0 },
    scrape: () => Promise.reject(failure),
    onError: (error) => void errors.push(error),
  });
  sampler.start();
  t.mock.timers.tick(10_000);
  await new Promise(setImmediate);
  assert.deepEqual(errors, [failure]);
  sampler.stop();
});
