/**
 * Keyed hashes of infohashes and endpoints: multilinear over 16-bit halves, modulo 2^32, of which the upper
 * half is kept. That family is universal (Dietzfelbinger 1996: collisions of any two inputs are as rare as chance
 * whatever they are, as long as the keys stay secret), so nobody can choose infohashes that share a chain.
 *
 * Two sums with keys of their own give 32 bits.
 */

/** Hashes the five words of an infohash. @param keys  random words, 20 from `at` */
export function hashInfoHash(words: Int32Array, from: number, keys: Int32Array, at: number): number {
  let high = 0;
  let low = 0;
  for (let i = 0; i < 5; i++) {
    const word = words[from + i]!;
    const a = word & 0xffff;
    const b = word >>> 16;
    high = (high + Math.imul(a, keys[at]!) + Math.imul(b, keys[at + 1]!)) | 0;
    low = (low + Math.imul(a, keys[at + 2]!) + Math.imul(b, keys[at + 3]!)) | 0;
    at += 4;
  }
  return (high & 0xffff0000) | (low >>> 16);
}

/** Hashes an endpoint: `count` words of address and 16 bits of port. @param keys  random words, 18 from `at` */
export function hashEndpoint(
  words: Int32Array,
  from: number,
  count: number,
  port: number,
  keys: Int32Array,
  at: number,
): number {
  let high = Math.imul(port, keys[at]!);
  let low = Math.imul(port, keys[at + 1]!);
  at += 2;
  for (let i = 0; i < count; i++) {
    const word = words[from + i]!;
    const a = word & 0xffff;
    const b = word >>> 16;
    high = (high + Math.imul(a, keys[at]!) + Math.imul(b, keys[at + 1]!)) | 0;
    low = (low + Math.imul(a, keys[at + 2]!) + Math.imul(b, keys[at + 3]!)) | 0;
    at += 4;
  }
  return (high & 0xffff0000) | (low >>> 16);
}
