import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { silentLogger } from "./logger.ts";
import { RateLimitedLog } from "./rate-limited.ts";

let lines: unknown[] = [];
const clock = { seconds: 0, unixSeconds: 0 };
const logger = {
  ...silentLogger,
  error: (fields: object, message: string) => void lines.push(["error", fields, message]),
  warn: (fields: object, message: string) => void lines.push(["warn", fields, message]),
};

beforeEach(() => {
  lines = [];
  clock.seconds = 1000;
});

test("lines above the limit are counted, and the next interval tells how many", () => {
  const log = new RateLimitedLog(logger, clock, { lines: 2, interval: 10 });
  for (let i = 0; i < 5; i++) log.error("jwt", { i }, "failed");
  clock.seconds += 9;
  log.error("jwt", { i: 5 }, "failed");
  clock.seconds += 1;
  for (let i = 6; i < 8; i++) log.error("jwt", { i }, "failed");
  assert.deepEqual(lines, [
    ["error", { i: 0 }, "failed"],
    ["error", { i: 1 }, "failed"],
    ["error", { i: 6, suppressed: 4 }, "failed"],
    ["error", { i: 7 }, "failed"],
  ]);
});

test("each key has a limit of its own", () => {
  const log = new RateLimitedLog(logger, clock, { lines: 1, interval: 10 });
  log.error("a", {}, "x");
  log.warn("b", {}, "y");
  log.warn("b", {}, "y");
  assert.deepEqual(lines, [
    ["error", {}, "x"],
    ["warn", {}, "y"],
  ]);
});

test("keys without end share one limit and take no memory", () => {
  const log = new RateLimitedLog(logger, clock, { lines: 1, interval: 10 });
  for (let i = 0; i < 10_000; i++) log.error(`key ${i}`, {}, "x");
  assert.equal(lines.length, 257);
});
