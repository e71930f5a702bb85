import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientError, internalError } from "./client-error.ts";

test("a client error is text, a code and when to ask again", () => {
  const plain = new ClientError("not today");
  assert.ok(plain instanceof Error);
  assert.deepEqual([plain.message, plain.code, plain.retryIn], ["not today", "hook", undefined]);
  const full = new ClientError("invalid port", "invalid-port", { retryIn: "never" });
  assert.deepEqual([full.code, full.retryIn], ["invalid-port", "never"]);
  assert.deepEqual([internalError.message, internalError.code], ["internal server error", "internal"]);
});

test("it carries no stack of the place where it happened to be made, and other errors still do", () => {
  assert.equal(new ClientError("not today").stack?.includes("\n"), false);
  assert.ok(new Error("other").stack?.includes("\n"));
});
