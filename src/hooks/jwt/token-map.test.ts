import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenMap } from "./token-map.ts";

const token = (i: number) => `head.${"x".repeat(30)}${String(i).padStart(8, "0")}`;

test("a token is found by all of it, not by its end alone", () => {
  const map = new TokenMap<number>(10);
  map.set(`a${token(1)}`, 1);
  assert.deepEqual(
    [map.get(`a${token(1)}`), map.get(`b${token(1)}`), map.get(token(2))],
    [1, undefined, undefined],
  );
  map.set(`b${token(1)}`, 2);
  assert.deepEqual([map.get(`a${token(1)}`), map.get(`b${token(1)}`)], [undefined, 2]);
  map.clear();
  assert.equal(map.get(`b${token(1)}`), undefined);
});

test("what is asked for stays, and no more are kept than there is room for", () => {
  const map = new TokenMap<number>(100);
  for (let i = 0; i < 10_000; i++) {
    map.set(token(i), i);
    assert.equal(map.get(token(0)), 0);
  }
  let kept = 0;
  for (let i = 0; i < 10_000; i++) if (map.get(token(i)) !== undefined) kept++;
  assert.ok(kept > 1 && kept <= 100, `${kept} kept`);
});
