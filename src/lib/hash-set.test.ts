import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "./clock.ts";
import { HashSet } from "./hash-set.ts";

/** Writes a set of all keys in `words`, over `memory`. */
function createSet(width: number, words: Int32Array, memory?: Int32Array): HashSet {
  const count = words.length / width;
  const set = new HashSet(width, memory ?? new Int32Array(HashSet.words(width, count)));
  for (const _ of set.write([words], count));
  return set;
}

function randomKeys(width: number, count: number, seed: number): Int32Array {
  const random = createRandom(seed);
  return Int32Array.from({ length: count * width }, () => random.next());
}

/** Lists the keys of a set as texts, in order. */
function listKeys(set: HashSet, memory: Int32Array, width: number): string[] {
  const keys: string[] = [];
  for (let at = set.start; at < set.end; at += width) keys.push(memory.subarray(at, at + width).join());
  return keys.sort();
}

test("the set has the keys that were written and no others, at any width, size and offset", () => {
  for (const [width, count] of [
    [5, 5000],
    [2, 300],
    [1, 1],
    [5, 0],
  ] as const) {
    const words = randomKeys(width, 2 * count, 1);
    const set = createSet(width, words.subarray(0, count * width));
    assert.equal(set.size, count);
    for (let n = 0; n < 2 * count; n++) assert.equal(set.has(words, n * width), n < count, `key ${n}`);
    assert.equal(set.has(Int32Array.of(1, 2, 3, 4, 5)), false);
  }
});

test("all bits of a key count, and the zero key is an ordinary key", () => {
  const bits = Array.from({ length: 160 }, (_, bit) => {
    const key = new Int32Array(5);
    key[bit >> 5] = 1 << (bit & 31);
    return key;
  });
  const zero = new Int32Array(5);
  for (const absent of [...bits, zero]) {
    const present = [...bits, zero].filter((key) => key !== absent);
    const set = createSet(5, Int32Array.from(present.flatMap((key) => [...key])));
    assert.equal(set.has(absent), false);
    for (const key of present) assert.equal(set.has(key), true);
    assert.equal(set.size, 160);
  }
});

test("a key is in the set once, however often it is repeated", () => {
  const keys = randomKeys(5, 100, 2);
  const repeated = new Int32Array(5 * 3000);
  for (let n = 0; n < 3000; n++)
    repeated.set(keys.subarray(5 * (n % 100), 5 * (n % 100) + 5), 5 * ((n * 7) % 3000));
  const memory = new Int32Array(HashSet.words(5, 3000));
  const set = createSet(5, repeated, memory);
  assert.equal(set.size, 100);
  assert.deepEqual(listKeys(set, memory, 5), listKeys(createSet(5, keys, memory), memory, 5));
  for (let n = 0; n < 100; n++) assert.equal(set.has(keys, 5 * n), true);
});

test("keys come from several blocks, the last one not full", () => {
  const keys = randomKeys(2, 8, 3);
  const set = new HashSet(2, new Int32Array(HashSet.words(2, 5)));
  for (const _ of set.write([keys.subarray(0, 8), keys.subarray(8)], 5));
  assert.deepEqual(
    Array.from({ length: 8 }, (_, n) => set.has(keys, 2 * n)),
    [true, true, true, true, true, false, false, false],
  );
});

test("a set replaces another in the same memory, bigger or smaller", () => {
  const memory = new Int32Array(HashSet.words(5, 1000));
  const keys = randomKeys(5, 1000, 4);
  for (const [from, to] of [
    [0, 1000],
    [990, 1000],
    [0, 0],
    [100, 900],
  ] as const) {
    const set = createSet(5, keys.subarray(5 * from, 5 * to), memory);
    assert.equal(set.size, to - from);
    for (let n = 0; n < 1000; n++) assert.equal(set.has(keys, 5 * n), n >= from && n < to, `key ${n}`);
  }
});

test("a walk visits every key", () => {
  const memory = new Int32Array(HashSet.words(2, 3));
  const set = createSet(2, Int32Array.of(0, 0, 5, 0, 0, 6), memory);
  assert.deepEqual(listKeys(set, memory, 2), ["0,0", "0,6", "5,0"]);
});

test("an attacker cannot choose keys for one bucket", () => {
  // These keys collide under any seed of a hash that XORs a word, multiplies, and folds the upper half down by 15 bits.
  const keys = Array.from({ length: 16 }, (_, n) => {
    const key = Int32Array.of(1, 2, 3, 4, 5);
    for (let pair = 0; pair < 4; pair++) {
      if (((n >> pair) & 1) === 0) continue;
      key[pair]! ^= 0x80000000;
      key[pair + 1]! ^= 0x80010000;
    }
    return key;
  });
  const words = randomKeys(5, 10_000, 5);
  keys.forEach((key, n) => {
    words.set(key, 5 * n);
  });
  const memory = new Int32Array(HashSet.words(5, 10_000));
  const set = createSet(5, words, memory);
  const chosen = new Set(keys.map((key) => key.join()));
  const places: number[] = [];
  for (let at = set.start; at < set.end; at += 5)
    if (chosen.has(memory.subarray(at, at + 5).join())) places.push(at);
  const runs = places.filter((at, n) => at !== places[n - 1]! + 5).length;
  assert.equal(places.length, 16);
  assert.ok(runs > 8, `16 keys stand in ${runs} places`);
});

test("a look-up ends in memory with arbitrary contents", () => {
  const random = createRandom(9);
  const words = new Int32Array(HashSet.words(5, 100));
  const set = new HashSet(5, words);
  assert.equal(set.has(Int32Array.of(1, 2, 3, 4, 5)), false, "never written");
  assert.equal(set.size, 0);
  for (let n = 0; n < 100; n++) {
    for (let i = 0; i < words.length; i++) words[i] = random.next() | 1;
    words[0] = n % 2 ? 25 : random.next() % 5000;
    assert.equal(typeof set.has(Int32Array.of(1, 2, 3, 4, 5)), "boolean");
  }
});
