import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { writeInHalves } from "./halves.ts";

const rows = Array.from({ length: 3500 }, (_, n) => n);

class RowError extends Error {}

/** A connection that runs one write after the other. */
function connection(fails: (part: readonly number[]) => Error | undefined) {
  const state = { written: [] as number[], waiting: 0, mostWaiting: 0, refused: [] as number[] };
  let last: Promise<void> = Promise.resolve();
  const write = (part: readonly number[]) => {
    state.waiting++;
    state.mostWaiting = Math.max(state.mostWaiting, state.waiting);
    const run = last.then(async () => {
      await nextTurn();
      state.waiting--;
      const error = fails(part);
      if (error !== undefined) throw error;
      state.written.push(...part);
    });
    last = run.catch(() => undefined);
    return run;
  };
  const deps = {
    ...{ write, isRowError: (error: unknown) => error instanceof RowError },
    refused: (row: number) => state.refused.push(row),
  };
  return { state, deps };
}

test("a statement is made while the one before runs, and no more than one", async () => {
  for (const isQueued of [false, true]) {
    const { state, deps } = connection(() => undefined);
    await writeInHalves(rows, { ...deps, isQueued });
    assert.deepEqual(state.written, rows);
    assert.equal(state.mostWaiting, isQueued ? 2 : 1);
  }
});

test("rows that fail stop no other row", async () => {
  const bad = [0, 999, 1000, 2500];
  for (const isQueued of [false, true]) {
    const { state, deps } = connection((part) =>
      part.some((row) => bad.includes(row)) ? new RowError("bad") : undefined,
    );
    await writeInHalves(rows, { ...deps, isQueued });
    assert.deepEqual(
      state.refused.sort((a, b) => a - b),
      bad,
    );
    assert.deepEqual(
      state.written.sort((a, b) => a - b),
      rows.filter((row) => !bad.includes(row)),
    );
  }
});

test("after another error nothing runs any more", async () => {
  for (const isQueued of [false, true]) {
    const { state, deps } = connection((part) => (part.includes(1500) ? new Error("away") : undefined));
    await assert.rejects(writeInHalves(rows, { ...deps, isQueued }), { message: "away" });
    assert.equal(state.waiting, 0);
    const { length } = state.written;
    await nextTurn();
    assert.equal(state.written.length, length);
    assert.equal(state.written.includes(3200), false, "no statement is sent after the error");
  }
});
