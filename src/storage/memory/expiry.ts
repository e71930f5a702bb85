import { swarmKinds, torrentWords } from "./layout.ts";
import type { TorrentSwarms } from "./torrent-swarms.ts";

/**
 * Walks all torrents, bucket by bucket, and removes peers that have not announced for too long. A pass can stop after
 * any number of peers, also in the middle of a swarm, and resume later, so no lock is held for long. A pass may miss
 * changes between two steps; the next pass finds them.
 */
export class Expiry {
  readonly #torrents: TorrentSwarms;
  #bucket = 0;
  /** The torrent of the bucket to resume at, or 0 for the first. */
  #torrent = 0;
  /** An index into {@link swarmKinds}. */
  #kind = 0;
  /** The position in the block to resume at, downwards; clamped to the present size. */
  #position = Number.MAX_SAFE_INTEGER;
  #removed = 0;
  #units = 0;

  constructor(torrents: TorrentSwarms) {
    this.#torrents = torrents;
  }

  /** Makes one whole pass. @returns the number of removed peers */
  pass(tick: number, lifetime: number): number {
    this.begin();
    return this.step(Number.MAX_SAFE_INTEGER, tick, lifetime) ?? 0;
  }

  /** Starts a pass from the beginning. */
  begin(): void {
    this.#bucket = 0;
    this.#torrent = 0;
    this.#removed = 0;
    this.#resumeAt(0);
  }

  /**
   * Continues the pass.
   * @param units     number of buckets and peers to visit
   * @param lifetime  ticks
   * @returns the peers removed in the whole pass if the pass has ended, otherwise undefined
   */
  step(units: number, tick: number, lifetime: number): number | undefined {
    const { table } = this.#torrents;
    this.#units = units;
    for (; this.#bucket < table.bucketCount; this.#bucket++) {
      if (this.#units-- <= 0) return undefined;
      if (table.first(this.#bucket) === 0) continue;
      table.lock(this.#bucket);
      this.#expireBucket(tick, lifetime);
      table.unlock(this.#bucket);
      if (this.#torrent !== 0) return undefined;
    }
    return this.#removed;
  }

  #expireBucket(tick: number, lifetime: number): void {
    const { table } = this.#torrents;
    let torrent = table.first(this.#bucket);
    if (this.#torrent !== 0) {
      while (torrent !== 0 && torrent !== this.#torrent) torrent = table.next(torrent);
      if (torrent === 0) this.#resumeAt(0); // it is gone; its neighbours wait for the next pass
      this.#torrent = 0;
    }
    while (torrent !== 0) {
      const next = table.next(torrent);
      if (!this.#expireTorrent(torrent, tick, lifetime)) {
        this.#torrent = torrent;
        return;
      }
      if (this.#torrents.isExpendable(torrent, tick, lifetime)) {
        table.remove(torrent, table.hash(table.torrents, torrent * torrentWords));
      }
      torrent = next;
    }
  }

  /** @returns whether all kinds are done */
  #expireTorrent(torrent: number, tick: number, lifetime: number): boolean {
    const before = this.#removed;
    let finished = false;
    for (;;) {
      const swarms = this.#torrents.of(swarmKinds[this.#kind]!);
      const record = this.#torrents.record(torrent, swarms);
      const position = Math.min(this.#position, record === 0 ? -1 : swarms.total(record) - 1);
      const count = Math.min(position + 1, Math.max(this.#units, 1));
      if (count > 0) this.#removed += swarms.expire(record, position, count, tick, lifetime);
      this.#units -= count;
      if (position - count >= 0) {
        this.#position = position - count;
        break;
      }
      finished = this.#kind === swarmKinds.length - 1;
      this.#resumeAt(finished ? 0 : this.#kind + 1);
      if (finished) break;
    }
    if (this.#removed > before) this.#torrents.settle(torrent, tick);
    return finished;
  }

  #resumeAt(kind: number): void {
    this.#kind = kind;
    this.#position = Number.MAX_SAFE_INTEGER;
  }
}
