import assert from "node:assert/strict";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../test/support/daemon.ts";
import { lockFile } from "./lock-file.ts";

test("a file is locked once at a time", (t) => {
  const path = join(temporaryDirectory(t), "lock");
  const lock = lockFile(path);
  assert.notEqual(lock, undefined);
  assert.equal(lockFile(path), undefined);
  lock!.close();
  lockFile(path)!.close();
});

test("a file that cannot be written is an error, not a lock", {
  skip: process.getuid?.() === 0 && "root may write every file",
}, (t) => {
  const path = join(temporaryDirectory(t), "lock");
  lockFile(path)!.close();
  chmodSync(path, 0o444);
  assert.throws(() => lockFile(path), /permission denied/);
});
