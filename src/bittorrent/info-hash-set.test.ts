import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "./clock.ts";
import { InfoHashSet } from "./info-hash-set.ts";

test("what was added is there, what was not is not, at any size and offset", () => {
  const random = createRandom(1);
  const count = 5000;
  const words = Int32Array.from({ length: 2 * count * 5 }, () => random.next());
  const set = new InfoHashSet();
  for (let n = 0; n < count; n++) {
    set.add(words, n * 5);
    set.add(words, n * 5);
    assert.equal(set.size, n + 1);
  }
  for (let n = 0; n < 2 * count; n++) assert.equal(set.has(words, n * 5), n < count, `infohash ${n}`);
});

test("all 160 bits count, and the zero infohash is one like any other", () => {
  const zero = new Int32Array(5);
  const set = new InfoHashSet();
  assert.equal(set.has(zero), false);
  set.add(zero);
  assert.equal(set.has(zero), true);
  assert.equal(set.size, 1);
  for (let bit = 0; bit < 160; bit++) {
    const infoHash = new Int32Array(5);
    infoHash[bit >> 5] = 1 << (bit & 31);
    assert.equal(set.has(infoHash), false, `bit ${bit}`);
    set.add(infoHash);
    assert.equal(set.has(infoHash), true, `bit ${bit}`);
  }
  assert.equal(set.size, 161);
});
