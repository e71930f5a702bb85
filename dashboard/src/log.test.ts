import assert from "node:assert/strict";
import { test } from "node:test";
import { joinLog } from "./log.ts";

test("the log and what the page has noticed are one list, the newest first", () => {
  const lines = [
    {
      time: "1970-01-01T00:00:03.000Z",
      level: "warn",
      message: "three",
      fields: { hook: "a", worker: 2, more: { x: [1] } },
    },
    { time: "1970-01-01T00:00:01.000Z", level: "info", message: "one", fields: {} },
  ] as const;
  const own = [{ at: 2000, level: "error", text: "two" }] as const;
  assert.deepEqual(joinLog({ lines }, own), [
    { at: 3000, level: "warn", text: 'three  hook=a  worker=2  more={"x":[1]}' },
    { at: 2000, level: "error", text: "two" },
    { at: 1000, level: "info", text: "one" },
  ]);
  assert.deepEqual(joinLog(undefined, own), own);
});
