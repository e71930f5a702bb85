/**
 * Returns whether the bytes at `at` spell `name` in any case. `name` is ASCII with lower-case letters. Bytes past the
 * end of the array match nothing. Never allocates.
 */
export function startsWithName(bytes: Uint8Array, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const byte = bytes[at + i]!;
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== name.charCodeAt(i)) return false;
  }
  return true;
}
