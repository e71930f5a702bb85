import { lstat, realpath, stat, writeFile } from "node:fs/promises";
import { cannotWrite } from "../lib/file-errors.ts";
import { createBeside, keepAccess } from "../lib/replace-file.ts";
import { printBytes } from "./terminal.ts";

/** Names of standard output. To open one again fails for a socket, and takes the place of what a file has already. */
const standardOutput = /^\/(dev\/stdout|(dev|proc\/self)\/fd\/1)$/;

/**
 * Writes a file that a command makes. A file that is there is whole at every moment: what it had before stays until the new content is
 * on disk. The file keeps its mode, and its owner as far as the user of the command may give files away.
 * @param options  `mode` of a new file, less the umask; `isNew` refuses a name that is taken
 * @throws Error that names the file and the remedy
 */
export async function writeOutput(
  path: string,
  content: string | Uint8Array,
  { mode = 0o666, isNew = false }: { mode?: number; isNew?: boolean } = {},
): Promise<void> {
  if (standardOutput.test(path))
    return printBytes(typeof content === "string" ? Buffer.from(content) : content);
  const entry = await lstat(path).catch(() => undefined);
  if (isNew && entry !== undefined)
    throw new Error(`${path}: the file exists; remove it, or choose another name`);
  const found = await stat(path).catch(() => undefined);
  try {
    // A device or a pipe takes the bytes, a link to a missing file makes the file, and a directory fails.
    if (entry !== undefined && !found?.isFile()) return await writeFile(path, content, { mode });
    const target = found === undefined ? path : await realpath(path);
    const replacement = await createBeside(target, found === undefined ? mode : 0o600);
    try {
      if (found !== undefined) await keepAccess(replacement.file, found);
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
