/** `./chihaya`, the command of a clone. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../support/daemon.ts";

const root = join(import.meta.dirname, "../..");
const command = join(root, "chihaya");

function run(file: string, args: readonly string[], cwd: string) {
  const { status, stdout, stderr } = spawnSync(file, args, { cwd, encoding: "utf8" });
  return { status, stdout, stderr };
}

test("runs in the caller's directory, and prints nothing but the output of the command", (t) => {
  const directory = temporaryDirectory(t);
  for (const [file, name] of [
    [command, "absolute.json"],
    [relative(directory, command), "relative.json"],
  ] as const) {
    const made = run(file, ["token", "key", name, "--kid", "1"], directory);
    assert.deepEqual(made, { status: 0, stdout: `${name}: key 1 for RS256\n`, stderr: "" });
    assert.ok(existsSync(join(directory, name)));
  }
  const { stdout } = run(command, ["config", "--default"], directory);
  assert.equal(stdout, readFileSync(join(root, "chihaya.example.yaml"), "utf8"));
});

test("runs through a link, and a link to that", (t) => {
  const directory = temporaryDirectory(t);
  symlinkSync(command, join(directory, "absolute"));
  symlinkSync("absolute", join(directory, "relative"));
  assert.equal(run("./relative", ["--version"], directory).status, 0);
});

test("says what to do where the dependencies are missing", (t) => {
  const directory = temporaryDirectory(t);
  copyFileSync(command, join(directory, "chihaya"));
  const { status, stderr } = run("./chihaya", ["--version"], directory);
  assert.equal(status, 78);
  assert.match(stderr, /^chihaya: the dependencies are not installed; run "npm ci" in \/\S+\n$/);
  assert.ok(stderr.includes(dirname(join(directory, "x"))));
});

test("says which Node.js it needs where the dependencies have none", (t) => {
  const directory = temporaryDirectory(t);
  copyFileSync(command, join(directory, "chihaya"));
  mkdirSync(join(directory, "node_modules"));
  writeFileSync(join(directory, "node"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  const { status, stderr } = run("env", [`PATH=${directory}:/usr/bin:/bin`, "./chihaya"], directory);
  assert.equal(status, 78);
  assert.match(stderr, /^chihaya: needs Node\.js 22\.18 or newer; .*\n$/);
});

test("a private key that is made in the clone is ignored by git", (t) => {
  if (!existsSync(join(root, ".git"))) return t.skip("not a clone");
  const names = ["registry.json", "key", "issuer.jwk", "deploy/issuer.jwk", "chihaya.yaml", "signed.torrent"];
  const { stdout, error } = spawnSync("git", ["check-ignore", ...names], { cwd: root, encoding: "utf8" });
  if (error) return t.skip("git is not installed");
  assert.deepEqual(stdout.trim().split("\n"), names);
  // ... and nothing that belongs to the project is.
  const tracked = ["ls-files", "--cached", "--ignored", "--exclude-standard"];
  assert.equal(spawnSync("git", tracked, { cwd: root, encoding: "utf8" }).stdout, "");
});

test("npm does not warn about the Node.js version that the README asks for", () => {
  const { engines, devEngines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  // npm compares the first with the Node.js of those who install the package, the second with that of a clone.
  assert.equal(engines.node, ">=22.13");
  assert.deepEqual(devEngines.runtime, { name: "node", version: ">=20", onFail: "error" });
  assert.match(readFileSync(join(root, "README.md"), "utf8"), /Node\.js 20 or newer/);
});
