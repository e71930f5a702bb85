import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { Program, temporaryDirectory } from "./daemon.ts";

test("a temporary directory is removed after the programs of its test have ended", async (t) => {
  let directory = "";
  let isThere: boolean | undefined;
  await t.test("starts a program", (t) => {
    directory = temporaryDirectory(t);
    const program = new Program(t, process.execPath, ["-e", "setInterval(() => undefined, 1000)"]);
    void program.ended.then(() => {
      isThere = existsSync(directory);
    });
  });
  assert.deepEqual([isThere, existsSync(directory)], [true, false]);
});
