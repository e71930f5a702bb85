import { legibleLines } from "../lib/legible.ts";

/** Writes to standard output. A foreign text in it cannot drive the terminal. */
export function print(text: string): void {
  process.stdout.write(legibleLines(text));
}

/** Writes to standard error, likewise. */
export function complain(text: string): void {
  process.stderr.write(legibleLines(text));
}
