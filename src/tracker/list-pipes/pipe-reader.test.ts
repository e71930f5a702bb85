import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../../test/support/daemon.ts";
import { LineSplitter, PipeReader } from "./pipe-reader.ts";

test("lines arrive whole, however they are cut, and long ones in bounded memory", () => {
  for (const size of [1, 3, 7, 1000]) {
    const lines: string[] = [];
    const splitter = new LineSplitter((line) => lines.push(line));
    const text = Buffer.from(`one\n\ntwo\r\n${"x".repeat(10_000)}\nlast\nnot yet`);
    for (let at = 0; at < text.length; at += size) splitter.add(text.subarray(at, at + size));
    assert.deepEqual(lines, ["one", "", "two\r", "x".repeat(256), "last"]);
  }
});

test("a missing pipe is created for its owner only, and read from several writers", async (t) => {
  const path = join(temporaryDirectory(t), "a pipe");
  const lines: string[] = [];
  let wake: (() => void) | undefined;
  const reader = await PipeReader.open(path, (line) => {
    lines.push(line);
    wake?.();
  });
  t.after(() => reader.close());
  assert.ok(lstatSync(path).isFIFO());
  assert.equal(lstatSync(path).mode & 0o777, 0o600);
  const keepAlive = setInterval(() => undefined, 1000); // a pipe alone keeps no process alive
  t.after(() => clearInterval(keepAlive));
  for (let n = 1; n <= 3; n++) {
    execFileSync("sh", ["-c", `echo ${n} > "$0"`, path]);
    while (lines.length < n) await new Promise<void>((resolve) => (wake = resolve));
  }
  assert.deepEqual(lines, ["1", "2", "3"]);
});

test("another file under the name of the pipe is refused, and stays", async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "file");
  const link = join(directory, "link");
  writeFileSync(file, "precious");
  symlinkSync(file, link);
  for (const path of [file, link, directory])
    await assert.rejects(
      PipeReader.open(path, () => undefined),
      /is no named pipe; remove the file/,
    );
  await assert.rejects(
    PipeReader.open(join(directory, "missing", "pipe"), () => undefined),
    /cannot create the named pipe .*missing/,
  );
  assert.equal(lstatSync(file).size, 8);
});
