/**
 * Ends the process if Node.js is too old. Import this module for its effect, and before all others: an old Node.js cannot
 * load the other modules, and would print an error of its own.
 */
import { readFileSync } from "node:fs";
import { ExitCode } from "./command.ts";

const { engines } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  engines: { node: string };
};
const least = engines.node.replace(">=", "");
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const [leastMajor = 0, leastMinor = 0] = least.split(".").map(Number);
if (major < leastMajor || (major === leastMajor && minor < leastMinor)) {
  process.stderr.write(`chihaya needs Node.js ${least} or newer, this is v${process.versions.node}\n`);
  process.exit(ExitCode.config);
}
