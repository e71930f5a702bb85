import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { runTestFiles, type TestFilesResult } from "./test-files.ts";
import { untilRefused } from "./until-refused.ts";

const head = `
  import { spawn } from "node:child_process";
  import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
  import { createServer } from "node:net";
  import { tmpdir } from "node:os";
  import { join } from "node:path";
  import { after, describe, test } from "node:test";
`;

/** Starts a program that listens, and prints its port and a directory that nothing removes. */
const leavesThings = `
  const listen = "require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })";
  test("leaves things behind", async () => {
    const child = spawn(process.execPath, ["-e", listen], { stdio: ["ignore", "pipe", "ignore"] });
    const [port] = await new Promise((resolve) => child.stdout.once("data", (data) => resolve([Number(data)])));
    console.log(JSON.stringify({ port, directory: mkdtempSync(join(tmpdir(), "left-")) }));
  });
`;

function writeTests(t: TestContext, files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), head + text);
  return directory;
}

async function run(
  directory: string,
  limitMs: number,
  runAgain = 0,
): Promise<TestFilesResult & { output: string }> {
  let output = "";
  const write = (text: string) => {
    output += text;
  };
  const files = readdirSync(directory).sort();
  const paths = files.map((file) => join(directory, file));
  const result = await runTestFiles(paths, { concurrency: 2, limitMs, runAgain, flags: [], write });
  const shorten = (lines: readonly string[]) => lines.map((line) => line.replaceAll(`${directory}/`, ""));
  const { failures, failuresAtFirst } = result;
  return { ...result, failures: shorten(failures), failuresAtFirst: shorten(failuresAtFirst), output };
}

function thingsLeft(output: string): { port: number; directory: string } {
  return JSON.parse(/^\{"port".*\}$/m.exec(output)![0]);
}

test("tests are counted, and failures name their place", async (t) => {
  const directory = writeTests(t, {
    "counts.mjs": `
      describe("a suite", () => {
        test("passes", () => {});
        test("is skipped", { skip: "a reason" }, () => {});
        test("is to do", { todo: true }, () => { throw new Error("not yet"); });
      });
      test("fails", () => { throw new Error("as it should"); });`,
    "dies.mjs": `test("passes", () => {}); setImmediate(() => process.kill(process.pid, "SIGKILL"));`,
    "hook.mjs": `describe("a suite", () => { after(() => { throw new Error("hook"); }); test("passes", () => {}); });`,
    "syntax.mjs": "this is no program",
  });
  const { passed, failed, skipped, failures, output } = await run(directory, 600_000);
  assert.equal(failed, 4, output);
  assert.equal(skipped, 2);
  assert.ok(passed >= 2); // the test in the file that dies may be reported or not
  const lines = failures.sort().map((line) => line.replace(/:\d+:\d+:/, ":"));
  assert.deepEqual(
    lines.map((line) => line.replace(/, in: .*/, "")),
    ["counts.mjs: fails", "dies.mjs: ended with SIGKILL", "hook.mjs: a suite", "syntax.mjs: ended with 1"],
  );
  assert.match(output, /as it should/);
});

describe("files that failed run again, if they are few", () => {
  const files = {
    "always.mjs": `test("fails", () => { throw new Error("always"); });`,
    "once.mjs": `
      const mark = import.meta.filename + ".mark";
      test("passes", () => {});
      test("fails at first", () => {
        if (!existsSync(mark)) { writeFileSync(mark, ""); throw new Error("at first"); }
      });`,
    "passes.mjs": `test("passes", () => {});`,
  };

  test("what passes then counts as passed, and is named", async (t) => {
    const { passed, failed, failures, failuresAtFirst, output } = await run(writeTests(t, files), 600_000, 2);
    assert.deepEqual([passed, failed], [3, 1], output);
    assert.deepEqual([failures.length, failuresAtFirst.length], [1, 1]);
    assert.match(failures[0]!, /^always\.mjs:\S+ fails$/);
    assert.match(failuresAtFirst[0]!, /^once\.mjs:\S+ fails at first$/);
    assert.match(output, /Error: at first/);
    assert.equal(output.match(/^# .*passes\.mjs/gm)?.length, 1);
  });

  test("of too many, none", async (t) => {
    const { passed, failed, failures, failuresAtFirst } = await run(writeTests(t, files), 600_000, 1);
    assert.deepEqual([passed, failed, failures.length, failuresAtFirst.length], [2, 2, 2, 0]);
  });
});

const hanging = {
  "a server that listens": `createServer().listen(0, "127.0.0.1"); test("passes", () => {});`,
  "a test that waits": `test("waits", () => new Promise(() => setInterval(() => {}, 1000)));`,
  "a loop, and SIGTERM is ignored": `process.on("SIGTERM", () => {}); test("loops", () => { for (;;); });`,
  "a program that goes on": leavesThings,
};
for (const [what, text] of Object.entries(hanging)) {
  test(`a file that hangs fails with its name: ${what}`, async (t) => {
    const { failed, failures } = await run(writeTests(t, { "hangs.mjs": text }), 1000);
    assert.equal(failed, 1);
    assert.match(failures[0]!, /^hangs\.mjs: still running after 1 s/);
  });
}

test("processes and directories of a failed test are removed at the end of its file", async (t) => {
  const text = `${leavesThings} test("fails", () => { process.exit(1); });`;
  const { failed, output } = await run(writeTests(t, { "leaves.mjs": text }), 600_000);
  assert.equal(failed, 1);
  const { port, directory } = thingsLeft(output);
  await untilRefused(port);
  assert.ok(!existsSync(directory));
});

const signals = [
  ["the runner", "SIGINT", 130],
  ["the runner", "SIGTERM", 143],
  ["the runner", "SIGHUP", 129],
  ["npm", "SIGINT"],
  ["npm", "SIGTERM"],
] as const;
for (const [what, signal, code] of signals) {
  test(`${signal} to ${what} ends the run and all that it has started`, async (t) => {
    const directory = writeTests(t, { "leaves.mjs": leavesThings });
    const [command, args] =
      what === "npm" ? ["npm", ["test", "--silent", "--"]] : [process.execPath, ["test/run.ts"]];
    const child = spawn(command, [...args, join(directory, "leaves.mjs")], {
      cwd: join(import.meta.dirname, "../.."),
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(child, "exit");
    let output = "";
    const left = await new Promise<{ port: number; directory: string }>((resolve) => {
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        if (/^\{"port".*\}$/m.test(output)) resolve(thingsLeft(output));
      });
    });
    // Ctrl-C reaches the runner twice: from the terminal and from npm
    child.kill(signal);
    child.kill(signal);
    const [status] = await ended;
    if (code !== undefined) assert.equal(status, code); // npm has its own exit code
    await untilRefused(left.port);
    while (what === "npm" && existsSync(left.directory))
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(!existsSync(left.directory));
  });
}
