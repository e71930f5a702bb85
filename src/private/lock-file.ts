import { accessSync, constants, existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { giveToOwner } from "./give-to-owner.ts";

/** SQLite's code for a database that another process has locked. */
const sqliteBusy = 5;

/** A lock that ends with the process, or with {@link FileLock.close}. */
export interface FileLock {
  close(): void;
}

/**
 * Locks a file, which is created if it is not there.
 * @returns undefined if the file is locked already @throws Error if the file cannot be written
 */
export function lockFile(path: string): FileLock | undefined {
  // SQLite would open a file that it may not write, and lock nothing.
  if (existsSync(path)) accessSync(path, constants.W_OK);
  const lock = new DatabaseSync(path, { timeout: 0, open: false });
  try {
    lock.open();
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    giveToOwner(path);
    return lock;
  } catch (error) {
    if (lock.isOpen) lock.close();
    if ((error as { errcode?: number }).errcode === sqliteBusy) return undefined;
    throw error;
  }
}
