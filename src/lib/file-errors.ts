import { resolve } from "node:path";

const systemErrors: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  ENOTDIR: "no such file",
  EACCES: "no permission to read the file",
  EPERM: "no permission to read the file",
  EISDIR: "is a directory, not a file",
};

/** What an error of the system means, for operators; the message of any other error. */
export function explainSystemError(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return systemErrors[code ?? ""] ?? message;
}

/** Says that a file cannot be read, by the path that was tried: a relative one does not say where it begins. */
export function cannotRead(path: string, problem: string): string {
  return `cannot read ${resolve(path)}: ${problem}`;
}
