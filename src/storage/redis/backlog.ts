import type { PeerShape } from "../memory/layout.ts";
import { Batch } from "./batch.ts";

/**
 * The last announce of each peer that Redis has missed, in order of time. Bounded: a full backlog drops the oldest
 * announce, and the peer's next announce repairs the loss.
 */
export class Backlog {
  readonly #records = new Map<string, Uint8Array>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#records.size;
  }

  /** Adds a record; replaces the peer's earlier record, but keeps its completed download. */
  put(record: Uint8Array): void {
    const name = nameOf(record);
    const before = this.#records.get(name);
    this.#records.delete(name);
    // A completed download travels with the peer's later announce, unless the peer has stopped.
    if (before?.[3] === 1 && record[3] !== 3 && record[2] === 1) record[3] = 1;
    this.#records.set(name, record);
    if (this.#records.size <= this.#capacity) return;
    for (const oldest of this.#records.keys()) {
      this.#records.delete(oldest);
      break;
    }
  }

  /** Returns a record that could not be delivered, unless there is a newer record of the peer. */
  putBack(record: Uint8Array): void {
    const name = nameOf(record);
    if (!this.#records.has(name) && this.#records.size < this.#capacity) this.#records.set(name, record);
  }

  /** Removes the record of a peer. */
  forget(record: Uint8Array): void {
    this.#records.delete(nameOf(record));
  }

  /** Takes the oldest records out. @returns one batch, or one batch per torrent */
  take(count: number, shape: PeerShape, byTorrent: boolean): Batch[] {
    const batches = new Map<string, Batch>();
    for (const [name, record] of this.#records) {
      if (count-- === 0) break;
      this.#records.delete(name);
      const of = byTorrent ? name.slice(0, 20) : "";
      let batch = batches.get(of);
      if (!batch) {
        batch = new Batch(shape);
        batches.set(of, batch);
      }
      batch.addReplay(record);
    }
    return [...batches.values()];
  }
}

/** Returns the infohash and endpoint of a record. */
function nameOf(record: Uint8Array): string {
  const text = Buffer.from(record.buffer, record.byteOffset, record.length);
  return text.toString("latin1", 10, 30) + text.toString("latin1", 30, record[1] === 4 ? 36 : 48);
}
