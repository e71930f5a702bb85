/** Returns the bytes of an ASCII text, for constants that are written often. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Writes `from` at `at`. @returns the offset after it */
export function put(bytes: Uint8Array, at: number, from: Uint8Array): number {
  for (let i = 0; i < from.length; i++) bytes[at + i] = from[i]!;
  return at + from.length;
}

/** Writes `from` so that its last byte is before `at`. @returns the offset of its first byte */
export function putBefore(bytes: Uint8Array, at: number, from: Uint8Array): number {
  put(bytes, at - from.length, from);
  return at - from.length;
}

/** Returns the number of decimal digits of a 32-bit unsigned number. */
export function digitCount(value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  return digits;
}

/** Writes a 32-bit unsigned number in decimal digits at `at`. @returns the offset after it */
export function putNumber(bytes: Uint8Array, at: number, value: number): number {
  const end = at + digitCount(value);
  putNumberBefore(bytes, end, value);
  return end;
}

/** Writes a 32-bit unsigned number in decimal digits that end before `at`. @returns the offset of the first digit */
export function putNumberBefore(bytes: Uint8Array, at: number, value: number): number {
  do {
    const rest = (value / 10) >>> 0;
    bytes[--at] = 0x30 + value - rest * 10;
    value = rest;
  } while (value > 0);
  return at;
}
