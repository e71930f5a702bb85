/**
 * Runs every test of the project and closes with one line: `N passed, N failed, N skipped`.
 *
 * Usage: npm test [-- FILE-OR-GLOB... --OPTION=VALUE...]   (default: all of src, test and examples; options are Node's)
 *        npm test -- --test-name-pattern=swarm 'src/storage/**\/*.test.ts'
 * With CHIHAYA_REQUIRE_CLIENTS=1, a test fails instead of being skipped if its BitTorrent client is not installed.
 * A file that takes longer than CHIHAYA_TEST_FILE_SECONDS (default 600) is killed and fails.
 * With CHIHAYA_RUN_AGAIN=N, up to N files that failed run once more, alone. Those that pass then are named at the end, since
 * a test that fails by chance is a fault too.
 */
import { globSync } from "node:fs";
import { join } from "node:path";
import { runTestFiles } from "./support/test-files.ts";

const args = process.argv.slice(2);
const flags = args.filter((arg) => arg.startsWith("--"));
const given = args.filter((arg) => !arg.startsWith("--"));
const patterns = given.length > 0 ? given : ["{src,test,dashboard/src}/**/*.test.ts", "examples/*/*.test.ts"];
const files = globSync(patterns).sort();
if (files.length === 0) {
  console.error(`no test file matches ${patterns.join(" ")}`);
  process.exit(2);
}

// This process kills running files and removes their directories at its exit. The handlers stay installed, because Ctrl-C
// arrives twice: from the terminal and from npm.
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)
  process.on(signal, () => process.exit(code));

const ownPackage = join(import.meta.dirname, "support/own-package.ts"); // for the examples
const { passed, failed, skipped, failures, failuresAtFirst } = await runTestFiles(files, {
  concurrency: 2,
  limitMs: Number(process.env.CHIHAYA_TEST_FILE_SECONDS ?? 600) * 1000,
  runAgain: Number(process.env.CHIHAYA_RUN_AGAIN ?? 0),
  flags: ["--import", ownPackage, ...flags],
  write: (text) => process.stdout.write(text),
});
for (const [title, lines] of [
  ["Failed at first, passed when run again", failuresAtFirst],
  ["Failed", failures],
] as const)
  if (lines.length > 0) process.stdout.write(`\n${title}:\n${lines.map((line) => `  ${line}\n`).join("")}`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`);
