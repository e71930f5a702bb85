import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "./clock.ts";

test("random numbers follow Marsaglia's xorshift32 and are unsigned", () => {
  const random = createRandom(1);
  assert.deepEqual([random.next(), random.next(), random.next()], [270369, 67634689, 2647435461]);
});

test("a seed of zero yields numbers too, and seeds differ", () => {
  const zero = createRandom(0);
  assert.notEqual(zero.next(), zero.next());
  assert.notEqual(createRandom(2).next(), createRandom(3).next());
  assert.deepEqual(createRandom(-1).next(), createRandom(0xffffffff).next());
});
