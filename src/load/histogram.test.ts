import assert from "node:assert/strict";
import { test } from "node:test";
import { Histogram } from "./histogram.ts";

test("percentiles are exact below 64 and within a thirty-second above", () => {
  for (const values of [1, 40, 63, 64, 1000, 12_345, 1_000_000, 2 ** 31, 2 ** 32 - 1]) {
    const histogram = new Histogram();
    for (const value of [0, values, 2 ** 32]) histogram.record(value);
    const found = histogram.percentile(0.5);
    assert.ok(found >= values && found <= values * (1 + 1 / 32), `${values}: ${found}`);
    if (values < 64) assert.equal(found, values);
  }
});

test("a percentile says where that share of the values ends", () => {
  const histogram = new Histogram();
  for (let value = 1; value <= 1000; value++) histogram.record(value);
  const { p50, p99, p999, max } = histogram.summary();
  assert.deepEqual(
    [p50, p99, p999].map((value, i) => Math.abs(value / [500, 990, 999][i]! - 1) < 1 / 32),
    [true, true, true],
  );
  assert.equal(max, 1000);
  assert.equal(new Histogram().percentile(0.99), 0);
});

test("histograms add up", () => {
  const one = new Histogram();
  const other = new Histogram();
  one.record(10);
  other.record(30);
  other.record(20);
  one.add(other);
  assert.equal(one.count, 3);
  assert.deepEqual([one.percentile(0.01), one.percentile(0.5), one.max], [10, 20, 30]);
});
