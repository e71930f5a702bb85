import { unprintable } from "./legible.ts";

/** Replaces what could do something to a terminal. */
export function printable(text: string): string {
  return text.replace(unprintable, (found) => (found === "\t" ? found : "\ufffd")); // one column, for the caret
}

/** Quotes a value from the outside for a message: one line, no control characters, not long. */
export function quote(text: string): string {
  return printable(JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text));
}
