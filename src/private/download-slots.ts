import { hashKeys, hashWords, shareKeys } from "../lib/keyed-hash.ts";

/** Entries among which those of one user are. */
const window = 128;
const entries = 2 ** 20 + window;

/** Bytes of the memory of all workers, for up to half a million downloads. */
export const downloadSlotBytes: number = 4 * (hashKeys(1) + 3 * entries);

/**
 * The torrents that users download now, in memory that threads share. A user's entries are in a window of 128 entries, which a
 * hash of the user chooses. Without room, a download needs no slot.
 *
 * Shape: the keys of the hash, then for all entries the user, then the torrent, then the second at which the entry ends.
 *
 * Threads write without locks: if two workers take a slot for one user at the same instant, the user may have one more.
 */
export class DownloadSlots {
  readonly #users: Int32Array;
  readonly #torrents: Int32Array;
  readonly #ends: Int32Array;
  readonly #keys: Int32Array;
  readonly #key: Int32Array = new Int32Array(1);

  /** @param memory  {@link downloadSlotBytes}, zeroed or in use by other threads */
  constructor(memory: SharedArrayBuffer) {
    const words = new Int32Array(memory);
    const start = hashKeys(1);
    this.#keys = shareKeys(words.subarray(0, start));
    const part = (n: number) => words.subarray(start + n * entries, start + (n + 1) * entries);
    this.#users = part(0);
    this.#torrents = part(1);
    this.#ends = part(2);
  }

  /**
   * Takes a slot of the user for a torrent, or keeps the one that the user has for it. Never allocates; constant time.
   * @param now    seconds
   * @param until  when the slot is free again, unless it is taken again or released before
   * @returns whether the user has a slot for the torrent
   */
  take(user: number, torrent: number, limit: number, now: number, until: number): boolean {
    const first = this.#firstOf(user);
    let used = 0;
    for (let at = first; at < first + window; at++) {
      if (this.#users[at] !== (user | 0) || this.#ends[at]! <= now) continue;
      if (this.#torrents[at] === (torrent | 0)) {
        this.#ends[at] = until;
        return true;
      }
      used++;
    }
    if (used >= limit) return false;
    for (let at = first; at < first + window; at++) {
      if (this.#ends[at]! > now) continue;
      this.#users[at] = user;
      this.#torrents[at] = torrent;
      this.#ends[at] = until;
      return true;
    }
    return true;
  }

  /** Gives a slot back, if the user has one for the torrent. */
  release(user: number, torrent: number): void {
    const first = this.#firstOf(user);
    for (let at = first; at < first + window; at++)
      if (this.#users[at] === (user | 0) && this.#torrents[at] === (torrent | 0)) this.#ends[at] = 0;
  }

  #firstOf(user: number): number {
    this.#key[0] = user;
    return hashWords(this.#key, 0, 1, 0, this.#keys, 0) & (entries - window - 1);
  }
}
