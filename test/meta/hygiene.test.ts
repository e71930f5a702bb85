/** Small rules of the house that no linter knows. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { test } from "node:test";

const files = globSync(["{src,test,bench,examples}/**/*.ts", "dashboard/{*,src/**/*}.{ts,tsx}"])
  .filter((file) => !file.includes("node_modules/"))
  .sort();

test("files are named in kebab-case", () => {
  assert.ok(files.length > 20);
  const others = files.filter((file) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.d)?\.tsx?$/.test(basename(file)));
  assert.deepEqual(others, []);
});

test("what decides about requests is told the time", () => {
  const found = files
    .filter((file) => /^src\/(ip|bittorrent|protocol|middleware|hooks|storage|frontend)\//.test(file))
    .filter((file) => !file.endsWith(".test.ts"))
    .flatMap((file) => {
      const calls = readFileSync(file, "utf8").match(/\bDate\.now\(|\bnew Date\(\)/g) ?? [];
      return calls.map((call) => `${file}: ${call}`);
    });
  assert.deepEqual(found, []);
});

test("only the command line writes to standard output", () => {
  const found = files
    .filter((file) => /^src\/(?!cli\/|config\/generate)/.test(file) && !file.endsWith(".test.ts"))
    .filter((file) => /\bconsole\.|process\.stdout\b/.test(readFileSync(file, "utf8")));
  assert.deepEqual(found, []);
});

test("of the command line, only one file writes to the terminal", () => {
  // It escapes what foreign texts can do to one. The check of Node.js's version cannot load it.
  const exempt = ["src/cli/terminal.ts", "src/cli/check-node.ts"];
  const found = files
    .filter((file) => file.startsWith("src/cli/") && !file.endsWith(".test.ts") && !exempt.includes(file))
    .filter((file) => /\bconsole\.|process\.std(out|err)\.write\b/.test(readFileSync(file, "utf8")));
  assert.deepEqual(found, []);
});
