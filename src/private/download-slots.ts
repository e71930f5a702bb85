import { hashKeys, hashWords, shareKeys } from "../lib/keyed-hash.ts";

/** Entries among which those of one user are. */
const window = 128;
const entryWords = 3;
/** Word offsets in an entry. */
const [userAt, torrentAt, untilAt] = [0, 1, 2];

/** Bytes of the memory of all workers, for up to half a million downloads. */
export const downloadSlotBytes: number = 4 * (hashKeys(1) + (2 ** 20 + window) * entryWords);

/**
 * The torrents that users download now, in memory that threads share. A user's entries are in a window of 128 entries, which a
 * hash of the user chooses. An entry is: user, torrent, and the second at which it ends. Without room, a download needs no slot.
 *
 * Threads write without locks: if two workers take a slot for one user at the same instant, the user may have one more.
 */
export class DownloadSlots {
  readonly #words: Int32Array;
  readonly #keys: Int32Array;
  readonly #start: number = hashKeys(1);
  readonly #mask: number;
  readonly #key = new Int32Array(1);

  /** @param memory  {@link downloadSlotBytes}, zeroed or in use by other threads */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
    this.#keys = shareKeys(this.#words.subarray(0, this.#start));
    this.#mask = (this.#words.length - this.#start) / entryWords - window - 1;
  }

  /**
   * Takes a slot of the user for a torrent, or keeps the one that the user has for it. Never allocates; constant time.
   * @param now    seconds
   * @param until  when the slot is free again, unless it is taken again or released before
   * @returns whether the user has a slot for the torrent
   */
  take(user: number, torrent: number, limit: number, now: number, until: number): boolean {
    const words = this.#words;
    const first = this.#firstOf(user);
    let used = 0;
    let free = -1;
    for (let at = first; at < first + window * entryWords; at += entryWords) {
      if (words[at + untilAt]! <= now) {
        if (free < 0) free = at;
      } else if (words[at + userAt] === (user | 0)) {
        if (words[at + torrentAt] === (torrent | 0)) {
          words[at + untilAt] = until;
          return true;
        }
        used++;
      }
    }
    if (used >= limit) return false;
    if (free < 0) return true;
    words[free + userAt] = user;
    words[free + torrentAt] = torrent;
    words[free + untilAt] = until;
    return true;
  }

  /** Gives a slot back, if the user has one for the torrent. */
  release(user: number, torrent: number): void {
    const words = this.#words;
    const first = this.#firstOf(user);
    for (let at = first; at < first + window * entryWords; at += entryWords)
      if (words[at + userAt] === (user | 0) && words[at + torrentAt] === (torrent | 0))
        words[at + untilAt] = 0;
  }

  #firstOf(user: number): number {
    this.#key[0] = user;
    return this.#start + (hashWords(this.#key, 0, 1, 0, this.#keys, 0) & this.#mask) * entryWords;
  }
}
