import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryDirectory } from "../../../test/support/daemon.ts";
import { changeFile } from "./list-file.ts";

const readLine = (line: string) => /^\S+/.exec(line.trim())?.[0];

function file(t: TestContext, content: string): string {
  const path = join(temporaryDirectory(t), "list.txt");
  writeFileSync(path, content, "latin1");
  return path;
}

const sets = (added: string[], removed: string[] = []) => ({
  added: new Set(added),
  removed: new Set(removed),
  readLine,
});

for (const [what, before, added, removed, after] of [
  ["an entry is appended", "# a\nx\n", ["y"], [], "# a\nx\ny\n"],
  ["an unfinished line is finished", "x", ["y"], [], "x\ny\n"],
  ["what is there is not added again", "x comment\n", ["x"], [], "x comment\n"],
  ["a comment is not an entry", "# x\n; x\n", ["x"], [], "# x\n; x\nx\n"],
  ["an entry is removed, with its repetitions", "x\n# x\ny\nx comment\n", [], ["x"], "# x\ny\n"],
  ["line ends stay", "x\r\ny\r\n", ["z"], ["x"], "y\r\nz\n"],
  [
    "a byte order mark is no part of an entry",
    "\u00ef\u00bb\u00bfx\ny\n",
    ["x"],
    [],
    "\u00ef\u00bb\u00bfx\ny\n",
  ],
  ["bytes that are not ASCII stay", "x caf\u00c3\u00a9\n", ["y"], [], "x caf\u00c3\u00a9\ny\n"],
  ["the last entry leaves a comment", "x\n", [], ["x"], "# no entries\n"],
  ["add and remove", "x\ny\n", ["z"], ["y"], "x\nz\n"],
] as const) {
  test(what, async (t) => {
    const path = file(t, before);
    await changeFile(path, sets([...added], [...removed]));
    assert.equal(readFileSync(path, "latin1"), after);
    assert.deepEqual(readdirSync(join(path, "..")), ["list.txt"]);
  });
}

test("a long list is copied whole, and keeps its mode", async (t) => {
  const lines = Array.from({ length: 50_000 }, (_, n) => `entry${n}\n`);
  const path = file(t, lines.join(""));
  chmodSync(path, 0o640);
  assert.equal(await changeFile(path, sets(["last"], ["entry777", "entry49999"])), 3);
  lines[777] = lines[49_999] = "";
  assert.equal(readFileSync(path, "utf8"), `${lines.join("")}last\n`);
  assert.equal(statSync(path).mode & 0o777, 0o640);
});

test("changes at the same time are all in the file; a symbolic link stays one", async (t) => {
  const path = file(t, "# a list\n");
  mkdirSync(join(path, "../in"));
  const link = join(path, "../in/link");
  symlinkSync(path, link);
  await Promise.all(Array.from({ length: 20 }, (_, n) => changeFile(link, sets([`e${n}`]))));
  assert.equal(readFileSync(path, "utf8").split("\n").length, 22);
  assert.deepEqual(readdirSync(join(path, "../in")), ["link"]);
});

test("a file that cannot be changed is left alone", async (t) => {
  const array = file(t, '  ["x"]');
  await assert.rejects(changeFile(array, sets(["y"])), /is a JSON array, which the API does not change/);
  assert.equal(readFileSync(array, "utf8"), '  ["x"]');
  assert.deepEqual(readdirSync(join(array, "..")), ["list.txt"]);
  await assert.rejects(changeFile(join(array, "../none"), sets(["y"])), /ENOENT|no such file/);
});

test("a file of another program beside the list is left alone", async (t) => {
  const path = file(t, "x\n");
  writeFileSync(`${path}.tmp`, "not ours");
  await changeFile(path, sets(["y"]));
  assert.equal(readFileSync(`${path}.tmp`, "utf8"), "not ours");
});
