import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../test/support/daemon.ts";
import { parseUrl } from "./operator-client.ts";

test("a URL and the file of a token", (t) => {
  const file = join(temporaryDirectory(t), "token");
  writeFileSync(file, "a-Token_1\n");
  assert.deepEqual(parseUrl("http://127.0.0.1:6880/", file), {
    url: "http://127.0.0.1:6880",
    token: "a-Token_1",
  });
  assert.deepEqual(parseUrl("https://tracker.example/admin/", undefined), {
    url: "https://tracker.example/admin",
  });
});

test("a token in a URL is refused, and not repeated", () => {
  for (const url of [
    "http://h/?token=secret",
    "http://user:secret@h/",
    "http://secret@h/",
    "http://h/#secret",
    "ftp://h/secret",
    "secret",
    "",
  ])
    assert.throws(
      () => parseUrl(url, undefined),
      ({ message }: Error) =>
        /^--url: (takes no token|expected the URL)/.test(message) && !message.includes("secret"),
      url,
    );
});

test("a file that holds no token is refused, and not shown", (t) => {
  const file = join(temporaryDirectory(t), "token");
  for (const text of ["", "\n", "secret\nsecret", "secret secret", "sécret", "token: secret"]) {
    writeFileSync(file, text);
    assert.throws(() => parseUrl("http://h", file), {
      message: `--token-file: ${file} must hold one token and nothing else`,
    });
  }
  assert.throws(() => parseUrl("http://h", `${file}s`), {
    message: `--token-file: cannot read ${file}s: no such file`,
  });
});
