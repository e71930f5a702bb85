/** Files that follow from other files are what `npm run gen` would write. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

test("the description of the admin API is up to date", () => {
  const { status, stderr } = spawnSync(process.execPath, ["src/operator/api/generate.ts", "--check"], {
    encoding: "utf8",
  });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
});

test("the dashboard for Grafana is up to date", () => {
  const { status, stderr } = spawnSync(process.execPath, ["deploy/grafana/generate.ts", "--check"], {
    encoding: "utf8",
  });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
});

test("the built dashboard is up to date", () => {
  const { status, stderr } = spawnSync(process.execPath, ["dashboard/build.ts", "--check"], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr); // on a busy machine, vite writes there which plugins were slow
});

test("example, schema and reference of the configuration are up to date", () => {
  const { status, stderr } = spawnSync(process.execPath, ["src/config/generate.ts", "--check"], {
    encoding: "utf8",
  });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
});
