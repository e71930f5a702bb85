import assert from "node:assert/strict";
import { test } from "node:test";
import { exactNumber, toExactJson } from "./exact-json.ts";

test("bigints are numbers with all their digits", () => {
  const big = 2n ** 63n - 1n;
  assert.equal(toExactJson({ a: [big, -1n], b: 1 }), '{"a":[9223372036854775807,-1],"b":1}');
  assert.equal(JSON.stringify([exactNumber(big)]), "[9223372036854775807]");
});
