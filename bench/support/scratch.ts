import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Makes a directory that is removed when this process exits. */
export function createScratchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-bench-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
