import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Bencode, BencodeError, type DecodeLimits, decodeBencode } from "./decode.ts";
import { type Encodable, encodeBencode } from "./encode.ts";

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
const bytesOf = (latin1: string) => new Uint8Array(Buffer.from(latin1, "latin1"));

test("values are encoded as in BEP 3", () => {
  const table: [value: Encodable, encoded: string][] = [
    [0, "i0e"],
    [-0, "i0e"],
    [-42, "i-42e"],
    [2 ** 53 - 1, "i9007199254740991e"],
    [2n ** 64n - 1n, "i18446744073709551615e"],
    ["", "0:"],
    ["spam", "4:spam"],
    ["ü", "2:\xc3\xbc"],
    [Uint8Array.of(0, 255), "2:\0\xff"],
    [[], "le"],
    [["a", 1, ["b"]], "l1:ai1el1:bee"],
    [{}, "de"],
    [{ b: 1, a: { d: 2, c: [] }, none: undefined }, "d1:ad1:cle1:di2ee1:bi1ee"],
    [
      new Map<string, Encodable>([
        ["peers6", ""],
        ["peers", ""],
        ["min interval", 1],
      ]),
      "d12:min intervali1e5:peers0:6:peers60:e",
    ],
    [{ "\u{10000}": 1, "\uffff": 2 }, "d3:\xef\xbf\xbfi2e4:\xf0\x90\x80\x80i1ee"], // by bytes, not by UTF-16
  ];
  for (const [value, encoded] of table) assert.equal(text(encodeBencode(value)), encoded);
  for (const value of [0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
    assert.throws(() => encodeBencode(value), RangeError);
  }
});

test("bencode decodes to values", () => {
  const table: [encoded: string, value: Bencode][] = [
    ["i0e", 0],
    ["i-42e", -42],
    ["i9007199254740991e", 2 ** 53 - 1],
    ["i9007199254740992e", 2n ** 53n],
    ["i-18446744073709551616e", -(2n ** 64n)],
    ["0:", new Uint8Array(0)],
    ["3:i1e", bytesOf("i1e")],
    ["le", []],
    [
      "d1:b0:1:ai1ee",
      new Map<string, Bencode>([
        ["b", new Uint8Array(0)],
        ["a", 1],
      ]),
    ],
    ["d2:\x80\x9flee", new Map([["\x80\x9f", []]])],
    [
      "d9:__proto__i1e11:constructori2ee",
      new Map([
        ["__proto__", 1],
        ["constructor", 2],
      ]),
    ],
  ];
  for (const [encoded, value] of table) assert.deepEqual(decodeBencode(bytesOf(encoded)), value, encoded);
});

test("an error names the first wrong byte", () => {
  const table: [encoded: string, message: string, limits?: DecodeLimits][] = [
    ["", "unexpected end at byte 0"],
    ["x", "expected a value at byte 0"],
    ["e", "expected a value at byte 0"],
    ["-1:a", "expected a value at byte 0"],
    ["i", "unexpected end at byte 1"],
    ["ie", "expected a digit at byte 1"],
    ["i-e", "expected a digit at byte 2"],
    ["i1", "unexpected end at byte 2"],
    ["i1.0e", 'expected "e" at byte 2'],
    ["i01e", "integer not in its shortest form at byte 1"],
    ["i-0e", "integer not in its shortest form at byte 1"],
    ["i-01e", "integer not in its shortest form at byte 1"],
    [`i${"9".repeat(41)}e`, "integer too long at byte 1"],
    ["1", "unexpected end at byte 1"],
    ["1a", 'expected ":" at byte 1'],
    ["01:a", "integer not in its shortest form at byte 0"],
    ["2:a", "string longer than the data at byte 0"],
    ["99999999999999999999:a", "string longer than the data at byte 0"],
    ["l", "unexpected end at byte 1"],
    ["li1e", "unexpected end at byte 4"],
    ["d1:ae", "expected a value at byte 4"],
    ["di1ei2ee", "expected a value at byte 1"],
    ["d1:ai1e1:ai2ee", "repeated key at byte 7"],
    ["d1:bi1e1:ai2ee", "unsorted key at byte 7", { sortedKeys: true }],
    ["i1ei2e", "unexpected data after the value at byte 3"],
    ["le\0", "unexpected data after the value at byte 2"],
    ["llee", "nested too deep at byte 1", { maxDepth: 1 }],
    ["l".repeat(100_000), "nested too deep at byte 32"],
    ["d1:a".repeat(100_000), "nested too deep at byte 128"],
    ["4:spam", "too long at byte 5", { maxLength: 5 }],
  ];
  for (const [encoded, message, limits] of table) {
    assert.throws(
      () => decodeBencode(bytesOf(encoded), limits),
      (error) => error instanceof BencodeError && error.message === message,
      `${encoded.slice(0, 40)}: ${message}`,
    );
  }
  assert.deepEqual(decodeBencode(bytesOf("ld1:ai1eee"), { maxDepth: 2 }), [new Map([["a", 1]])]);
});

const tree = fc.letrec<{ value: Bencode }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.maxSafeInteger().map((value) => value + 0 || 0), // no -0
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc
      .dictionary(
        fc.string({ unit: fc.integer({ min: 32, max: 126 }).map((code) => String.fromCharCode(code)) }),
        tie("value"),
      )
      .map((entries) => new Map(Object.entries(entries))),
  ),
})).value;

test("an encoded value decodes to itself", () => {
  fc.assert(
    fc.property(tree, (value) => {
      const encoded = encodeBencode(value as Encodable);
      assert.deepEqual(decodeBencode(encoded, { sortedKeys: true }), value);
      assert.deepEqual(encodeBencode(decodeBencode(encoded) as Encodable), encoded);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test("damaged bencode decodes or throws a BencodeError, and sorted input encodes back to itself", () => {
  fc.assert(
    fc.property(
      tree,
      fc.nat(),
      fc.integer({ min: 0, max: 255 }),
      fc.boolean(),
      (value, position, byte, cut) => {
        let encoded = encodeBencode(value as Encodable);
        const at = position % encoded.length;
        if (cut) encoded = encoded.slice(0, at);
        else encoded[at] = byte;
        let decoded: Bencode;
        try {
          decoded = decodeBencode(encoded, { sortedKeys: true });
        } catch (error) {
          assert.ok(error instanceof BencodeError);
          assert.ok(error.offset >= 0 && error.offset <= encoded.length);
          return;
        }
        if (![...encoded].some((code) => code > 127))
          assert.deepEqual(encodeBencode(decoded as Encodable), encoded);
      },
    ),
    { seed: 1, numRuns: 2000 },
  );
});
