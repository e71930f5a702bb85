import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../test/support/daemon.ts";
import { createBeside, stampOf } from "./replace-file.ts";

test("a replacement takes the place of the file when it is complete", async (t) => {
  const folder = temporaryDirectory(t);
  const path = join(folder, "file");
  writeFileSync(path, "old");
  const before = await stampOf(path);
  const replacement = await createBeside(path, 0o600);
  await replacement.file.writeFile("new");
  await replacement.finish();
  assert.equal(readFileSync(path, "utf8"), "old");
  assert.equal(await stampOf(path), before);
  await replacement.replace();
  assert.equal(readFileSync(path, "utf8"), "new");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.notEqual(await stampOf(path), before);
  assert.deepEqual(readdirSync(folder), ["file"]);
});

test("a discarded replacement leaves nothing, and what a crash has left is replaced", async (t) => {
  const folder = temporaryDirectory(t);
  const path = join(folder, "file");
  await (await createBeside(path, 0o600)).file.close();
  assert.deepEqual(readdirSync(folder), [".file.chihaya-tmp"]);
  const replacement = await createBeside(path, 0o600);
  await replacement.discard();
  await replacement.discard();
  assert.deepEqual(readdirSync(folder), []);
  assert.equal(await stampOf(path), undefined);
});
