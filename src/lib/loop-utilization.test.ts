import assert from "node:assert/strict";
import { test } from "node:test";
import { eventLoopUtilization, noteSleep } from "./loop-utilization.ts";

test("a noted sleep counts as idle", () => {
  const before = eventLoopUtilization();
  noteSleep(1e9);
  const after = eventLoopUtilization();
  assert.ok(after.idle - before.idle >= 1e9);
  assert.ok(eventLoopUtilization(after, before).utilization <= 0);
  noteSleep(-1e9);
});
