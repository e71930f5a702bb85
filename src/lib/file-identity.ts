import { statSync } from "node:fs";

/** Returns what identifies the file of a name, whatever is written to the file; "" without a file. */
export function fileIdentity(path: string): string {
  const { dev, ino } = statSync(path, { bigint: true, throwIfNoEntry: false }) ?? {};
  return ino === undefined ? "" : `${dev} ${ino}`;
}
