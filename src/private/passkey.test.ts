import assert from "node:assert/strict";
import { test } from "node:test";
import { createPasskey, isPasskey } from "./passkey.ts";

test("a passkey has 32 letters and digits", () => {
  assert.ok(isPasskey("0123456789abcdefghijKLMNOPQRSTUV"));
  assert.ok(isPasskey(createPasskey()));
  for (const text of ["", "0123456789abcdef", "0123456789abcdef0123456789abcde-", `${"a".repeat(33)}`])
    assert.equal(isPasskey(text), false, text);
});
