import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDuration } from "./duration.ts";

test("durations parse as in Go", () => {
  const table: [text: string, seconds: number | undefined][] = [
    ["0", 0],
    ["0s", 0],
    ["30m", 1800],
    ["1h30m", 5400],
    ["1h2m3s", 3723],
    ["1.5h", 5400],
    ["1.1m", 66],
    [".5s", 0.5],
    ["1.s", 1],
    ["500ms", 0.5],
    ["2us", 2e-6],
    ["2\u00b5s", 2e-6],
    ["2\u03bcs", 2e-6],
    ["3ns", 3e-9],
    ["", undefined],
    ["30", undefined],
    ["-5s", undefined],
    ["5 s", undefined],
    [" 5s", undefined],
    ["5s ", undefined],
    ["5S", undefined],
    ["1d", undefined],
    ["s", undefined],
    [".s", undefined],
    ["1h30", undefined],
  ];
  for (const [text, seconds] of table) assert.equal(parseDuration(text), seconds, text);
});
