/**
 * Writes the files that are generated from the schema. With --check, lists the files that are out of date, and exits with 1.
 *
 * Usage: npm run gen [-- --check]
 */
import { readFileSync, writeFileSync } from "node:fs";
import { renderHookPages } from "./hook-pages.ts";
import { renderJsonSchema } from "./json-schema.ts";
import { renderReference } from "./reference.ts";
import { renderExample } from "./render.ts";

const files: Record<string, string> = {
  "config.schema.json": renderJsonSchema(),
  "chihaya.example.yaml": renderExample(),
  "docs/configuration.md": renderReference(),
  ...renderHookPages(),
};

for (const [name, text] of Object.entries(files)) {
  const path = new URL(`../../${name}`, import.meta.url);
  if (!process.argv.includes("--check")) {
    writeFileSync(path, text);
  } else if (read(path) !== text) {
    process.stderr.write(`${name} is out of date; run "npm run gen"\n`);
    process.exitCode = 1;
  }
}

function read(path: URL): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
