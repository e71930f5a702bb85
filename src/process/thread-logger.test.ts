import assert from "node:assert/strict";
import { test } from "node:test";
import { BusError } from "./bus.ts";
import type { LogLine } from "./services.ts";
import { createThreadLogger } from "./thread-logger.ts";

test("lines that the bus refuses are dropped and counted, and the logger does not throw", () => {
  const lines: LogLine[] = [];
  let dropped = 0;
  const send = (line: LogLine): void => {
    if (lines.length === 2) throw new BusError("busy", "2 notifications wait for the main thread already");
    lines.push(line);
  };
  const logger = createThreadLogger(send, () => dropped++);
  for (let n = 0; n < 5; n++) logger.warn({ n }, "a warning");
  assert.deepEqual(lines, [
    { level: "warn", fields: { n: 0 }, message: "a warning" },
    { level: "warn", fields: { n: 1 }, message: "a warning" },
  ]);
  assert.equal(dropped, 3);
});

test("fields that cannot be cloned are sent as text", () => {
  const lines: LogLine[] = [];
  const logger = createThreadLogger(
    (line) => void lines.push(structuredClone(line)),
    () => assert.fail("nothing is dropped"),
  );
  logger.error({ callback: () => undefined }, "failed");
  assert.deepEqual(lines, [
    { level: "error", fields: { text: "{ callback: [Function: callback] }" }, message: "failed" },
  ]);
});
