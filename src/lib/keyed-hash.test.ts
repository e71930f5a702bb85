import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "./clock.ts";
import { hashKeys, hashWords } from "./keyed-hash.ts";

test("an arithmetic progression does not crowd for any of a thousand keys", () => {
  const places = 1024;
  const random = createRandom(5);
  const word = new Int32Array(1);
  for (let draw = 0; draw < 1000; draw++) {
    const keys = Int32Array.from({ length: hashKeys(1) }, () => random.next() ^ (random.next() << 16));
    const step = [1, 256, 65_536, 65_537][draw % 4]!;
    const counts = new Uint32Array(places);
    for (let n = 0; n < 4 * places; n++) {
      word[0] = Math.imul(n, step);
      counts[hashWords(word, 0, 1, 0, keys, 0) & (places - 1)]!++;
    }
    // 4 a place on average. 24 come by chance in one table of ten million.
    assert.ok(Math.max(...counts) < 24, `draw ${draw}, step ${step}: ${Math.max(...counts)} in one place`);
  }
});

test("each bit of the hash differs for half of all pairs of neighbours", () => {
  const keys = Int32Array.from({ length: hashKeys(1) }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
  const word = new Int32Array(1);
  const flips = new Uint32Array(32);
  for (let n = 0; n < 4096; n++) {
    word[0] = n;
    const hash = hashWords(word, 0, 1, 0, keys, 0);
    word[0] = n + 1;
    const change = hash ^ hashWords(word, 0, 1, 0, keys, 0);
    for (let bit = 0; bit < 32; bit++) flips[bit]! += (change >>> bit) & 1;
  }
  for (const [bit, count] of flips.entries()) {
    assert.ok(count > 4096 * 0.4 && count < 4096 * 0.6, `bit ${bit} differs for ${count} of 4096 pairs`);
  }
});
