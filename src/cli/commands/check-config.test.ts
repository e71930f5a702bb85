import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { check } from "./check-config.ts";

const directory = "test/fixtures/config/broken";

function chihaya(...args: string[]) {
  return run(process.execPath, "src/cli/main.ts", ...args);
}

function run(program: string, ...args: string[]) {
  const env = { PATH: process.env.PATH };
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", env });
  return { status, stdout, stderr };
}

test("broken files are refused with all that is wrong with them", async () => {
  const files = globSync(`${directory}/*.yaml`).sort();
  assert.equal(files.length, 11);
  for (const file of files) {
    const { output, code } = await check({ file, env: {} }, false);
    const shown = output.replaceAll(`${process.cwd()}/`, "").replaceAll(`${directory}/`, "");
    assert.equal(shown, readFileSync(file.replace(/yaml$/, "txt"), "utf8"));
    assert.equal(code, 78);
  }
});

test("check-config --json is for programs", () => {
  const file = `${directory}/duplicate-keys.yaml`;
  const { status, stdout } = chihaya("check-config", file, "--json");
  assert.equal(status, 78);
  const { ok, errors, warnings } = JSON.parse(stdout);
  assert.deepEqual([ok, errors.length, warnings], [false, 2, []]);
  assert.deepEqual(
    [errors[0].source, errors[0].line, errors[0].column, errors[0].path],
    [file, 4, 3, "http"],
  );
});

test("check-config accepts what can be used, and config prints it", () => {
  const file = "test/fixtures/config/chihaya/example_config.yaml";
  const checked = chihaya("check-config", "--config", file, "--set", "http.real_ip_header=");
  assert.equal(checked.status, 0);
  assert.match(checked.stdout, /example_config\.yaml: ok \(1 warning\)\n$/);
  const printed = chihaya("config", "--config", file);
  assert.equal(printed.status, 0);
  assert.match(printed.stdout, /^chihaya:\n {2}announce_interval: "30m"\n/);
  assert.match(printed.stderr, /^test\S*:28:18: warning: udp\.private_key: /m);
  assert.equal(chihaya("config", "--config", "/nonexistent").status, 78);
  assert.equal(chihaya("config", "--default").stdout, readFileSync("chihaya.example.yaml", "utf8"));
  assert.equal(chihaya("check-config", "a", "b").status, 2);
});

const hook = `export default { name: "some", create: () => ({ handleAnnounce() {} }) };`;
for (const [what, code, status, says] of [
  [
    "ends the process",
    "process.exit(0);",
    78,
    /ended early \(exit code 0\); a module must not end the process/,
  ],
  [
    "waits for ever",
    "await new Promise(() => {});",
    78,
    /: the import of a module never finishes: its top-level await waits for ever\n/,
  ],
  ["has a timer that goes on", `setInterval(() => {}, 1000); ${hook}`, 0, /: ok\n$/],
  ["writes", `console.log("hello"); ${hook}`, 0, /: ok\n$/],
] as const) {
  test(`check-config responds if the module of a hook ${what} when it is imported`, (t) => {
    const directory = mkdtempSync(join(tmpdir(), "chihaya-check-"));
    t.after(() => rmSync(directory, { recursive: true }));
    const module = join(directory, "module.mjs");
    writeFileSync(module, code);
    const file = join(directory, "chihaya.yaml");
    writeFileSync(file, `chihaya: {http: {}, prehooks: [{module: ${module}}]}`);
    for (const checked of [
      chihaya("check-config", file),
      run("sh", "-c", `cat ${file} | ${process.execPath} src/cli/main.ts check-config /dev/stdin`),
    ]) {
      assert.equal(checked.status, status);
      assert.match(checked.stdout, says);
      if (what === "writes") assert.equal(checked.stderr, "hello\n");
    }
    assert.equal(JSON.parse(chihaya("check-config", file, "--json").stdout).ok, status === 0);
  });
}
