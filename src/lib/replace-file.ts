import { constants, type Stats } from "node:fs";
import { type FileHandle, open, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** A new file beside another one, which it replaces when it is complete. So the other file is whole at every moment. */
export interface Replacement {
  /** Open for writing, and empty at first. */
  readonly file: FileHandle;
  /** Makes the content last, and closes the new file. */
  finish(): Promise<void>;
  /** Renames the finished file to the other one, so that the rename outlasts a crash of the machine. */
  replace(): Promise<void>;
  /** Closes and removes the new file. Never rejects. */
  discard(): Promise<void>;
}

/**
 * Creates a file for new content beside `path`: `.NAME.chihaya-tmp`. Removes a file of this name first, which a crash has
 * left incomplete.
 * @param path  without symbolic links
 * @param mode  of the new file, less the umask
 */
export async function createBeside(path: string, mode: number): Promise<Replacement> {
  const name = join(dirname(path), `.${basename(path)}.chihaya-tmp`);
  const { O_WRONLY, O_CREAT, O_EXCL } = constants;
  await unlink(name).catch(() => undefined);
  const file = await open(name, O_WRONLY | O_CREAT | O_EXCL, mode);
  return {
    file,
    async finish() {
      await file.sync();
      await file.close();
    },
    async replace() {
      await rename(name, path);
      await syncDirectory(dirname(path));
    },
    async discard() {
      await file.close().catch(() => undefined);
      await unlink(name).catch(() => undefined);
    },
  };
}

/**
 * Gives a new file the mode of the file that it will replace, and the owner. Only root may give a file to another user. If the group
 * cannot stay either, the group of the new file may do nothing with it.
 */
export async function keepAccess(file: FileHandle, { mode, uid, gid }: Stats): Promise<void> {
  const own = await file.stat();
  const isRefused = await file.chown(uid, gid).catch(() => file.chown(own.uid, gid).catch(() => true));
  await file.chmod(mode & (isRefused && own.gid !== gid ? 0o707 : 0o777));
}

/** Identifies the content of a file without reading it; undefined if there is no file. */
export async function stampOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && [found.dev, found.ino, found.size, found.mtimeNs].join();
}

/** Makes a rename last. Ignores errors, because some file systems cannot do that for a directory. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY).catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close().catch(() => undefined);
}
