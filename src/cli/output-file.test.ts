import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../test/support/daemon.ts";
import { writeOutput } from "./output-file.ts";

test("a file that is replaced keeps its mode, whatever the umask, and its owner if root writes it", async (t) => {
  const path = join(temporaryDirectory(t), "file");
  writeFileSync(path, "old");
  const isRoot = process.getuid?.() === 0;
  const [uid, gid] = isRoot ? [1234, 2345] : [statSync(path).uid, statSync(path).gid];
  chownSync(path, uid, gid);
  chmodSync(path, 0o664);
  const umask = process.umask(0o077);
  t.after(() => process.umask(umask));
  await writeOutput(path, "new", { mode: 0o600 });
  const found = statSync(path);
  assert.deepEqual([found.mode & 0o777, found.uid, found.gid], [0o664, uid, gid]);
  assert.equal(readFileSync(path, "utf8"), "new");
});

test("a link to a missing file stays, and the file is made", async (t) => {
  const directory = temporaryDirectory(t);
  const link = join(directory, "link");
  symlinkSync("target", link);
  await assert.rejects(writeOutput(link, "x", { isNew: true }), /link: the file exists/);
  await writeOutput(link, "new", { mode: 0o600 });
  assert.ok(lstatSync(link).isSymbolicLink());
  const target = join(directory, "target");
  assert.deepEqual([readFileSync(target, "utf8"), statSync(target).mode & 0o777], ["new", 0o600]);
  assert.deepEqual(readdirSync(directory), ["link", "target"]);
});

test("standard output takes the bytes, whether it is a file, a pipe or a socket", async (t) => {
  const content = Uint8Array.of(1, 0xff, 2);
  const write = process.stdout.write.bind(process.stdout);
  const written: unknown[] = [];
  t.mock.method(process.stdout, "write", (chunk: Uint8Array) => {
    if (chunk !== content) return write(chunk); // of the test runner
    written.push(chunk);
    return true;
  });
  const names = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
  for (const name of names) await writeOutput(name, content);
  assert.equal(written.length, names.length);
});
