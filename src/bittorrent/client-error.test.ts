import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientError, internalError } from "./client-error.ts";

test("a client error has a text, a code and a time to retry", () => {
  const plain = new ClientError("not today");
  assert.ok(plain instanceof Error);
  assert.deepEqual([plain.message, plain.code, plain.retryIn], ["not today", "hook", undefined]);
  const full = new ClientError("invalid port", "invalid-port", { retryIn: "never" });
  assert.deepEqual([full.code, full.retryIn], ["invalid-port", "never"]);
  assert.deepEqual([internalError.message, internalError.code], ["internal server error", "internal"]);
});

test("a client error has no stack, other errors keep theirs", () => {
  assert.equal(new ClientError("not today").stack?.includes("\n"), false);
  assert.ok(new Error("other").stack?.includes("\n"));
});
