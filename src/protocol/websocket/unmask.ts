/** The bytes of the network that were unmasked last, as words; the network reuses its memory. */
let words: Int32Array = new Int32Array(0);
const keyBytes = new Uint8Array(4);
const keyWord = new Int32Array(keyBytes.buffer);
/** Below this length, the words cost more than the bytes. */
const minWords = 32;

/**
 * Removes the mask of `bytes[start..end)` in place (RFC 6455 §5.3), most of it by 32-bit words. The key are the four bytes
 * at `key`, which must be outside of the range.
 */
export function unmask(bytes: Uint8Array, start: number, end: number, key: number): void {
  const k0 = bytes[key]!;
  const k1 = bytes[key + 1]!;
  const k2 = bytes[key + 2]!;
  const k3 = bytes[key + 3]!;
  if ((k0 | k1 | k2 | k3) === 0) return;
  let i = start;
  if (end - start >= minWords) {
    const { buffer, byteOffset } = bytes;
    if (words.buffer !== buffer) words = new Int32Array(buffer, 0, buffer.byteLength >>> 2);
    // Bytes before the first whole word.
    const skipped = -(byteOffset + start) & 3;
    for (let n = 0; n < skipped; n++) bytes[i++]! ^= keyAt(n, k0, k1, k2, k3);
    for (let n = 0; n < 4; n++) keyBytes[n] = keyAt(n + skipped, k0, k1, k2, k3);
    const turned = keyWord[0]!;
    const last = (byteOffset + end) >>> 2;
    for (let word = (byteOffset + i) >>> 2; word < last; word++) words[word]! ^= turned;
    i = (last << 2) - byteOffset;
  }
  for (; i < end; i++) bytes[i]! ^= keyAt(i - start, k0, k1, k2, k3);
}

function keyAt(at: number, k0: number, k1: number, k2: number, k3: number): number {
  const n = at & 3;
  if (n === 0) return k0;
  if (n === 1) return k1;
  return n === 2 ? k2 : k3;
}
