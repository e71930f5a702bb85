/** The library by itself: what it loads, and that it leaves nothing behind. */
import assert from "node:assert/strict";
import { cpSync, globSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { Program, temporaryDirectory } from "../support/daemon.ts";

const root = join(import.meta.dirname, "../..");
const done = { code: 0, signal: null };

/** Modules that `file` loads, itself and what they load included, as paths or as they are named. Types load nothing. */
function loadedBy(file: string, found: Set<string> = new Set()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  if (!file.startsWith("/")) return found;
  const statement = /^(?:import|export)\b(?! type\b)[^;"']*\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"/gm;
  for (const [, from, bare] of readFileSync(file, "utf8").matchAll(statement)) {
    const specifier = (from ?? bare)!;
    loadedBy(specifier.startsWith(".") ? resolve(dirname(file), specifier) : specifier, found);
  }
  return found;
}

test("the library loads nothing but Node's own modules, and no configuration", () => {
  const loaded = [...loadedBy(join(root, "src/index.ts"))];
  assert.ok(loaded.length > 40);
  const outside = loaded.filter((name) => !name.startsWith("/") && !name.startsWith("node:"));
  assert.deepEqual(outside, []);
  const rooms = new Set(loaded.map((name) => relative(join(root, "src"), name).split("/")[0]));
  for (const room of ["cli", "client", "config"]) assert.ok(!rooms.has(room), room);
});

test("nor does it when it runs, with the built-in hooks", async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "main.mjs");
  const modules = ["index", "hooks/index"].map((name) => JSON.stringify(join(root, `src/${name}.ts`)));
  writeFileSync(
    file,
    `import { registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
    for (const name of [${modules}]) await import(name);
    console.log(JSON.stringify(loaded));`,
  );
  const program = new Program(t, process.execPath, [file]);
  assert.deepEqual(await program.ended, done, program.stderr);
  const loaded: string[] = JSON.parse(program.stdout);
  assert.ok(loaded.length > 40);
  const own = pathToFileURL(join(root, "src/")).href;
  assert.deepEqual(
    loaded.filter((url) => !url.startsWith(own) && !url.startsWith("node:")),
    [],
  );
});

test("what loads a configuration is in a process of its own, and never in the tracker's memory", () => {
  for (const tracker of ["cli/commands/serve.ts", "process/daemon.ts", "process/worker.ts"]) {
    const loaded = loadedBy(join(root, "src", tracker));
    assert.ok(!loaded.has("yaml"), `${tracker} loads yaml`);
  }
  const loaded = loadedBy(join(root, "src/config/load-process.ts"));
  assert.ok(loaded.has("yaml"));
});

test("two trackers run in one process, say nothing, and let it end", async (t) => {
  const program = new Program(t, process.execPath, [join(root, "test/fixtures/embedding.ts")]);
  assert.deepEqual(await program.ended, done, program.stderr);
  const [first, second, ...rest] = program.stdout.split("\n");
  assert.match(first!, /8:intervali600e/);
  assert.match(second!, /^d14:failure reason21:internal server error/);
  assert.deepEqual(rest, ["stopped", ""]);
  assert.equal(program.stderr, "");
});

test("the package that is built runs, types included, from any directory", async (t) => {
  const directory = temporaryDirectory(t);
  const dist = join(directory, "dist");
  const tsc = new Program(t, process.execPath, [
    join(root, "node_modules/typescript/bin/tsc"),
    ...["-p", join(root, "tsconfig.build.json"), "--outDir", dist],
  ]);
  assert.deepEqual(await tsc.ended, done, tsc.stdout);
  cpSync(join(root, "package.json"), join(directory, "package.json"));
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  const manifest = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));

  const files = globSync("**/*", { cwd: dist });
  assert.deepEqual(
    files.filter((file) => file.includes(".test.")),
    [],
  );
  for (const { types, default: file } of [manifest.exports["."], manifest.exports["./storage/conformance"]]) {
    assert.ok(files.includes(relative("dist", types)), types);
    assert.ok(files.includes(relative("dist", file)), file);
  }
  assert.match(readFileSync(join(dist, "cli/main.js"), "utf8"), /^#!\/usr\/bin\/env node\n/);
  const version = new Program(t, process.execPath, [join(directory, manifest.bin.chihaya), "--version"]);
  assert.deepEqual(await version.ended, done, version.stderr);
  assert.equal(version.stdout, `${manifest.version}\n`);
  const check = new Program(t, process.execPath, [join(directory, manifest.bin.chihaya), "check-config"]);
  assert.deepEqual(await check.ended, done, check.stderr);
});
