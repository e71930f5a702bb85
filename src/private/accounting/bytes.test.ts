import assert from "node:assert/strict";
import { test } from "node:test";
import { addBytes, divideBytes, multiplyBytes, subtractBytes } from "./bytes.ts";

const most = Number.MAX_SAFE_INTEGER;

test("numbers of bytes are exact, and numbers of JavaScript up to 2^53 - 1", () => {
  assert.equal(addBytes(most - 1, 1), most);
  assert.equal(addBytes(most, 1), 2n ** 53n);
  assert.equal(addBytes(most, 2), 2n ** 53n + 1n);
  assert.equal(addBytes(2n ** 60n, 1), 2n ** 60n + 1n);
  assert.equal(subtractBytes(-most, most), -2n * BigInt(most));
  assert.equal(multiplyBytes(most, 100), BigInt(most) * 100n);
  assert.equal(multiplyBytes(most, 0), 0);
});

test("bytes are rounded down", () => {
  for (const bytes of [0, 99, 100, 199, most, most - (most % 100) - 1])
    assert.equal(BigInt(divideBytes(bytes, 100)), BigInt(bytes) / 100n);
  assert.equal(divideBytes(BigInt(most) * 100n + 99n, 100), BigInt(most));
});
