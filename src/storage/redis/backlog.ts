import { Batch } from "./batch.ts";

/**
 * The last announce of each peer that the engine has not heard, in the order of their times. Bounded: when it is full,
 * the oldest is given up, and comes back with the peer's next announce.
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

  /** Takes a record; what was known of the peer before is of no more use, but for a completed download. */
  put(record: Uint8Array): void {
    const name = nameOf(record);
    const before = this.#records.get(name);
    this.#records.delete(name);
    // A download that has completed meanwhile is told with what the peer has said since, unless it has left.
    if (before?.[3] === 1 && record[3] !== 3 && record[2] === 1) record[3] = 1;
    this.#records.set(name, record);
    if (this.#records.size <= this.#capacity) return;
    for (const oldest of this.#records.keys()) {
      this.#records.delete(oldest);
      break;
    }
  }

  /** Takes back what could not be handed over, unless there is something newer. */
  putBack(record: Uint8Array): void {
    const name = nameOf(record);
    if (!this.#records.has(name) && this.#records.size < this.#capacity) this.#records.set(name, record);
  }

  /** Drops what is known of the peer of a record. */
  forget(record: Uint8Array): void {
    this.#records.delete(nameOf(record));
  }

  /** Takes out the oldest records. @returns batches of them: one, or one for each torrent */
  take(count: number, peerIds: boolean, byTorrent: boolean): Batch[] {
    const batches = new Map<string, Batch>();
    for (const [name, record] of this.#records) {
      if (count-- === 0) break;
      this.#records.delete(name);
      const of = byTorrent ? name.slice(0, 20) : "";
      let batch = batches.get(of);
      if (!batch) {
        batch = new Batch(peerIds);
        batches.set(of, batch);
      }
      batch.addReplay(record);
    }
    return [...batches.values()];
  }
}

/** Infohash and endpoint. */
function nameOf(record: Uint8Array): string {
  const text = Buffer.from(record.buffer, record.byteOffset, record.length);
  return text.toString("latin1", 10, 30) + text.toString("latin1", 30, record[1] === 4 ? 36 : 48);
}
