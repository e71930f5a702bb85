import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { explainSystemError } from "./file-errors.ts";

/**
 * Opens a file for reading. Refuses a named pipe: opening one waits for a writer, and the process could not exit
 * meanwhile.
 * @throws Error with a text for operators
 */
export async function openFile(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause) => {
    throw new Error(explainSystemError(cause), { cause });
  });
  const stat = await file.stat();
  if (!stat.isFIFO() && !stat.isDirectory()) return file;
  await file.close();
  throw new Error(stat.isFIFO() ? isPipe : "is a directory, not a file");
}

/** The error text for a named pipe. */
export const isPipe = "is a named pipe, not a file";
