import { realpath, stat, writeFile } from "node:fs/promises";
import { cannotWrite } from "../lib/file-errors.ts";
import { createBeside } from "../lib/replace-file.ts";

/**
 * Writes a file that a command makes. The file is whole at every moment: what it had before stays until the new content is on disk.
 * @param options  `mode` of a new file, less the umask; `isNew` refuses a name that is taken
 * @throws Error that names the file and the remedy
 */
export async function writeOutput(
  path: string,
  content: string | Uint8Array,
  { mode = 0o666, isNew = false }: { mode?: number; isNew?: boolean } = {},
): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (isNew && found !== undefined)
    throw new Error(`${path}: the file exists; remove it, or choose another name`);
  try {
    // A device or a pipe takes the bytes, and a directory fails.
    if (found !== undefined && !found.isFile()) return await writeFile(path, content);
    const target = found === undefined ? path : await realpath(path);
    const replacement = await createBeside(target, found === undefined ? mode : found.mode & 0o777);
    try {
      await replacement.file.writeFile(content);
      await replacement.finish();
      await replacement.replace();
    } finally {
      await replacement.discard();
    }
  } catch (error) {
    throw new Error(cannotWrite(path, error), { cause: error });
  }
}
