import assert from "node:assert/strict";
import { test } from "node:test";
import { legible, legibleLines } from "./legible.ts";

for (const [name, text, expected] of [
  ["an escape sequence", "\u001b]0;owned\u0007", "\\u001b]0;owned\\u0007"],
  ["C1", "\u009b31m", "\\u009b31m"],
  ["line feeds", "no\n42 passed\r", "no\\u000a42 passed\\u000d"],
  ["another direction", "\u202etxt\u2066\u200f\u061c", "\\u202etxt\\u2066\\u200f\\u061c"],
  ["nothing to see", "a\u200bb\ufeff\u{e0041}", "a\\u200bb\\ufeff\\udb40\\udc41"],
  ["any language", "Größe 種子 🌱 👩‍🌾", "Größe 種子 🌱 👩‍🌾"],
] as const) {
  test(`${name} in a foreign text`, () => assert.equal(legible(text), expected));
}

test("line feeds and tabs of our own texts stay, and JSON stays valid", () => {
  assert.equal(legibleLines("a\n\tb\r\u001b"), "a\n\tb\\u000d\\u001b");
  const value = { text: "\u009b\u202e\n\u{e0041}" };
  assert.deepEqual(JSON.parse(legibleLines(JSON.stringify(value, null, 2))), value);
});
