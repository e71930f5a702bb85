import { setImmediate } from "node:timers/promises";
import { closeEntry, entryHead, RelayEntry, RelayKind } from "./relay-entry.ts";

/** Bytes of a ring: some 200 offers of browsers. A power of two. */
const ringBytes = 256 * 1024;
/** Offers leave so many bytes of a ring to answers: an answer completes what an offer has begun. */
const keptForAnswers = ringBytes / 8;
/** Bytes of a cache line. Words that different threads write lie in different lines. */
const line = 64;
/** Before the entries of a ring: the bytes written and the bytes taken, modulo 2^32. */
const [writtenAt, takenAt, ringHead] = [0, line / 4, 2 * line];
/** In the place of an entry's length: the next entry is at the beginning of the ring. */
const skipped = 0xffffffff;

/** Returns the bytes of the memory that all workers share. The system commits a page on first use. */
export function relayMemoryBytes(workers: number): number {
  return workers * line + workers * workers * (ringHead + ringBytes);
}

/**
 * Offers and answers on their way between the workers, in shared memory: one ring for each ordered pair of workers, which only
 * the first worker writes and only the second one reads. The frames in it are ready to be sent.
 *
 *     | for each worker a line: 1 while the worker sleeps | for each receiver and sender: ring |
 *     ring: | line: bytes written | line: bytes taken | entries |
 *
 * A worker sleeps on its word with `Atomics.waitAsync`; a sender makes a system call only if the receiver sleeps. An entry
 * exists once the bytes written have been stored, so a worker may die at any moment. Its successor drops what it has not read.
 */
export class RelayRings {
  /** The whole memory. A frame is built in place, where {@link begin} says. */
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #words: Int32Array;
  readonly #own: number;
  readonly #workers: number;
  readonly #entry = new RelayEntry();
  #ring = 0;
  #at = 0;
  #isStopped = false;

  /**
   * @param memory   of {@link relayMemoryBytes} bytes, zeros at first
   * @param own      this worker, from 0
   * @param workers  their number
   */
  constructor(memory: SharedArrayBuffer, own: number, workers: number) {
    this.bytes = new Uint8Array(memory);
    this.#view = new DataView(memory);
    this.#words = new Int32Array(memory);
    this.#own = own;
    this.#workers = workers;
    // What was sent to a predecessor names sockets that are gone.
    for (let from = 0; from < workers; from++) {
      const ring = this.#ringOf(from, own) / 4;
      Atomics.store(this.#words, ring + takenAt, Atomics.load(this.#words, ring + writtenAt));
    }
  }

  /**
   * Begins an entry for another worker.
   * @param entry  its kind, sockets, infohash and offer id
   * @param most   maximum number of bytes of the frame
   * @returns the offset in {@link bytes} from which there is room for the frame; -1 if the ring is full
   */
  begin(worker: number, entry: RelayEntry, most: number): number {
    const ring = this.#ringOf(this.#own, worker);
    const written = this.#words[ring / 4 + writtenAt]!;
    const free = ringBytes - ((written - Atomics.load(this.#words, ring / 4 + takenAt)) | 0);
    const position = written & (ringBytes - 1);
    const needed = entryHead + most + 7;
    const rest = ringBytes - position;
    const skip = rest < needed ? rest : 0;
    const kept = entry.kind === RelayKind.answer ? 0 : keptForAnswers;
    if (free - kept < skip + needed) return -1;
    const first = ring + ringHead;
    if (skip > 0) this.#view.setUint32(first + position, skipped, true);
    this.#ring = ring;
    this.#at = first + ((position + skip) & (ringBytes - 1));
    entry.writeHead(this.bytes, this.#view, this.#at);
    return this.#at + entryHead;
  }

  /** Hands over the entry that was begun last. @param start, end  the place of its frame in {@link bytes} */
  commit(start: number, end: number): void {
    const words = this.#words;
    const written = this.#ring / 4 + writtenAt;
    const length = closeEntry(this.#view, this.#at, start, end);
    const position = this.#at - this.#ring - ringHead;
    const skip = (position - words[written]!) & (ringBytes - 1);
    Atomics.store(words, written, (words[written]! + skip + length) | 0);
    const sleeping = (this.#receiverOf(this.#ring) * line) / 4;
    if (Atomics.load(words, sleeping) === 1 && Atomics.exchange(words, sleeping, 0) === 1)
      Atomics.notify(words, sleeping);
  }

  /** Begins to receive. @param receive  gets each entry, which is valid until the call returns; must not throw */
  async start(receive: (entry: RelayEntry) => void): Promise<void> {
    const words = this.#words;
    const sleeping = (this.#own * line) / 4;
    while (!this.#isStopped) {
      if (this.#drain(receive)) {
        await setImmediate(); // others send as fast as this worker receives
        continue;
      }
      Atomics.store(words, sleeping, 1);
      if (this.#isIdle() && !this.#isStopped) await Atomics.waitAsync(words, sleeping, 1).value;
      Atomics.store(words, sleeping, 0);
    }
  }

  /** Ends receiving. Idempotent. */
  stop(): void {
    this.#isStopped = true;
    Atomics.notify(this.#words, (this.#own * line) / 4);
  }

  /** Receives what the rings held at the beginning. @returns whether that was anything */
  #drain(receive: (entry: RelayEntry) => void): boolean {
    const words = this.#words;
    let any = false;
    for (let from = 0; from < this.#workers; from++) {
      const ring = this.#ringOf(from, this.#own);
      const written = Atomics.load(words, ring / 4 + writtenAt);
      let taken = words[ring / 4 + takenAt]!;
      while (taken !== written) {
        any = true;
        const position = taken & (ringBytes - 1);
        const entry = ring + ringHead + position;
        if (this.#view.getUint32(entry, true) === skipped) {
          taken = (taken + ringBytes - position) | 0;
          continue;
        }
        const length = this.#entry.read(this.bytes, this.#view, entry);
        receive(this.#entry);
        taken = (taken + length) | 0;
        Atomics.store(words, ring / 4 + takenAt, taken);
      }
    }
    return any;
  }

  #isIdle(): boolean {
    for (let from = 0; from < this.#workers; from++) {
      const ring = this.#ringOf(from, this.#own) / 4;
      if (Atomics.load(this.#words, ring + writtenAt) !== this.#words[ring + takenAt]) return false;
    }
    return true;
  }

  /** Returns the offset of a ring in bytes. */
  #ringOf(from: number, to: number): number {
    return this.#workers * line + (to * this.#workers + from) * (ringHead + ringBytes);
  }

  #receiverOf(ring: number): number {
    return Math.floor((ring - this.#workers * line) / (ringHead + ringBytes) / this.#workers);
  }
}
