import assert from "node:assert/strict";
import { test } from "node:test";
import { append, extend, newest, noColumns, secondsUntilFull, sum, toColumns } from "./history.ts";

test("values get their times, the newest that of the end", () => {
  const columns = toColumns({ step: 10, end: 100, series: { a: [1, null, 3] } });
  assert.deepEqual(columns, { times: [80, 90, 100], series: { a: [1, null, 3] } });
  assert.deepEqual(toColumns({ step: 1, end: 100, series: {} }), noColumns);
});

test("a new second is added once, and pushes old seconds out of the window", () => {
  let columns = toColumns({ step: 1, end: 10, series: { a: [8, 9, 10] } });
  columns = append(columns, { step: 1, end: 12, series: { a: [12], b: [1] } }, 3);
  assert.deepEqual(columns, { times: [10, 12], series: { a: [10, 12], b: [null, 1] } });
  assert.deepEqual(append(columns, { step: 1, end: 12, series: { a: [99] } }, 3), columns);
  const later = append(columns, { step: 1, end: 100, series: { a: [1] } }, 3);
  assert.deepEqual(later, { times: [100], series: { a: [1] } });
  assert.deepEqual(append(noColumns, { step: 1, end: 5, series: { a: [] } }, 3), {
    times: [5],
    series: { a: [null] },
  });
});

test("seconds that come while the history is read stay", () => {
  const history = toColumns({ step: 1, end: 10, series: { a: [8, 9, 10], b: [1, 2, 3] } });
  let live = append(noColumns, { step: 1, end: 10, series: { a: [10] } }, 3);
  assert.deepEqual(extend(history, noColumns), history);
  assert.deepEqual(extend(history, live), history);
  live = append(live, { step: 1, end: 11, series: { a: [11] } }, 3);
  live = append(live, { step: 1, end: 13, series: { a: [13] } }, 3);
  assert.deepEqual(extend(history, live), {
    times: [8, 9, 10, 11, 13],
    series: { a: [8, 9, 10, 11, 13], b: [1, 2, 3, null, null] },
  });
});

test("sums and newest values pass over what is unknown", () => {
  assert.deepEqual(sum([1, null, null], [2, 3, null], undefined), [3, 3, null]);
  assert.deepEqual(sum(undefined), []);
  assert.equal(newest([1, 2, null]), 2);
  assert.equal(newest([null]), null);
  assert.equal(newest(), null);
});

for (const [name, values, expected] of [
  ["fills evenly", [0.5, 0.6], 400],
  ["is as full as before", [0.5, 0.5], undefined],
  ["empties", [0.6, 0.5], undefined],
  ["fills too slowly to matter", [0.5, 0.500001], undefined],
  ["is not known", [null, null], undefined],
] as const) {
  test(`a store that ${name}`, () => {
    const seconds = secondsUntilFull({ times: [0, 100], series: { store_fill: values } });
    assert.equal(seconds && Math.round(seconds), expected);
  });
}

test("a minute is the least that says when the store will be full", () => {
  assert.equal(secondsUntilFull({ times: [0, 59], series: { store_fill: [0.1, 0.9] } }), undefined);
});
