import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { copy20, parseInfoHash, toHex } from "./info-hash.ts";

test("an infohash parses back from its text, in either case", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.nat(5), (bytes, at) => {
      const text = toHex(Uint8Array.of(...new Uint8Array(at), ...bytes, 7), at);
      assert.equal(text, Buffer.from(bytes).toString("hex"));
      assert.deepEqual(parseInfoHash(text), bytes);
      assert.deepEqual(parseInfoHash(text.toUpperCase()), bytes);
    }),
    { seed: 11 },
  );
});

test("any text but forty hexadecimal digits is not an infohash", () => {
  const digits = "0123456789abcdef0123456789abcdef01234567";
  assert.ok(parseInfoHash(digits));
  for (const text of [
    "",
    digits.slice(1),
    `${digits}0`,
    `g${digits.slice(1)}`,
    `${digits.slice(1)} `,
    `\u0130${digits.slice(1)}`,
  ]) {
    assert.equal(parseInfoHash(text), undefined, JSON.stringify(text));
  }
});

test("exactly twenty bytes are copied", () => {
  const from = Uint8Array.from({ length: 30 }, (_, i) => i + 1);
  const to = new Uint8Array(30);
  copy20(from, 3, to, 4);
  assert.deepEqual([...to], [0, 0, 0, 0, ...from.subarray(3, 23), 0, 0, 0, 0, 0, 0]);
});
