const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

/**
 * Decodes `bytes[start..end)` byte by byte, one character each. Not a TextDecoder: its "latin1" is windows-1252.
 * Returns a copy.
 */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  return end > start ? latin1Slice.call(bytes, start, end) : "";
}
