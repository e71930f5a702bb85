/** Renders JSON in which bigints are numbers with all their digits, also above 2^53. */
export function toExactJson(value: unknown): string {
  return JSON.stringify(value, (_, item) => (typeof item === "bigint" ? exactNumber(item) : item));
}

/** Returns a value that `JSON.stringify` renders as the number, with all digits. */
export function exactNumber(value: bigint): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(`${value}`);
}
