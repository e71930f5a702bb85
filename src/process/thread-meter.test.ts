import assert from "node:assert/strict";
import { test } from "node:test";
import { ThreadMeter } from "./thread-meter.ts";

test("the share of a core since the last look, which lasts a second at least", () => {
  const times = { now: 10, cpu: 4 as number | undefined };
  const meter = new ThreadMeter({ now: () => times.now, cpu: () => times.cpu });
  assert.deepEqual(meter.read(), { cpu: 0.4, uptimeSeconds: 10 });
  Object.assign(times, { now: 10.5, cpu: 4.5 });
  assert.deepEqual(meter.read(), { cpu: 0.4, uptimeSeconds: 10.5 });
  Object.assign(times, { now: 12, cpu: 5 });
  assert.deepEqual(meter.read(), { cpu: 0.5, uptimeSeconds: 12 });
});

test("without a count of the CPU time there is no share", () => {
  const meter = new ThreadMeter({ now: () => 10, cpu: () => undefined });
  assert.deepEqual(meter.read(), { cpu: undefined, uptimeSeconds: 10 });
});
