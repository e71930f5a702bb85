/** Words before the halves: the generation, the writer. */
const head = 2;

/**
 * Memory of two halves that threads share: all read the one, one thread writes the other and swaps them. A reader that was
 * overtaken by a swap reads again, so nobody waits and nobody sees half a list.
 *
 * Shape: the generation (0 before the first swap), the writer, both halves. The current half is that of the generation's
 * lowest bit.
 */
export class DoubleBuffer {
  readonly halves: readonly [Int32Array, Int32Array];
  readonly #head: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    const words = (memory.byteLength / 4 - head) / 2;
    this.#head = new Int32Array(memory, 0, head);
    this.halves = [
      new Int32Array(memory, head * 4, words),
      new Int32Array(memory, (head + words) * 4, words),
    ];
  }

  /** Bytes for halves of so many words; the system commits them as they are used. */
  static bytes(words: number): number {
    return (head + 2 * words) * 4;
  }

  /** Counts the swaps, modulo 2^31; 0 is before the first. What was read is right if it is the same afterwards. */
  get generation(): number {
    return Atomics.load(this.#head, 0);
  }

  /** Who may write: whatever the last one to come has put here; 0 before the first. */
  get writer(): number {
    return Atomics.load(this.#head, 1);
  }
  set writer(id: number) {
    Atomics.store(this.#head, 1, id);
  }

  /** Makes the half that is not current the current one. */
  swap(): void {
    const next = (this.generation + 1) & 0x7fffffff;
    Atomics.store(this.#head, 0, next === 0 ? 2 : next);
  }
}
