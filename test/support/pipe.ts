import { execFileSync } from "node:child_process";
import { constants, openSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryDirectory } from "./daemon.ts";

/** A named pipe between two processes; this process can close either end. The reader does not block. */
export function createPipe(t: TestContext): { reader: number; writer: number } {
  const path = join(temporaryDirectory(t), "pipe");
  execFileSync("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { reader, writer: openSync(path, "w") };
}
