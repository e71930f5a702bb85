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
