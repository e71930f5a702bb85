/**
 * Runs every test of the project and closes with one line: `N passed, N failed, N skipped`.
 *
 * Usage: npm test [-- FILE-OR-GLOB...]   (default: all of src, test and examples)
 * With CHIHAYA_REQUIRE_CLIENTS=1 a missing BitTorrent client is a failure instead of a skip.
 */
import { globSync } from "node:fs";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const patterns =
  process.argv.length > 2 ? process.argv.slice(2) : ["{src,test}/**/*.test.ts", "examples/*/*.test.ts"];
const files = globSync(patterns).sort();
if (files.length === 0) {
  console.error(`no test file matches ${patterns.join(" ")}`);
  process.exit(2);
}

const count = { passed: 0, failed: 0, skipped: 0 };
const execArgv = ["--import", join(import.meta.dirname, "support/own-package.ts")]; // for the examples
const stream = run({ files, concurrency: 2, execArgv });
stream.on("test:summary", (summary) => {
  if (summary.file !== undefined) return; // one per file as well as one for the whole run
  const { tests, passed, skipped, todo } = summary.counts;
  count.passed = passed;
  count.skipped = skipped + todo;
  count.failed = tests - passed - count.skipped;
});
const report = stream.compose(new spec());
report.pipe(process.stdout);
report.on("end", () => {
  process.exitCode = count.failed > 0 || count.passed === 0 ? 1 : 0;
  process.stdout.write(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`);
});
