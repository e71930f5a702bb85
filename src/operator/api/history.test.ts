import assert from "node:assert/strict";
import { test } from "node:test";
import { History, type Sample, seriesNames } from "./history.ts";

const sampleOf = (value: number): Sample =>
  Object.fromEntries(seriesNames.map((name) => [name, value])) as Sample;

test("each second of the last ten minutes, each ten seconds of six hours, each five minutes of a week", () => {
  const history = new History();
  const week = 7 * 86_400;
  for (let second = 0; second <= week; second++) history.add(sampleOf(second), second - 1, second);
  const read = (window: number, step: number) => {
    const { step: real, series } = history.read(window, step, ["cpu"]);
    return { step: real, values: series.cpu! };
  };
  assert.deepEqual(read(3, 1), { step: 1, values: [week - 2, week - 1, week] });
  assert.deepEqual(read(600, 1).values.length, 600);
  const hours = read(6 * 3600, 1);
  assert.deepEqual([hours.step, hours.values.length, hours.values.includes(null)], [10, 2160, false]);
  assert.equal(hours.values.at(-2), week - 10 + 4.5, "the mean of ten seconds");
  const days = read(week, 1);
  assert.deepEqual([days.step, days.values.length, days.values.includes(null)], [300, 2016, false]);
  assert.deepEqual(read(30 * 86_400, 1).values.length, 2016, "no more than there is");
});

test("a sample stands for the time since the one before, and time before the first is unknown", () => {
  const history = new History();
  history.add(sampleOf(5), 99, 100);
  history.add(sampleOf(7), 100, 104);
  assert.deepEqual(history.read(7, 1, ["cpu"]).series.cpu, [null, null, 5, 7, 7, 7, 7]);
  assert.equal(history.mean("cpu", 2), 7);
  assert.equal(history.mean("cpu", 10), 6.6);
  assert.equal(new History().mean("cpu", 10), undefined);
});

test("an unknown value leaves the others of its step as they are", () => {
  const history = new History();
  history.add(sampleOf(4), 9, 10);
  history.add({ ...sampleOf(6), cpu: Number.NaN }, 10, 11);
  history.add({ ...sampleOf(6), cpu: Number.NaN }, 11, 20);
  assert.deepEqual(history.read(20, 10, ["cpu"]).series.cpu, [4, null]);
  assert.deepEqual(history.read(2, 1, ["cpu"]).series.cpu, [null, null]);
});
