import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryDirectory } from "../../../test/support/daemon.ts";
import { StateFile, type StateRecord } from "./state-file.ts";

async function saved(t: TestContext): Promise<{ path: string; file: StateFile }> {
  const path = join(temporaryDirectory(t), "state");
  const file = createFile(path, [{ network: "192.0.2.0/24" }]);
  await file.save();
  return { path, file };
}

function createFile(path: string, records: StateRecord[] = []): StateFile {
  return new StateFile(
    path,
    () => records,
    () => undefined,
  );
}

test("a file that another program replaces during the start is not overwritten", async (t) => {
  const { path } = await saved(t);
  const other = readFileSync(path, "utf8").replace("192", "198");
  const file = createFile(path);
  await file.read(() => {
    writeFileSync(`${path}.other`, other);
    renameSync(`${path}.other`, path);
    return undefined;
  });
  await assert.rejects(file.save(), /was changed by another program; restart the tracker to load it/);
  assert.equal(readFileSync(path, "utf8"), other);
});

test("a named pipe in the place of the file is an error, and nothing waits for a writer", async (t) => {
  const { path, file } = await saved(t);
  rmSync(path);
  execFileSync("mkfifo", [path]);
  await assert.rejects(file.save(), /^Error: cannot read \/.*: is a named pipe, not a file$/);
});

test("a file of another program beside the state is left alone", async (t) => {
  const { path, file } = await saved(t);
  writeFileSync(`${path}.tmp`, "not ours");
  await createFile(path).read(() => undefined);
  await file.save();
  assert.equal(readFileSync(`${path}.tmp`, "utf8"), "not ours");
});
