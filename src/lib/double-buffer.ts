/** Words before the halves: the generation, the writer, and the notes. */
const head = 4;

/**
 * Two halves of shared memory: all threads read one, a single thread writes the other and swaps them. A reader compares
 * the generation before and after and reads again after a swap, so no thread waits and no thread sees half a list.
 *
 * Shape: the generation (0 before the first swap), the writer, two notes, both halves. The lowest bit of the generation selects
 * the current half.
 */
export class DoubleBuffer {
  readonly halves: readonly [Int32Array, Int32Array];
  /** Two words in which a writer leaves what the next writer should know. */
  readonly notes: Int32Array;
  readonly #head: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    const words = (memory.byteLength / 4 - head) / 2;
    this.#head = new Int32Array(memory, 0, 2);
    this.notes = new Int32Array(memory, 2 * 4, head - 2);
    this.halves = [
      new Int32Array(memory, head * 4, words),
      new Int32Array(memory, (head + words) * 4, words),
    ];
  }

  /** Returns the bytes for halves of `words` words; the system commits a page on first use. */
  static bytes(words: number): number {
    return (head + 2 * words) * 4;
  }

  /** Counts the swaps, modulo 2^31; 0 before the first. A read is valid if the generation is unchanged afterwards. */
  get generation(): number {
    return Atomics.load(this.#head, 0);
  }

  /** The thread that may write: the number that the latest writer stored; 0 before the first. */
  get writer(): number {
    return Atomics.load(this.#head, 1);
  }
  set writer(id: number) {
    Atomics.store(this.#head, 1, id);
  }

  /** Makes the other half current. */
  swap(): void {
    const next = (this.generation + 1) & 0x7fffffff;
    Atomics.store(this.#head, 0, next === 0 ? 2 : next);
  }
}
