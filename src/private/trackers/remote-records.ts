import { Field, Mark, Records, recordBytes, recordWords } from "../record.ts";
import type { RecordSource } from "../ring.ts";

/** Records of another tracker that wait for the journal. With each copy goes the position of their last one. */
export class RemoteRecords implements RecordSource {
  readonly #instance: string;
  /** Called when records are on disk. */
  readonly #onRelease: (sequence: number) => void;
  /** Blocks of records, the oldest first. */
  #blocks: Records[] = [];
  #counts: number[] = [];
  /** Records of the first block that are released. */
  #released = 0;
  #waiting = 0;
  /** Sequence of the last released record, and of the last one that waits. */
  #releasedTo: number;
  #last: number;

  /** @param position  sequence of the last record that the accounts have */
  constructor(instance: string, position: number, onRelease: (sequence: number) => void) {
    this.#instance = instance;
    this.#releasedTo = position;
    this.#last = position;
    this.#onRelease = onRelease;
  }

  /** Adds records. @throws Error if they do not follow those before, or are none */
  push(first: number, payload: Uint8Array): void {
    const count = payload.length / recordBytes;
    if (first !== this.#last + 1) throw new Error(`expected record ${this.#last + 1}, got ${first}`);
    if (!Number.isInteger(count)) throw new Error(`${payload.length} bytes are no records`);
    const bytes = new Uint8Array(payload); // aligned
    const records = new Records(bytes.buffer, 0, count);
    for (let i = 0; i < count; i++) {
      const at = i * recordWords;
      if (records.words[at + Field.user] === 0) throw new Error("a record has no user");
      records.words[at + Field.marks]! |= Mark.forwarded;
    }
    this.#blocks.push(records);
    this.#counts.push(count);
    this.#last += count;
    this.#waiting += count;
  }

  /** Drops what waits. The other tracker sends it again. */
  close(): void {
    this.#blocks = [];
    this.#counts = [];
    this.#waiting = 0;
  }

  get waiting(): number {
    return this.#waiting === 0 ? 0 : this.#waiting + 1;
  }

  copy(out: Records, at: number, most: number): number {
    const count = Math.min(this.#waiting, most - 1);
    if (count <= 0) return 0;
    let copied = 0;
    let skipped = this.#released;
    for (let block = 0; copied < count; block++) {
      const size = Math.min(this.#counts[block]! - skipped, count - copied);
      const words = this.#blocks[block]!.words.subarray(
        skipped * recordWords,
        (skipped + size) * recordWords,
      );
      out.words.set(words, (at + copied) * recordWords);
      copied += size;
      skipped = 0;
    }
    out.writePosition(at + count, { instance: this.#instance, sequence: this.#releasedTo + count });
    return count + 1;
  }

  release(count: number): void {
    if (count === 0 || this.#waiting === 0) return;
    this.#waiting -= count - 1;
    this.#releasedTo += count - 1;
    this.#released += count - 1;
    while (this.#counts.length > 0 && this.#released >= this.#counts[0]!) {
      this.#released -= this.#counts.shift()!;
      this.#blocks.shift();
    }
    this.#onRelease(this.#releasedTo);
  }
}
