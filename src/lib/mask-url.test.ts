import assert from "node:assert/strict";
import { test } from "node:test";
import { maskUrl } from "./mask-url.ts";

for (const [text, expected] of [
  ["https://h/list.txt?token=a@b", "https://h/list.txt?********"],
  ["https://h/list.txt#secret", "https://h/list.txt#********"],
  ["HTTPS://user:pass@h/x?y", "HTTPS://********@h/x?********"],
  ["http://h:bad port/x?y", "http://h:bad port/x?********"],
  ["redis://:p/w?x@h:6379/0", "redis://********@h:6379/0"],
  ["https://h/@scope/list", "https://h/@scope/list"],
  ["/etc/list?.txt", "/etc/list?.txt"],
  ["TR4100", "TR4100"],
] as const) {
  test(`masks ${text}`, () => assert.equal(maskUrl(text), expected));
}
