import assert from "node:assert/strict";
import type { EventLoopUtilization } from "node:perf_hooks";
import { test } from "node:test";
import { EventLoopUse } from "./event-loop-utilization.ts";

/** The use of an event loop in a time that the test lets pass. */
function setUp(): { use: EventLoopUse; pass: (seconds: number, share: number) => void } {
  let now = 0;
  let active = 0;
  const measure = (after?: EventLoopUtilization, before?: EventLoopUtilization): EventLoopUtilization => {
    if (!after || !before) return { active, idle: now - active, utilization: 0 };
    const [busy, idle] = [after.active - before.active, after.idle - before.idle];
    return { active: busy, idle, utilization: busy / (busy + idle) };
  };
  const use = new EventLoopUse(() => now, measure);
  const pass = (seconds: number, share: number): void => {
    now += seconds * 1000;
    active += seconds * 1000 * share;
  };
  return { use, pass };
}

test("readers with other intervals do not disturb each other: each sees the last minute", () => {
  const { use, pass } = setUp();
  pass(30, 1);
  for (let i = 0; i < 30; i++) {
    pass(1, 0);
    assert.equal(use.read().toFixed(3), (30 / (31 + i)).toFixed(3));
  }
  for (let i = 0; i < 60; i++) {
    pass(1, 0);
    use.read();
  }
  assert.equal(use.read(), 0);
});

test("a reader that comes more rarely sees the time since its last reading", () => {
  const { use, pass } = setUp();
  for (const share of [0.25, 0.5, 1]) {
    pass(300, share);
    assert.equal(use.read(), share);
  }
});
