import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";

/** Moves all records and sessions of a closed journal into a new subdirectory. @returns its path */
export function setJournalAside(directory: string, name: string): string {
  const target = join(directory, name);
  mkdirSync(target, { mode: 0o700 });
  for (const file of readdirSync(directory)) {
    if (file === "instance" || file === "checkpoint" || file === "directory" || file.endsWith(".journal"))
      renameSync(join(directory, file), join(target, file));
  }
  return target;
}
