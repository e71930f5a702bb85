import { mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

const problems: Readonly<Record<string, string>> = {
  EACCES: "no permission; run as the user of the directory, or change its owner",
  EEXIST: "a file has this name",
  ENOTDIR: "a part of the path is a file",
  ENOENT: "the file system has no place for directories here",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
};

/**
 * Makes a directory and its parents, if they are not there. Unlike `mkdir` of Node.js with `recursive`, it ends in `/proc` too.
 * @throws Error that names the directory and the problem
 */
export function makeDirectory(given: string, mode = 0o777): void {
  const directory = resolve(given);
  const isThere = statSync(directory, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (isThere) return;
  const parent = dirname(directory);
  if (parent !== directory && statSync(parent, { throwIfNoEntry: false }) === undefined)
    makeDirectory(parent, mode);
  try {
    mkdirSync(directory, { mode });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`cannot make the directory ${directory}: ${problems[code ?? ""] ?? message}`, {
      cause: error,
    });
  }
}
