import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "../lib/clock.ts";
import { SharedTable } from "./shared-table.ts";

const shape = { key: 1, values: 2 };

test("a table holds what was put last, as a map does", () => {
  const random = createRandom(3);
  const table = SharedTable.create(shape, 300);
  const reader = new SharedTable(shape, table.memory);
  const model = new Map<number, number>();
  for (let step = 0; step < 20_000; step++) {
    const key = random.next() % 400;
    const words = new Int32Array([key]);
    if (random.next() % 3 === 0) {
      table.remove(words, 0);
      model.delete(key);
    } else {
      assert.ok(table.put(words, 0, [step, -step]));
      model.set(key, step + 1);
    }
    const other = random.next() % 400;
    assert.equal(reader.find(new Int32Array([other]), 0), model.has(other));
    if (model.has(other))
      assert.deepEqual([...reader.values], [model.get(other)! - 1, 1 - model.get(other)!]);
  }
});

test("a table that is three quarters full takes no further key, but changes those that it has", () => {
  const table = SharedTable.create(shape, 0);
  let count = 0;
  while (table.put(new Int32Array([count]), 0, [1, 1])) count++;
  assert.equal(count, 768);
  assert.equal(table.put(new Int32Array([5]), 0, [2, 2]), true);
  table.remove(new Int32Array([6]), 0);
  assert.equal(table.find(new Int32Array([6]), 0), false);
  let added = 0;
  for (let key = 1000; key < 3000; key++) if (table.put(new Int32Array([key]), 0, [1, 1])) added++;
  assert.ok(added <= 1, "at most the slot of the removed key");
  for (let key = 0; key < count; key++) assert.equal(table.find(new Int32Array([key]), 0), key !== 6);
});

test("a reader waits for a writer whose processor it uses", (t) => {
  const table = SharedTable.create(shape, 0);
  table.put(new Int32Array([1]), 0, [1, 1]);
  const memory = new Int32Array(table.memory);
  const at = memory.findIndex((version, index) => version === 4 && memory[index + 1] === 1);
  memory[at] = 5;
  t.mock.method(Atomics, "wait", (words: Int32Array) => {
    words[at] = 8; // the writer runs again
    return "timed-out";
  });
  assert.equal(table.find(new Int32Array([1]), 0), true);
});

test("a reader gives up on a writer that died while it wrote", () => {
  const table = SharedTable.create(shape, 0);
  table.put(new Int32Array([1]), 0, [1, 1]);
  const memory = new Int32Array(table.memory);
  const at = memory.findIndex((version, index) => version === 4 && memory[index + 1] === 1);
  memory[at] = 5;
  assert.equal(table.find(new Int32Array([1]), 0), false);
});

test("the keys of a table are those that were not removed", () => {
  const table = SharedTable.create(shape, 0);
  assert.ok(table.isUnused);
  for (const key of [1, 2, 3]) table.put(new Int32Array([key]), 0, [0, 0]);
  table.remove(new Int32Array([2]), 0);
  assert.deepEqual([...table.keys()].map(([key]) => key).sort(), [1, 3]);
  assert.ok(table.find(new Int32Array([1]), 0), "values of 0 are values");
  assert.equal(table.isUnused, false);
});
