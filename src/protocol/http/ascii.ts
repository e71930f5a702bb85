/**
 * Compares `name` (ASCII, its letters in lower case) with the bytes at `at`, whose letters may be in either case.
 * Bytes past the end of the array are unlike any name. Never allocates.
 */
export function startsWithName(bytes: Uint8Array, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const byte = bytes[at + i]!;
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== name.charCodeAt(i)) return false;
  }
  return true;
}
