import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { explainSystemError } from "../lib/file-errors.ts";
import type { Environment } from "./environment.ts";

/** Bytes of a configuration file at most. */
const maxFileSize = 1 << 20;

/** Replaces `$NAME` and `${NAME}` in a path, as Chihaya does; a missing variable is nothing. */
export function expandPath(path: string, env: Environment): string {
  return path.replace(
    /\$(?:(\w+)|\{(\w+)\})/g,
    (_, plain: string, braced: string) => env[plain ?? braced] ?? "",
  );
}

/**
 * Reads a text file that may be a pipe.
 * @returns its text without a byte order mark, or what is wrong with it
 */
export function readText(path: string, limit: number = maxFileSize): { text: string } | { problem: string } {
  let bytes: Uint8Array;
  try {
    bytes = readAtMost(path, limit + 1);
  } catch (error) {
    return { problem: explainSystemError(error) };
  }
  if (bytes.length > limit) return { problem: `the file is larger than ${limit} bytes` };
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return { problem: "the file is not UTF-8 text; save it as UTF-8" };
  }
}

function readAtMost(path: string, limit: number): Uint8Array {
  const file = openSync(path, "r");
  try {
    const buffer = new Uint8Array(limit);
    let length = 0;
    while (length < limit) {
      const count = readSync(file, buffer, length, limit - length, null);
      if (count === 0) break;
      length += count;
    }
    return buffer.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

/** Where Chihaya looks as well. */
const usualFile = "/etc/chihaya.yaml";

/** The file that counts: the named one, else `CHIHAYA_CONFIG`, else `/etc/chihaya.yaml` if there is one, else none. */
export function findConfigFile(named: string | undefined, env: Environment): string | undefined {
  return named ?? (env.CHIHAYA_CONFIG || (existsSync(usualFile) ? usualFile : undefined));
}
