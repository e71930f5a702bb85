/** A thread that has not run for so many seconds hangs. Between two beats lie one or two, and garbage collection takes less. */
const hangSeconds = 3;

/**
 * Creates the memory in which each thread notes the second of its last beat; 0 for a thread that does not run. The memory is
 * shared.
 */
export function createBeats(threads: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * threads));
}

/** Shows a thread whether another one hangs, for example in a hook that never returns. */
export class Liveness {
  readonly #beats: Int32Array;
  readonly #own: number;
  /** Called at each beat while another thread hangs. */
  readonly onHang: Set<() => void> = new Set();
  /** Whether another thread hung at the last beat. */
  someHangs = false;

  /**
   * @param beats  see {@link createBeats}; default: of a process with one thread
   * @param own    index of this thread
   */
  constructor(beats: Int32Array = createBeats(1), own = 0) {
    this.#beats = beats;
    this.#own = own;
  }

  /** Notes that this thread runs. Call about once a second. @param seconds  of a clock that all threads share */
  beat(seconds: number): void {
    this.#beats[this.#own] = seconds;
    this.someHangs = this.#beats.some((last) => last > 0 && seconds - last >= hangSeconds);
    if (this.someHangs) for (const handle of this.onHang) handle();
  }
}
