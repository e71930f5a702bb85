import assert from "node:assert/strict";
import { test } from "node:test";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMilliseconds,
  formatNumber,
  formatRate,
  formatShare,
} from "./quantities.ts";

for (const [write, value, expected] of [
  [formatCount, 0, "0"],
  [formatCount, 10_000_000, "10,000,000"],
  [formatCount, null, "–"],
  [formatCount, Number.NaN, "–"],
  [formatNumber, 0, "0"],
  [formatNumber, 0.001, "0"],
  [formatNumber, 0.04, "0.04"],
  [formatNumber, 9.996, "10.0"],
  [formatNumber, 12, "12"],
  [formatNumber, 999.4, "999"],
  [formatNumber, 999.6, "1.00 k"],
  [formatNumber, 20_431, "20.4 k"],
  [formatNumber, 1_234_567, "1.23 M"],
  [formatNumber, undefined, "–"],
  [formatRate, 20_431, "20.4 k/s"],
  [formatRate, null, "–"],
  [formatBytes, 512, "512 B"],
  [formatBytes, 1024, "1 KiB"],
  [formatBytes, 536_870_912, "512 MiB"],
  [formatBytes, 1_320_702_443, "1.23 GiB"],
  [formatShare, 0.5, "50 %"],
  [formatShare, 0.1234, "12.3 %"],
  [formatShare, Number.POSITIVE_INFINITY, "–"],
  [formatMilliseconds, 0, "0 ms"],
  [formatMilliseconds, 0.0123, "12.3 µs"],
  [formatMilliseconds, 1.234, "1.23 ms"],
  [formatMilliseconds, 4800, "4.80 s"],
  [formatDuration, 0, "0 s"],
  [formatDuration, 45.9, "45 s"],
  [formatDuration, 725, "12 min 5 s"],
  [formatDuration, 3600, "1 h"],
  [formatDuration, 273_600, "3 d 4 h"],
  [formatDuration, 86_405, "1 d"],
] as const) {
  test(`${write.name}(${value}) is ${expected}`, () => assert.equal(write(value as number), expected));
}
