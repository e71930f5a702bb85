import { legibleLines } from "../lib/legible.ts";

/** Writes to standard output, without control characters that a terminal would obey. */
export function print(text: string): void {
  process.stdout.write(legibleLines(text));
}

/** Writes to standard error, without control characters that a terminal would obey. */
export function complain(text: string): void {
  process.stderr.write(legibleLines(text));
}
