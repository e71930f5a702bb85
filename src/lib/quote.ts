/** Replaces what could do something to a terminal. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");
}

/** Quotes a value from the outside for a message: one line, no control characters, not long. */
export function quote(text: string): string {
  return printable(JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text));
}
