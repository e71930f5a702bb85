import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTime, lastTime, parseEnd, parseTime } from "./time.ts";

const now = 1_800_000_000;

test("a time of RFC 3339 is parsed in any zone, rounded up, and formatted in UTC", () => {
  const table: [text: string, seconds: number | undefined][] = [
    ["2027-01-15T08:00:00Z", now],
    ["2027-01-15t09:30:00+01:30", now],
    ["2027-01-15T08:00:00.001Z", now + 1],
    ["9999-12-31T23:59:59Z", lastTime],
    ["2027-01-15", undefined],
    ["2027-13-15T08:00:00Z", undefined],
  ];
  for (const [text, seconds] of table) assert.equal(parseTime(text), seconds, text);
  assert.equal(formatTime(now), "2027-01-15T08:00:00Z");
});

test("an end is a time or a duration from now, until the year 9999", () => {
  const table: [text: string, end: number | undefined][] = [
    ["2027-01-15T08:00:00Z", now],
    ["1h30m", now + 5400],
    ["1ms", now + 1],
    ["9999-12-31T23:59:59-01:00", undefined],
    ["never", undefined],
  ];
  for (const [text, end] of table) assert.equal(parseEnd(text, now), end, text);
});
