import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "./logger.ts";
import { RecentLog } from "./recent-log.ts";

test("the newest 200 lines are kept, without those of the level debug, and all are passed on", () => {
  const passed: string[] = [];
  const inner = {
    debug: (_: object, message: string) => void passed.push(message),
    info: (_: object, message: string) => void passed.push(message),
    warn: (_: object, message: string) => void passed.push(message),
    error: (_: object, message: string) => void passed.push(message),
  };
  let now = 0;
  const log = new RecentLog(inner, () => ++now);
  log.debug({}, "debug");
  log.warn({ a: 1 }, "warn");
  log.error({}, "error");
  assert.deepEqual(log.lines, [
    { time: 1, level: "warn", message: "warn", fields: { a: 1 } },
    { time: 2, level: "error", message: "error", fields: {} },
  ]);
  for (let i = 0; i < 300; i++) log.info({}, `${i}`);
  assert.deepEqual([log.lines.length, log.lines[0]!.message, log.lines.at(-1)!.message], [200, "100", "299"]);
  assert.deepEqual([passed.length, passed[0]], [303, "debug"]);
});

test("the lines of a logger that writes nothing are kept too", () => {
  const log = new RecentLog(silentLogger);
  log.info({}, "one");
  assert.equal(log.lines.length, 1);
});
