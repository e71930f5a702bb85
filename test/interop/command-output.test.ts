/** Commands whose output nobody reads, or that cannot be written. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { main } from "../support/daemon.ts";
import { createPipe } from "../support/pipe.ts";

async function run(stdout: number, ...args: string[]): Promise<{ code: number; err: string }> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", stdout, "pipe"] });
  const [[code], err] = await Promise.all([once(child, "close"), text(child.stderr!)]);
  return { code, err };
}

for (const args of [["config", "--default"], ["--help"], ["--version"], ["token", "--help"]]) {
  test(`chihaya ${args.join(" ")}: a reader that goes away is no failure`, async (t) => {
    const { reader, writer } = createPipe(t);
    closeSync(reader);
    assert.deepEqual(await run(writer, ...args), { code: 0, err: "" });
    closeSync(writer);
  });

  test(`chihaya ${args.join(" ")}: output that cannot be written is a failure`, async (t) => {
    const full = openSync("/dev/full", "w");
    t.after(() => closeSync(full));
    const { code, err } = await run(full, ...args);
    assert.match(err, /^chihaya: cannot write the output: .*no space left.*\n$/);
    assert.equal(code, 1);
  });
}
