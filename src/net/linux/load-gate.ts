const [free, loading, ended] = [0, 1, 2];

/** Creates the memory of a gate, for a thread and the one that may end it. */
export function createLoadGate(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

/**
 * Loads native code, which must not be interrupted: a thread that is ended meanwhile ends the whole process (SIGABRT). Never
 * returns once {@link closeGate} has closed the gate, because another thread then ends this one.
 */
export async function loadBehind<Result>(gate: Int32Array, load: () => Promise<Result>): Promise<Result> {
  if (Atomics.compareExchange(gate, 0, free, loading) === ended) Atomics.wait(gate, 0, ended);
  try {
    return await load();
  } finally {
    Atomics.store(gate, 0, free);
    Atomics.notify(gate, 0);
  }
}

/** Waits until the other thread may be ended: it loads no native code, and begins to load none. */
export async function closeGate(gate: Int32Array): Promise<void> {
  while (Atomics.compareExchange(gate, 0, free, ended) === loading)
    await Atomics.waitAsync(gate, 0, loading).value;
}
