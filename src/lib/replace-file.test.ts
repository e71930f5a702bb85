import assert from "node:assert/strict";
import { readdirSync, readFileSync, type Stats, statSync, writeFileSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../test/support/daemon.ts";
import { createBeside, keepAccess, stampOf } from "./replace-file.ts";

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

test("a group that cannot keep the file leaves the new group no access", async () => {
  const changes: unknown[] = [];
  const takingOf = (allowed: (uid: number) => boolean) =>
    ({
      stat: async () => ({ uid: 3000, gid: 3000 }),
      async chown(uid: number) {
        if (!allowed(uid)) throw new Error("EPERM");
      },
      chmod: async (mode: number) => void changes.push(mode),
    }) as unknown as FileHandle;
  const before = { mode: 0o100640, uid: 1234, gid: 2000 } as Stats;
  for (const allowed of [() => true, (uid: number) => uid === 3000, () => false])
    await keepAccess(takingOf(allowed), before);
  await keepAccess(
    takingOf(() => false),
    { ...before, gid: 3000 } as Stats,
  );
  assert.deepEqual(changes, [0o640, 0o640, 0o600, 0o640]);
});
