import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { copy20, parseAnyInfoHash, parseInfoHash, toHex } from "./info-hash.ts";

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

test("an infohash as people have it: hexadecimal, base32, or a hash of version 2", () => {
  const hex = "d984f67af9917b214cd8b6048ab5624c7df6a07a";
  const long = `${hex}1234567890abcdef12345678`;
  for (const text of [
    hex,
    hex.toUpperCase(),
    "3GCPM6XZSF5SCTGYWYCIVNLCJR67NID2", // by `base32` of coreutils
    "3gcpm6xzsf5sctgywycivnlcjr67nid2",
    long,
    `1220${long}`,
  ])
    assert.equal(toHex(parseAnyInfoHash(text)!), hex, text);
  for (const text of [
    "",
    hex.slice(1),
    `${hex}0`,
    "3GCPM6XZSF5SCTGYWYCIVNLCJR67NID1",
    "3GCPM6XZSF5SCTGYWYCIVNLCJR67NID",
    `${long.slice(1)}g`,
    `1221${long}`,
    `1220${hex}`,
    `${hex}\n`,
    "\u0130".repeat(32),
    "\u212a".repeat(32),
  ])
    assert.equal(parseAnyInfoHash(text), undefined, text);
});
