import { randomFillSync } from "node:crypto";

/**
 * Hashes words that strangers choose: multilinear over 16-bit halves, modulo 2^32, of which the upper half is kept. The
 * family is universal (Dietzfelbinger 1996): while the keys are secret, any two inputs collide as rarely as random
 * ones. So an attacker cannot choose colliding inputs.
 *
 * The result joins two sums with separate keys, so all 32 bits are equally good.
 * @param count  words from `words[from]` on
 * @param extra  16 more bits: a port, an address family, a number that tells tables apart
 * @param keys   {@link hashKeys} random words from `at`
 * @returns 32 bits, signed. Never allocates.
 */
export function hashWords(
  words: Int32Array,
  from: number,
  count: number,
  extra: number,
  keys: Int32Array,
  at: number,
): number {
  let high = Math.imul(extra, keys[at]!);
  let low = Math.imul(extra, keys[at + 1]!);
  at += 2;
  for (let i = 0; i < count; i++) {
    const word = words[from + i]!;
    const a = word & 0xffff;
    const b = word >>> 16;
    high = (high + Math.imul(a, keys[at]!) + Math.imul(b, keys[at + 1]!)) | 0;
    low = (low + Math.imul(a, keys[at + 2]!) + Math.imul(b, keys[at + 3]!)) | 0;
    at += 4;
  }
  return mix((high & 0xffff0000) | (low >>> 16));
}

/**
 * Permutes 32 bits (the finalizer of MurmurHash3). The sums are linear, so the hashes of an arithmetic progression, such
 * as the addresses of a network, are a progression too: without the permutation they crowd for some keys.
 */
function mix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** Returns the number of key words for a hash of `words` words. */
export function hashKeys(words: number): number {
  return 2 + 4 * words;
}

/** Draws key words from the system's generator. A `Random` would not do: its numbers follow from the earlier ones. */
export function drawKeys(count: number): Int32Array {
  return randomFillSync(new Int32Array(count));
}

/**
 * Draws keys into memory that threads share. The first thread to write a word decides it. @returns a copy of the keys
 */
export function shareKeys(memory: Int32Array): Int32Array {
  drawKeys(memory.length).forEach((key, i) => {
    Atomics.compareExchange(memory, i, 0, key || 1);
  });
  return memory.slice();
}
