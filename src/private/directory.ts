import { drawKeys, hashKeys, hashWords } from "../lib/keyed-hash.ts";

/** Words before the slots: the number of slots, those in use, and the keys of the hash. */
const [slotsAt, usedAt, hashKeysAt] = [0, 1, 2];
/** Words of a slot beside its key: the version, and two values. */
const besideKey = 3;
/** How often a reader looks again at a slot that is being written, before it treats the key as unknown. */
const mostRetries = 10_000;

/**
 * A table of keys with two words each, in memory that threads share. One thread writes, one record at a time; all others read
 * without a lock. A look-up compares all bits of a key, and allocates nothing.
 *
 * Shape: the head, then slots in open addressing. A slot is: version (0 before the first use, odd while it is written), the key,
 * two values. A removed key keeps its slot, with a first value of 0, until another key needs the slot.
 */
export class SharedTable {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #width: number;
  readonly #stride: number;
  readonly #start: number;
  readonly #mask: number;
  readonly #hashKeys: Int32Array;
  /** The values of the key that {@link find} has found. */
  first = 0;
  second = 0;

  /** @param width  words of a key */
  constructor(width: number, memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#width = width;
    this.#stride = width + besideKey;
    this.#start = hashKeysAt + hashKeys(width);
    this.#mask = this.#words[slotsAt]! - 1;
    this.#hashKeys = this.#words.slice(hashKeysAt, this.#start);
  }

  /** Creates an empty table with room for twice as many keys as there are now. */
  static create(width: number, keys: number): SharedTable {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(4 * keys, 1024)));
    const head = hashKeysAt + hashKeys(width);
    const memory = new SharedArrayBuffer(4 * (head + slots * (width + besideKey)));
    const words = new Int32Array(memory);
    words[slotsAt] = slots;
    words.set(drawKeys(hashKeys(width)), hashKeysAt);
    return new SharedTable(width, memory);
  }

  /** Looks up the key at `key[at]`. @returns whether it is there; then {@link first} and {@link second} are its values */
  find(key: Int32Array, at: number): boolean {
    const words = this.#words;
    const width = this.#width;
    let probe = hashWords(key, at, width, 0, this.#hashKeys, 0) & this.#mask;
    for (let visited = 0; visited <= this.#mask; visited++) {
      const slot = this.#start + probe * this.#stride;
      for (let retries = 0; ; retries++) {
        const version = Atomics.load(words, slot);
        if (version === 0 || retries === mostRetries) return false;
        if ((version & 1) !== 0) continue;
        let same = 0;
        while (same < width && words[slot + 1 + same] === key[at + same]) same++;
        const first = words[slot + 1 + width]!;
        const second = words[slot + 2 + width]!;
        if (Atomics.load(words, slot) !== version) continue;
        if (same < width) break;
        this.first = first;
        this.second = second;
        return first !== 0;
      }
      probe = (probe + 1) & this.#mask;
    }
    return false;
  }

  /**
   * Adds a key, or replaces its values. For the one thread that writes.
   * @param first  not 0
   * @returns whether there was room
   */
  put(key: Int32Array, at: number, first: number, second: number): boolean {
    const slot = this.#slotFor(key, at);
    if (slot < 0) return false;
    const words = this.#words;
    const version = words[slot]!;
    if (version === 0) words[usedAt]!++;
    Atomics.store(words, slot, version + 1);
    for (let i = 0; i < this.#width; i++) Atomics.store(words, slot + 1 + i, key[at + i]!);
    Atomics.store(words, slot + 1 + this.#width, first);
    Atomics.store(words, slot + 2 + this.#width, second);
    Atomics.store(words, slot, (version + 2) & 0x7fffffff || 2);
    return true;
  }

  /** Removes a key, if it is there. For the one thread that writes. */
  remove(key: Int32Array, at: number): void {
    if (this.find(key, at)) this.put(key, at, 0, 0);
  }

  /** Returns the slot of the key, or else a free one; -1 if the table is three quarters full. */
  #slotFor(key: Int32Array, at: number): number {
    const words = this.#words;
    const width = this.#width;
    let free = -1;
    for (let probe = hashWords(key, at, width, 0, this.#hashKeys, 0); ; probe++) {
      const slot = this.#start + (probe & this.#mask) * this.#stride;
      if (words[slot] === 0) {
        if (free >= 0) return free;
        return words[usedAt]! * 4 < words[slotsAt]! * 3 ? slot : -1;
      }
      let same = 0;
      while (same < width && words[slot + 1 + same] === key[at + same]) same++;
      if (same === width) return slot;
      if (free < 0 && words[slot + 1 + width] === 0) free = slot;
    }
  }
}

/** Characters of a passkey: letters and digits. */
export const passkeyLength = 32;

/** What the site says of a user. */
export interface DirectoryUser {
  id: number;
  /** {@link passkeyLength} letters and digits. */
  passkey: string;
  isEnabled: boolean;
  canLeech: boolean;
  isHidden: boolean;
}

/** What the site says of a torrent. */
export interface DirectoryTorrent {
  id: number;
  /** 20 bytes each: of version 1, and the first bytes of version 2. */
  infoHashes: readonly Uint8Array[];
  /** Percent of the uploaded and the downloaded bytes that count, 0 to 65535. */
  up: number;
  down: number;
}

/** Flags of a user in the directory. */
export const UserFlag = { enabled: 1, canLeech: 2, hidden: 4 } as const;

const passkeyWords = passkeyLength / 4;
const infoHashWords = 5;

/** The memory of a {@link Directory}. */
export interface DirectoryMemory {
  users: SharedArrayBuffer;
  torrents: SharedArrayBuffer;
}

/**
 * The users and torrents of the site, in memory that all threads share.
 * A user is a passkey with id and {@link UserFlag}s; a torrent is an infohash with id and factors, as {@link packFactors} packs them.
 */
export class Directory {
  readonly users: SharedTable;
  readonly torrents: SharedTable;

  constructor(memory: DirectoryMemory) {
    this.users = new SharedTable(passkeyWords, memory.users);
    this.torrents = new SharedTable(infoHashWords, memory.torrents);
  }

  /** Creates an empty directory with room for twice as many users and torrents. */
  static create(users: number, torrents: number): Directory {
    return new Directory({
      users: SharedTable.create(passkeyWords, users).memory,
      torrents: SharedTable.create(infoHashWords, torrents).memory,
    });
  }

  get memory(): DirectoryMemory {
    return { users: this.users.memory, torrents: this.torrents.memory };
  }

  /** Adds or replaces a user. @returns whether there was room */
  putUser({ id, passkey, isEnabled, canLeech, isHidden }: DirectoryUser): boolean {
    const flags =
      (isEnabled ? UserFlag.enabled : 0) |
      (canLeech ? UserFlag.canLeech : 0) |
      (isHidden ? UserFlag.hidden : 0);
    return this.users.put(wordsOf(Buffer.from(passkey, "latin1")), 0, id, flags);
  }

  removePasskey(passkey: string): void {
    this.users.remove(wordsOf(Buffer.from(passkey, "latin1")), 0);
  }

  /** Adds or replaces a torrent. @returns whether there was room */
  putTorrent({ id, infoHashes, up, down }: DirectoryTorrent): boolean {
    return infoHashes.every((infoHash) => this.torrents.put(wordsOf(infoHash), 0, id, packFactors(up, down)));
  }

  removeInfoHash(infoHash: Uint8Array): void {
    this.torrents.remove(wordsOf(infoHash), 0);
  }
}

/** Packs two percentages into a word. */
export function packFactors(up: number, down: number): number {
  return up | (down << 16);
}

/** Whether a text can be a passkey. */
export function isPasskey(text: string): boolean {
  return /^[A-Za-z\d]{32}$/.test(text);
}

function wordsOf(bytes: Uint8Array): Int32Array {
  return new Int32Array(new Uint8Array(bytes).buffer);
}
