import { unprintable } from "./legible.ts";

/** Replaces the characters that control a terminal. */
export function printable(text: string): string {
  return text.replace(unprintable, (found) => (found === "\t" ? found : "\ufffd")); // one column, for the caret
}

/** Quotes a foreign value for a message: one short line without control characters. */
export function quote(text: string): string {
  return printable(JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text));
}
