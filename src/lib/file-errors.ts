import { resolve } from "node:path";

const systemErrors: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  ENOTDIR: "no such file",
  EACCES: "no permission to read the file",
  EPERM: "no permission to read the file",
  EISDIR: "is a directory, not a file",
};

/** Explains a system error for operators; returns the message of any other error. */
export function explainSystemError(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return systemErrors[code ?? ""] ?? message;
}

/**
 * Returns the error text for a file that cannot be read. The text has the absolute path, since a relative path does not
 * show where it begins.
 */
export function cannotRead(path: string, problem: string): string {
  return `cannot read ${resolve(path)}: ${problem}`;
}

const writeErrors: Readonly<Record<string, string>> = {
  ENOENT: "no such directory",
  ENOTDIR: "a part of the path is a file",
  EISDIR: "is a directory, not a file",
  EACCES: "no permission; run as the owner of the directory",
  EPERM: "no permission; run as the owner of the directory",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
  EDQUOT: "the user's quota of the disk is used up",
  ENAMETOOLONG: "the name is too long",
};

/** Returns the error text for a file that cannot be written, with the absolute path. */
export function cannotWrite(path: string, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return `cannot write ${resolve(path)}: ${writeErrors[code ?? ""] ?? message}`;
}
