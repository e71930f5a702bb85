import { Records, recordBytes, recordWords } from "./record.ts";
import type { AccountingMemory, WorkerAccounting } from "./thread-memory.ts";

/** Records that wait in one ring. */
const capacity = 16_384;
const headBytes = 8;
const [writtenAt, takenAt] = [0, 1];

/** Words of the memory that all workers share with the accountant. */
const sleepingAt = 0;

/** Makes the memory for a number of workers; the system commits a page on first use. */
export function createAccountingMemory(workers: number): AccountingMemory {
  const ringBytes = headBytes + capacity * recordBytes;
  return {
    rings: Array.from({ length: workers }, () => new SharedArrayBuffer(ringBytes)),
    signal: new SharedArrayBuffer(4),
  };
}

/** Where records for the journal come from. */
export interface RecordSource {
  /** How many records wait. */
  readonly waiting: number;
  /** Copies up to `most` waiting records to `out`, from its record `at` on. @returns their number */
  copy(out: Records, at: number, most: number): number;
  /** Releases the first `count` waiting records, which are on disk. */
  release(count: number): void;
}

/**
 * Records on their way from one worker to the accountant, in shared memory. The worker writes; the accountant releases records
 * when they are on disk. Both counts are modulo 2^32.
 *
 * Shape: the records written, the records released, then {@link capacity} records.
 */
export class Ring implements RecordSource {
  readonly records: Records;
  readonly #head: Int32Array;
  readonly #signal: Int32Array;
  /** The records released, as the worker saw it last. */
  #taken: number;

  constructor({ ring, signal }: WorkerAccounting) {
    this.#head = new Int32Array(ring, 0, headBytes / 4);
    this.records = new Records(ring, headBytes, capacity);
    this.#signal = new Int32Array(signal);
    this.#taken = Atomics.load(this.#head, takenAt);
  }

  /** Returns the word at which the worker may write its next record; -1 if the ring is full. */
  reserve(): number {
    const written = this.#head[writtenAt]!;
    if (((written - this.#taken) | 0) >= capacity) {
      this.#taken = Atomics.load(this.#head, takenAt);
      if (((written - this.#taken) | 0) >= capacity) return -1;
    }
    return (written & (capacity - 1)) * recordWords;
  }

  /** Hands over the record that the worker has written. @returns its position, for {@link isOnDisk} */
  commit(): number {
    const written = (this.#head[writtenAt]! + 1) | 0;
    Atomics.store(this.#head, writtenAt, written);
    wake(this.#signal);
    return written;
  }

  /** Whether the accountant has released the record at a position. */
  isOnDisk(position: number): boolean {
    return ((Atomics.load(this.#head, takenAt) - position) | 0) >= 0;
  }

  /** Resolves at the next release, or after `limitMs`. */
  async untilReleased(limitMs: number): Promise<void> {
    await Atomics.waitAsync(this.#head, takenAt, Atomics.load(this.#head, takenAt), limitMs).value;
  }

  /** Returns how many records wait for the accountant. */
  get waiting(): number {
    return (Atomics.load(this.#head, writtenAt) - this.#head[takenAt]!) | 0;
  }

  /** Copies up to `most` waiting records to `out`, from its record `at` on. @returns their number */
  copy(out: Records, at: number, most: number): number {
    const count = Math.min(this.waiting, most);
    const first = this.#head[takenAt]! & (capacity - 1);
    const unbroken = Math.min(count, capacity - first);
    const { words } = this.records;
    out.words.set(words.subarray(first * recordWords, (first + unbroken) * recordWords), at * recordWords);
    const rest = words.subarray(0, (count - unbroken) * recordWords);
    out.words.set(rest, (at + unbroken) * recordWords);
    return count;
  }

  /** Releases the first `count` waiting records, which are on disk. */
  release(count: number): void {
    if (count === 0) return;
    Atomics.add(this.#head, takenAt, count);
    Atomics.notify(this.#head, takenAt);
  }
}

/** Wakes the accountant, if it sleeps. @param signal  of {@link AccountingMemory} */
export function wake(signal: Int32Array): void {
  if (Atomics.load(signal, sleepingAt) === 1 && Atomics.exchange(signal, sleepingAt, 0) === 1)
    Atomics.notify(signal, sleepingAt);
}

/** Lets the accountant sleep until a worker commits a record, or until `limitMs`. @param isIdle  whether all rings are empty */
export async function untilCommitted(
  signal: SharedArrayBuffer,
  isIdle: () => boolean,
  limitMs: number,
): Promise<void> {
  const words = new Int32Array(signal);
  Atomics.store(words, sleepingAt, 1);
  if (isIdle()) await Atomics.waitAsync(words, sleepingAt, 1, limitMs).value;
  Atomics.store(words, sleepingAt, 0);
}
