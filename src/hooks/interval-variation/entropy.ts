/**
 * Chihaya's deterministic entropy (pkg/random): xorshift128+ seeded with a pair of twenty-byte values, so that a client
 * that announces again gets the same response. Keeps 64-bit words as two halves, because bigints would be allocated.
 */
export class Entropy {
  /** High and low halves of s0 and s1, then of the magnitude of the last output. */
  readonly #state = new Int32Array(6);

  /** Sets the seed: each word is the sum of the first two big-endian 64-bit words of a value; the rest is unused. */
  seed(infoHash: Uint8Array, peerId: Uint8Array): void {
    this.#seedWord(0, infoHash);
    this.#seedWord(2, peerId);
  }

  #seedWord(at: number, bytes: Uint8Array): void {
    const low = (int32(bytes, 4) >>> 0) + (int32(bytes, 12) >>> 0);
    const carry = low > 0xffffffff ? 1 : 0;
    this.#state[at] = int32(bytes, 0) + int32(bytes, 8) + carry;
    this.#state[at + 1] = low;
  }

  /** Returns the next number of 24 bits: the low bits of the magnitude of the next output, a signed number. */
  bits24(): number {
    this.#next();
    return this.#state[5]! & 0xffffff;
  }

  /**
   * Returns the next number from 0 to `limit` - 1: the magnitude of the next output, a signed number, modulo `limit`.
   * @param limit  1 to 2^31
   */
  below(limit: number): number {
    this.#next();
    const high = this.#state[4]!;
    const low = this.#state[5]!;
    // Sixteen bits at a time, because a double is exact only up to 2^53. -2^63 has the magnitude 2^63 here.
    let rest = (high >>> 0) % limit;
    rest = (rest * 0x10000 + (low >>> 16)) % limit;
    return (rest * 0x10000 + (low & 0xffff)) % limit;
  }

  #next(): void {
    const state = this.#state;
    let high0 = state[0]!;
    let low0 = state[1]!;
    const high1 = state[2]!;
    const low1 = state[3]!;

    let low = (low0 >>> 0) + (low1 >>> 0);
    let high = (high0 + high1 + (low > 0xffffffff ? 1 : 0)) | 0;
    low |= 0;
    if (high < 0) {
      low = -low | 0;
      high = (~high + (low === 0 ? 1 : 0)) | 0;
    }
    state[4] = high;
    state[5] = low;

    state[0] = high1;
    state[1] = low1;
    high0 ^= (high0 << 23) | (low0 >>> 9);
    low0 ^= low0 << 23;
    state[2] = high0 ^ high1 ^ (high0 >>> 18) ^ (high1 >>> 5);
    state[3] = low0 ^ low1 ^ ((low0 >>> 18) | (high0 << 14)) ^ ((low1 >>> 5) | (high1 << 27));
  }
}

function int32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
