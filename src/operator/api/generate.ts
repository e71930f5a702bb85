/**
 * Writes `docs/openapi.json`, the description of the admin API; with --check, says whether it is out of date (exit code 1).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createEndpoints, type EndpointDeps } from "./index.ts";
import { describeApi } from "./open-api.ts";

const name = "docs/openapi.json";
const path = new URL(`../../../${name}`, import.meta.url);
// Only the descriptions are read, so nothing of what the endpoints need is there.
const endpoints = createEndpoints({} as EndpointDeps);
const text = `${JSON.stringify(describeApi(endpoints, "1"), undefined, 2)}\n`;
if (!process.argv.includes("--check")) {
  writeFileSync(path, text);
} else if (readFileSync(path, "utf8") !== text) {
  process.stderr.write(`${name} is out of date; run "npm run gen"\n`);
  process.exitCode = 1;
}
