import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "./clock.ts";
import { HashSet } from "./hash-set.ts";

function createSet(width: number, keys: number): HashSet {
  const set = new HashSet(width, new Int32Array(HashSet.words(width, keys)));
  set.begin(keys);
  return set;
}

test("the set has the keys that were added and no others, at any width, size and offset", () => {
  const random = createRandom(1);
  for (const [width, count] of [
    [5, 5000],
    [2, 300],
    [1, 1],
  ] as const) {
    const words = Int32Array.from({ length: 2 * count * width }, () => random.next());
    const set = createSet(width, count);
    for (let n = 0; n < count; n++) {
      set.add(words, n * width);
      set.add(words, n * width);
      assert.equal(set.size, n + 1);
    }
    for (let n = 0; n < 2 * count; n++) assert.equal(set.has(words, n * width), n < count, `key ${n}`);
  }
});

test("all bits of a key count, and the zero key is an ordinary key", () => {
  const zero = new Int32Array(5);
  const set = createSet(5, 161);
  assert.equal(set.has(zero), false);
  set.add(zero);
  assert.equal(set.has(zero), true);
  assert.equal(set.size, 1);
  for (let bit = 0; bit < 160; bit++) {
    const key = new Int32Array(5);
    key[bit >> 5] = 1 << (bit & 31);
    assert.equal(set.has(key), false, `bit ${bit}`);
    set.add(key);
    assert.equal(set.has(key), true, `bit ${bit}`);
  }
  assert.equal(set.size, 161);
});

test("an attacker cannot choose keys that fill adjacent slots", () => {
  // These keys collide under any seed of a hash that XORs a word, multiplies, and folds the upper half down by 15 bits.
  const words = Int32Array.of(1, 2, 3, 4, 5);
  const keys = Array.from({ length: 16 }, (_, n) => {
    const key = words.slice();
    for (let pair = 0; pair < 4; pair++) {
      if (((n >> pair) & 1) === 0) continue;
      key[pair]! ^= 0x80000000;
      key[pair + 1]! ^= 0x80010000;
    }
    return key;
  });
  const set = createSet(5, 10_000);
  for (const key of keys) set.add(key);
  let runs = 0;
  for (let at = set.next(0), before = -1; at >= 0; before = at, at = set.next(at + 5)) {
    if (at !== before + 5) runs++;
  }
  assert.equal(set.size, 16);
  assert.ok(runs > 8, `16 keys stand in ${runs} places`);
});

test("a walk visits every key but the zero key", () => {
  const words = new Int32Array(HashSet.words(2, 3));
  const set = new HashSet(2, words);
  set.begin(3);
  for (const key of [
    [0, 0],
    [5, 0],
    [0, 6],
  ])
    set.add(Int32Array.from(key));
  const found: string[] = [];
  for (let at = set.next(0); at >= 0; at = set.next(at + 2)) found.push(`${words[at]},${words[at + 1]}`);
  assert.deepEqual(found.sort(), ["0,6", "5,0"]);
});

test("a look-up ends in memory with arbitrary contents", () => {
  const random = createRandom(9);
  const words = new Int32Array(HashSet.words(5, 100));
  const set = new HashSet(5, words);
  assert.equal(set.has(Int32Array.of(1, 2, 3, 4, 5)), false, "never begun");
  assert.equal(set.size, 0);
  for (let n = 0; n < 100; n++) {
    for (let i = 0; i < words.length; i++) words[i] = random.next() | 1;
    words[0] = n % 2 ? 134 : random.next() % 5000;
    assert.equal(typeof set.has(Int32Array.of(1, 2, 3, 4, 5)), "boolean");
  }
});
