/** Set in a lock word while threads may sleep on it; the other bits name the owner. */
const waiting = 0x40000000;
const spins = 64;

/**
 * Takes the lock at `words[at]`: 0 means free; otherwise the word holds the owner's number. Spins briefly, then sleeps.
 * @param owner  a positive number below 2^30 that identifies the thread
 */
export function lock(words: Int32Array, at: number, owner: number): void {
  if (Atomics.compareExchange(words, at, 0, owner) === 0) return;
  for (let i = 0; i < spins; i++) {
    if (Atomics.load(words, at) === 0 && Atomics.compareExchange(words, at, 0, owner) === 0) return;
  }
  for (;;) {
    const holder = Atomics.load(words, at);
    if (holder === 0) {
      // A thread that has slept cannot know whether others still sleep, so it keeps the mark for its own unlock.
      if (Atomics.compareExchange(words, at, 0, owner | waiting) === 0) return;
    } else if (
      (holder & waiting) !== 0 ||
      Atomics.compareExchange(words, at, holder, holder | waiting) === holder
    ) {
      Atomics.wait(words, at, holder | waiting);
    }
  }
}

/** Takes the lock if it is free. @returns whether the thread has the lock */
export function tryLock(words: Int32Array, at: number, owner: number): boolean {
  return Atomics.compareExchange(words, at, 0, owner) === 0;
}

/** Releases the lock, and wakes one sleeper if there may be any. */
export function unlock(words: Int32Array, at: number): void {
  if ((Atomics.exchange(words, at, 0) & waiting) !== 0) Atomics.notify(words, at, 1);
}

/** Wakes all sleepers, which then check the lock again: a sleeper that was woken before may have died meanwhile. */
export function wakeAll(words: Int32Array, at: number): void {
  Atomics.notify(words, at);
}

/** Returns the number of the thread that holds the lock, or 0. */
export function ownerOf(words: Int32Array, at: number): number {
  return Atomics.load(words, at) & ~waiting;
}
