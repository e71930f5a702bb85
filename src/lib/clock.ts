/**
 * Coarse time as fields, so that reading the time costs nothing. The owner of the clock updates the fields: the tracker
 * once a second, a test by assignment.
 */
export interface Clock {
  /** Whole seconds of a monotonic clock that all threads of the machine share. Never goes back. */
  readonly seconds: number;
  /** Whole seconds since 1970, for times that several machines share. */
  readonly unixSeconds: number;
}

/** A source of random 32-bit unsigned numbers: fast, not secret. */
export interface Random {
  next(): number;
}

/** Creates Marsaglia's xorshift32: a full period of 2^32-1, no allocation. @param seed  any number; 0 is replaced */
export function createRandom(seed: number): Random {
  let state = seed | 0 || 0x9e3779b9;
  return {
    next() {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return state >>> 0;
    },
  };
}
