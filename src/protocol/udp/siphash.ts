/*
 * SipHash-2-4 with a 64-bit result (J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF",
 * 2012), in pieces, so that a caller can keep the state after a common prefix. All 64-bit words are pairs of
 * 32-bit halves: no bigint, nothing allocated.
 *
 * Shape of a state: v0 to v3 as eight 32-bit words, the low half first.
 */

/** Words of a state. */
export const sipStateLength = 8;

/** Starts a hash with a key of 16 bytes. */
export function startSipHash(state: Int32Array, key: Uint8Array): void {
  const k0 = littleEndian(key, 0);
  const k1 = littleEndian(key, 4);
  const k2 = littleEndian(key, 8);
  const k3 = littleEndian(key, 12);
  // The paper's constants: "somepseudorandomlygeneratedbytes".
  state[0] = k0 ^ 0x70736575;
  state[1] = k1 ^ 0x736f6d65;
  state[2] = k2 ^ 0x6e646f6d;
  state[3] = k3 ^ 0x646f7261;
  state[4] = k0 ^ 0x6e657261;
  state[5] = k1 ^ 0x6c796765;
  state[6] = k2 ^ 0x79746573;
  state[7] = k3 ^ 0x74656462;
}

/**
 * Absorbs the next 8 bytes of the message, as a little-endian word. The last block holds the remaining 0 to 7 bytes of
 * the message, zeros, and in its top byte the length of the whole message modulo 256.
 */
export function absorbBlock(state: Int32Array, low: number, high: number): void {
  state[6]! ^= low;
  state[7]! ^= high;
  sipRounds(state, 2);
  state[0]! ^= low;
  state[1]! ^= high;
}

/** Ends the hash and leaves the result in `state[0]` (low half) and `state[1]` (high half). */
export function finishSipHash(state: Int32Array): void {
  state[4]! ^= 0xff;
  sipRounds(state, 4);
  state[0] = state[0]! ^ state[2]! ^ state[4]! ^ state[6]!;
  state[1] = state[1]! ^ state[3]! ^ state[5]! ^ state[7]!;
}

/** Reads 4 bytes, the lowest first. */
export function littleEndian(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** The carry of `sum = (a + b) | 0`: 1 or 0. Without a branch, which would be mispredicted every other time. */
function carry(a: number, b: number, sum: number): number {
  return ((a & b) | ((a | b) & ~sum)) >>> 31;
}

function sipRounds(state: Int32Array, rounds: number): void {
  let a = state[0]!;
  let ah = state[1]!;
  let b = state[2]!;
  let bh = state[3]!;
  let c = state[4]!;
  let ch = state[5]!;
  let d = state[6]!;
  let dh = state[7]!;
  let t = 0;
  for (let i = 0; i < rounds; i++) {
    // v0 += v1; v1 <<<= 13; v1 ^= v0; v0 <<<= 32
    t = (a + b) | 0;
    ah = (ah + bh + carry(a, b, t)) | 0;
    a = t;
    t = ((b << 13) | (bh >>> 19)) ^ a;
    bh = ((bh << 13) | (b >>> 19)) ^ ah;
    b = t;
    t = a;
    a = ah;
    ah = t;
    // v2 += v3; v3 <<<= 16; v3 ^= v2
    t = (c + d) | 0;
    ch = (ch + dh + carry(c, d, t)) | 0;
    c = t;
    t = ((d << 16) | (dh >>> 16)) ^ c;
    dh = ((dh << 16) | (d >>> 16)) ^ ch;
    d = t;
    // v0 += v3; v3 <<<= 21; v3 ^= v0
    t = (a + d) | 0;
    ah = (ah + dh + carry(a, d, t)) | 0;
    a = t;
    t = ((d << 21) | (dh >>> 11)) ^ a;
    dh = ((dh << 21) | (d >>> 11)) ^ ah;
    d = t;
    // v2 += v1; v1 <<<= 17; v1 ^= v2; v2 <<<= 32
    t = (c + b) | 0;
    ch = (ch + bh + carry(c, b, t)) | 0;
    c = t;
    t = ((b << 17) | (bh >>> 15)) ^ c;
    bh = ((bh << 17) | (b >>> 15)) ^ ch;
    b = t;
    t = c;
    c = ch;
    ch = t;
  }
  state[0] = a;
  state[1] = ah;
  state[2] = b;
  state[3] = bh;
  state[4] = c;
  state[5] = ch;
  state[6] = d;
  state[7] = dh;
}
