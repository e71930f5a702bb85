import { lchownSync, lstatSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Gives a file, or a directory with all that is in it, to the owner of the directory around it, if root has made it. So the tracker
 * can use what a command of root has made.
 */
export function giveToOwner(path: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(dirname(path));
  const found = lstatSync(path);
  try {
    if (found.uid === 0 && uid !== 0) lchownSync(path, uid, gid);
  } catch {
    // Root of a container or of another machine may not; the tracker then says which file it cannot use.
  }
  if (found.isDirectory()) for (const name of readdirSync(path)) giveToOwner(join(path, name));
}
