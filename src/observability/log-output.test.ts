import assert from "node:assert/strict";
import { test } from "node:test";
import { LogOutput } from "./log-output.ts";

/** A file that takes so many bytes, and then fails with an error. */
class FakeFile {
  text = "";
  room = Number.POSITIVE_INFINITY;
  code = "EAGAIN";
  readonly writeSome = (bytes: Uint8Array): number => {
    const count = Math.min(this.room, bytes.length);
    if (count === 0) throw Object.assign(new Error(this.code), { code: this.code });
    this.room -= count;
    this.text += Buffer.from(bytes.subarray(0, count)).toString();
    return count;
  };
}

function setUp(): { file: FakeFile; output: LogOutput } {
  const file = new FakeFile();
  return { file, output: new LogOutput(file.writeSome) };
}

test("lines wait for a reader that stalls, and come in order when it reads again", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { file, output } = setUp();
  file.room = 6;
  for (const line of ["one\n", "two\n", "three\n"]) output.write(line);
  assert.equal(file.text, "one\ntw");
  file.room = Number.POSITIVE_INFINITY;
  t.mock.timers.tick(100);
  assert.equal(file.text, "one\ntwo\nthree\n");
  assert.equal(output.dropped, 0);
});

test("what waits is bounded; the rest is dropped and counted", () => {
  const { file, output } = setUp();
  file.room = 0;
  const line = `${"x".repeat(1023)}\n`;
  for (let i = 0; i < 2000; i++) output.write(line);
  assert.equal(output.dropped, 2000 - 1024);
  file.room = Number.POSITIVE_INFINITY;
  output.write("last\n");
  assert.equal(file.text, `${line.repeat(1024)}last\n`);
});

for (const code of ["ENOSPC", "EPIPE", "EIO", "EBADF"]) {
  test(`${code} drops and counts lines, and the log continues when it is over`, () => {
    const { file, output } = setUp();
    file.room = 6;
    file.code = code;
    for (const line of ["one\n", "two\n", "three\n"]) output.write(line);
    assert.equal(output.dropped, 2);
    file.room = Number.POSITIVE_INFINITY;
    output.write("four\n");
    assert.equal(file.text, "one\ntw\nfour\n");
    assert.equal(output.dropped, 2);
  });
}

test("a reader that goes away drops what waited for it", () => {
  const { file, output } = setUp();
  file.room = 0;
  output.write("one\n");
  output.write("two\n");
  assert.equal(output.dropped, 0);
  file.code = "EPIPE";
  output.write("three\n");
  assert.equal(output.dropped, 3);
});

test("a flush waits for the reader", () => {
  const { file, output } = setUp();
  file.room = 0;
  let attempts = 0;
  const slow = new LogOutput((bytes) => {
    attempts++;
    if (attempts === 3) file.room = bytes.length;
    return file.writeSome(bytes);
  });
  slow.write("one\n");
  assert.equal(file.text, "");
  slow.flush();
  assert.equal(file.text, "one\n");
  output.write("two\n");
  output.flush(); // gives up where nobody reads
  assert.equal(file.text, "one\n");
});

test("a flush waits for a slow reader as long as the reader goes on reading", () => {
  const file = new FakeFile();
  file.room = 0;
  let attempts = 0;
  const output = new LogOutput((bytes) => {
    if (++attempts % 30 === 0) file.room = 2;
    return file.writeSome(bytes);
  });
  const lines = Array.from({ length: 8 }, (_, i) => `${i}\n`);
  for (const line of lines) output.write(line);
  output.flush();
  assert.equal(file.text, lines.join(""));
});
