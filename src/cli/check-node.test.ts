import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

for (const [version, isOld] of [
  ["20.20.2", true],
  ["22.12.0", true],
  ["22.13.0", false],
  ["24.0.0", false],
] as const) {
  test(`on Node.js ${version} it ${isOld ? "says what it needs" : "runs"}`, () => {
    const versions = `{...process.versions, node: "${version}"}`;
    const pretend = `Object.defineProperty(process, "versions", {value: ${versions}})`;
    const { status, stderr } = spawnSync(
      process.execPath,
      ["--import", `data:text/javascript,${encodeURIComponent(pretend)}`, "src/cli/main.ts", "--version"],
      { encoding: "utf8" },
    );
    const said = `chihaya needs Node.js 22.13 or newer, this is v${version}\n`;
    assert.deepEqual([status, stderr], isOld ? [78, said] : [0, ""]);
  });
}
