import { keyAt, PackedTable, type Page } from "./packed-table.ts";

/** What is credited of one run of a client: the counters between two announces. Byte counts are numbers up to 2^53. */
export interface Run {
  /** The values and the time from which on the run is credited. */
  firstUploaded: number;
  firstDownloaded: number;
  firstSeconds: number;
  /** The marks: the highest credited values, and when the last of them came. */
  uploaded: number;
  downloaded: number;
  seconds: number;
  /** When the run has ended; 0 if it has not. */
  end: number;
  /** Whether the run began with the first values. Otherwise earlier announces may be on their way from another tracker. */
  isWhole: boolean;
}

/** One client of a user for one torrent. Times are seconds. */
export interface Session {
  run: Run;
  previous: Run | undefined;
  /** A value below the mark that waits for confirmation; {@link none} without one. */
  uploadedLow: number;
  downloadedLow: number;
  /** When the last of these values came. */
  lowSeconds: number;
  /** The mark before the last confirmed lower value, until the counter reaches it; {@link none} without one. */
  uploadedHigh: number;
  downloadedHigh: number;
  /** When the last announce arrived. */
  lastSeconds: number;
  isActive: boolean;
  isSeeder: boolean;
  /** Whether this run was seen with bytes left. */
  wasIncomplete: boolean;
  /** Whether the runs are a leecher and a seeder; of the rules of Ocelot only. */
  isBoth: boolean;
  /** Until when seeding and downloading are counted, for all sessions of the user and the torrent. */
  seedUntil: number;
  leechUntil: number;
}

export const none = -1;

/**
 * A session in 24 words of 32 bits, in machine order:
 *
 *  0 links 3 | 3 user | 4 torrent | 5 peer id 5 | 10 flags 8, snapshot 24 | 11 pair
 * 12 run: first seconds | 13 seconds | 14 end | 15 seconds of the last announce
 * 16 run: first uploaded f64 | 18 first downloaded f64 | 20 uploaded f64 | 22 downloaded f64
 *
 * Its rare part, for a session with a previous run, a low or a high value:
 *
 *  0 links 3 | 3 slot of the session | 4 seconds of the low values
 *  5 previous run: first seconds | 6 seconds | 7 end
 *  8 low uploaded f64 | 10 downloaded f64 | 12 high uploaded f64 | 14 downloaded f64
 * 16 previous run: first uploaded f64 | 18 first downloaded f64 | 20 uploaded f64 | 22 downloaded f64
 *
 * A pair, which is a user and a torrent, in 8 words:
 *
 *  0 links 3 | 3 user | 4 torrent | 5 seeding counted until | 6 downloading counted until | 7 number of sessions
 *
 * A session in a snapshot: its words, with the two times of its pair as the words 0 and 1, and zero as pair and snapshot; then the words
 * of its rare part, if it has one.
 */
const Word = {
  flags: 10,
  pair: 11,
  times: 12,
  lastSeconds: 15,
  bytes: 16,
} as const;
const RareWord = { lowSeconds: 4, times: 5, values: 8, bytes: 16 } as const;
const PairWord = { seedUntil: 5, leechUntil: 6, sessions: 7 } as const;
const [sessionKey, rareKey, pairKey] = [7, 1, 2];
const [sessionWords, pairWords] = [24, 8];
const Flag = {
  ...{ active: 1, seeder: 2, incomplete: 4, both: 8 },
  /** Whether a run is whole, whether there is a previous run, and whether there is a rare part. */
  ...{ whole: 16, previous: 32, previousWhole: 64, rare: 128 },
} as const;
/** Bits of the flags before the number of the last snapshot that has the session, or that began before the session was added. */
const flagBits = 8;
const snapshotNumbers = 1 << 24;

/** Words of a block of a snapshot: about a thousand sessions, which take less than a millisecond. */
export const blockWords: number = 1024 * sessionWords;

/** A list of all sessions that is under way. */
interface Snapshot {
  /** Number of sessions that it does not have yet, and the first one of them in the order. */
  left: number;
  next: number;
  /** The block that is written, and the words in it. */
  block: Int32Array;
  size: number;
  full: Int32Array[];
  /** A block that was read. */
  spare: Int32Array | undefined;
}

/** The sessions of all users in packed memory, in the order of their last announces: 140 bytes each, 100 more for a rare part. */
export class SessionTable {
  /** The session that {@link read} or {@link add} has prepared; {@link write} keeps it. */
  readonly session: Session;
  readonly #run = emptyRun();
  readonly #previous = emptyRun();
  readonly #sessions: PackedTable;
  readonly #rare: PackedTable;
  readonly #pairs: PackedTable;
  /** The key that {@link find} has looked for; its first words are the key of the pair. */
  readonly #key = new Int32Array(sessionKey);
  readonly #rareKey = new Int32Array(rareKey);
  /** The number of the last snapshot. */
  #number = 0;
  #snapshot: Snapshot | undefined;

  /** @param hashKeys  of all indexes; random by default */
  constructor(hashKeys?: Int32Array) {
    this.#sessions = new PackedTable(sessionKey, sessionWords, hashKeys);
    this.#rare = new PackedTable(rareKey, sessionWords, hashKeys);
    this.#pairs = new PackedTable(pairKey, pairWords, hashKeys);
    this.session = {
      ...{ run: this.#run, previous: undefined, uploadedLow: none, downloadedLow: none, lowSeconds: 0 },
      ...{ uploadedHigh: none, downloadedHigh: none, lastSeconds: 0, isActive: false, isSeeder: false },
      ...{ wasIncomplete: false, isBoth: false, seedUntil: 0, leechUntil: 0 },
    };
  }

  /** Number of sessions. */
  get size(): number {
    return this.#sessions.size;
  }

  /** The session without an announce for the longest time, and the last one; 0 if there is none. */
  get first(): number {
    return this.#sessions.first;
  }
  get last(): number {
    return this.#sessions.last;
  }

  /** Returns the session after another one in the order; 0 behind the last one. The first one is after 0. */
  after(slot: number): number {
    return this.#sessions.after(slot);
  }

  /** Yields the sessions with a rare part. Each may be removed before the next step. */
  *rare(): Generator<number> {
    const rare = this.#rare;
    for (let at = rare.first, next = 0; at !== 0; at = next) {
      next = rare.after(at);
      yield rare.page(at).words[rare.at(at) + keyAt]!;
    }
  }

  /** Returns the slot of a session; 0 if there is none. @param peerId  five words */
  find(user: number, torrent: number, peerId: Int32Array): number {
    const key = this.#key;
    key[0] = user;
    key[1] = torrent;
    for (let i = 0; i < 5; i++) key[pairKey + i] = peerId[i]!;
    return this.#sessions.find(key);
  }

  /** Adds the session that {@link find} has not found, at the end of the order, and prepares {@link session}. @returns its slot */
  add(): number {
    const { session } = this;
    const slot = this.#sessions.add(this.#key);
    const pair = this.#pairs.find(this.#key) || this.#pairs.add(this.#key);
    const { words } = this.#sessions.page(slot);
    const at = this.#sessions.at(slot);
    words[at + Word.flags] = this.#number << flagBits;
    words[at + Word.pair] = pair;
    this.#pairs.page(pair).words[this.#pairs.at(pair) + PairWord.sessions]!++;
    this.#clearRare(session);
    this.#readPair(pair);
    session.isActive = session.isSeeder = session.wasIncomplete = session.isBoth = false;
    return slot;
  }

  /** Reads a session. Its objects are valid until the next call. */
  read(slot: number): Session {
    const { session } = this;
    const page = this.#sessions.page(slot);
    const { words } = page;
    const at = this.#sessions.at(slot);
    const flags = words[at + Word.flags]!;
    const run = this.#run;
    session.run = run;
    readRun(run, page, at, Word);
    run.isWhole = (flags & Flag.whole) !== 0;
    session.lastSeconds = words[at + Word.lastSeconds]! >>> 0;
    session.isActive = (flags & Flag.active) !== 0;
    session.isSeeder = (flags & Flag.seeder) !== 0;
    session.wasIncomplete = (flags & Flag.incomplete) !== 0;
    session.isBoth = (flags & Flag.both) !== 0;
    this.#readPair(words[at + Word.pair]!);
    if ((flags & Flag.rare) === 0) this.#clearRare(session);
    else this.#readRare(slot, flags);
    return session;
  }

  /** Writes {@link session} to its slot. */
  write(slot: number): void {
    this.#keep(slot);
    const { run, previous, lastSeconds, isActive, isSeeder, wasIncomplete, isBoth } = this.session;
    const page = this.#sessions.page(slot);
    const { words } = page;
    const at = this.#sessions.at(slot);
    const before = words[at + Word.flags]!;
    const isRare = hasRarePart(this.session);
    words[at + Word.flags] =
      (before & (-1 << flagBits)) |
      (isActive ? Flag.active : 0) |
      (isSeeder ? Flag.seeder : 0) |
      (wasIncomplete ? Flag.incomplete : 0) |
      (isBoth ? Flag.both : 0) |
      (run.isWhole ? Flag.whole : 0) |
      (previous === undefined ? 0 : Flag.previous) |
      (previous?.isWhole ? Flag.previousWhole : 0) |
      (isRare ? Flag.rare : 0);
    words[at + Word.lastSeconds] = lastSeconds;
    writeRun(run, page, at, Word);
    this.#writePair(words[at + Word.pair]!);
    if (isRare) this.#writeRare(slot);
    else if ((before & Flag.rare) !== 0) this.#rare.remove(this.#rareOf(slot));
  }

  /** Returns when the last announce of a session arrived. */
  lastSeconds(slot: number): number {
    return this.#sessions.page(slot).words[this.#sessions.at(slot) + Word.lastSeconds]! >>> 0;
  }

  /** Moves a session behind all others, after {@link write}. */
  moveToEnd(slot: number): void {
    this.#pass(slot);
    this.#sessions.moveToEnd(slot);
  }

  remove(slot: number): void {
    this.#keep(slot);
    this.#pass(slot);
    const { words } = this.#sessions.page(slot);
    const at = this.#sessions.at(slot);
    const pair = words[at + Word.pair]!;
    const count = this.#pairs.at(pair) + PairWord.sessions;
    if (--this.#pairs.page(pair).words[count]! === 0) this.#pairs.remove(pair);
    if ((words[at + Word.flags]! & Flag.rare) !== 0) this.#rare.remove(this.#rareOf(slot));
    this.#sessions.remove(slot);
  }

  /**
   * Lists all sessions as they are now, also if they change while the list is read: in blocks, each valid until the next step. A
   * further snapshot ends one that is incomplete: its next step throws, so that nobody takes a part for the whole.
   * @param words  of a block at most
   */
  snapshot(words: number = blockWords): Generator<Int32Array> {
    this.#number = (this.#number + 1) % snapshotNumbers;
    const snapshot: Snapshot = {
      ...{ left: this.size, next: this.first, block: new Int32Array(words), size: 0 },
      ...{ full: [], spare: undefined },
    };
    this.#snapshot = snapshot;
    return this.#blocks(snapshot);
  }

  *#blocks(snapshot: Snapshot): Generator<Int32Array> {
    const { full } = snapshot;
    try {
      while (snapshot.left > 0 || full.length > 0) {
        if (this.#snapshot !== snapshot) throw new Error("another snapshot has begun");
        while (snapshot.left > 0 && full.length === 0) {
          this.#keep(snapshot.next);
          this.#pass(snapshot.next);
        }
        for (let block = full.shift(); block !== undefined; block = full.shift()) {
          yield block;
          snapshot.spare = new Int32Array(block.buffer);
        }
      }
      if (snapshot.size > 0) yield snapshot.block.subarray(0, snapshot.size);
    } finally {
      if (this.#snapshot === snapshot) this.#snapshot = undefined;
    }
  }

  /** Adds the sessions of a block of a {@link snapshot} behind all others. @returns their number */
  restore(block: Int32Array): number {
    let count = 0;
    for (let from = 0; from < block.length; from += sessionWords) {
      for (let i = 0; i < sessionKey; i++) this.#key[i] = block[from + keyAt + i]!;
      const slot = this.add();
      const { words } = this.#sessions.page(slot);
      const at = this.#sessions.at(slot);
      const flags = block[from + Word.flags]!;
      words[at + Word.flags]! |= flags;
      for (let i = Word.times; i < sessionWords; i++) words[at + i] = block[from + i]!;
      const { session } = this;
      session.seedUntil = Math.max(session.seedUntil, block[from]! >>> 0);
      session.leechUntil = Math.max(session.leechUntil, block[from + 1]! >>> 0);
      this.#writePair(words[at + Word.pair]!);
      count++;
      if ((flags & Flag.rare) === 0) continue;
      from += sessionWords;
      const rare = this.#addRare(slot);
      const { words: rareWords } = this.#rare.page(rare);
      const rareAt = this.#rare.at(rare);
      for (let i = RareWord.lowSeconds; i < sessionWords; i++) rareWords[rareAt + i] = block[from + i]!;
    }
    return count;
  }

  /** Copies a session that is about to change into the current snapshot, which does not have the session yet. */
  #keep(slot: number): void {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return;
    const { words } = this.#sessions.page(slot);
    const at = this.#sessions.at(slot);
    const flags = words[at + Word.flags]!;
    if (flags >>> flagBits === this.#number) return;
    const bits = flags & ((1 << flagBits) - 1);
    words[at + Word.flags] = bits | (this.#number << flagBits);
    snapshot.left--;
    if (snapshot.size + 2 * sessionWords > snapshot.block.length) nextBlock(snapshot);
    const { block } = snapshot;
    const to = snapshot.size;
    const pair = words[at + Word.pair]!;
    const { words: pairs } = this.#pairs.page(pair);
    const pairAt = this.#pairs.at(pair);
    block[to] = pairs[pairAt + PairWord.seedUntil]!;
    block[to + 1] = pairs[pairAt + PairWord.leechUntil]!;
    block[to + 2] = 0;
    for (let i = keyAt; i < sessionWords; i++) block[to + i] = words[at + i]!;
    block[to + Word.flags] = bits;
    block[to + Word.pair] = 0;
    snapshot.size = to + sessionWords;
    if ((flags & Flag.rare) === 0) return;
    const rare = this.#rareOf(slot);
    const { words: rareWords } = this.#rare.page(rare);
    const rareAt = this.#rare.at(rare);
    for (let i = 0; i < sessionWords; i++)
      block[snapshot.size + i] = i < RareWord.lowSeconds ? 0 : rareWords[rareAt + i]!;
    snapshot.size += sessionWords;
  }

  /** Moves the current snapshot on, if it is at a session that leaves its place. */
  #pass(slot: number): void {
    if (this.#snapshot?.next === slot) this.#snapshot.next = this.after(slot);
  }

  #readPair(pair: number): void {
    const { words } = this.#pairs.page(pair);
    const at = this.#pairs.at(pair);
    this.session.seedUntil = words[at + PairWord.seedUntil]! >>> 0;
    this.session.leechUntil = words[at + PairWord.leechUntil]! >>> 0;
  }

  #writePair(pair: number): void {
    const { words } = this.#pairs.page(pair);
    const at = this.#pairs.at(pair);
    words[at + PairWord.seedUntil] = this.session.seedUntil;
    words[at + PairWord.leechUntil] = this.session.leechUntil;
  }

  #clearRare(session: Session): void {
    session.previous = undefined;
    session.uploadedLow = session.downloadedLow = session.uploadedHigh = session.downloadedHigh = none;
    session.lowSeconds = 0;
  }

  #readRare(slot: number, flags: number): void {
    const { session } = this;
    const rare = this.#rareOf(slot);
    const page = this.#rare.page(rare);
    const { words, floats } = page;
    const at = this.#rare.at(rare);
    const values = (at + RareWord.values) / 2;
    session.lowSeconds = words[at + RareWord.lowSeconds]! >>> 0;
    session.uploadedLow = floats[values]!;
    session.downloadedLow = floats[values + 1]!;
    session.uploadedHigh = floats[values + 2]!;
    session.downloadedHigh = floats[values + 3]!;
    session.previous = undefined;
    if ((flags & Flag.previous) === 0) return;
    const previous = this.#previous;
    session.previous = previous;
    readRun(previous, page, at, RareWord);
    previous.isWhole = (flags & Flag.previousWhole) !== 0;
  }

  #writeRare(slot: number): void {
    const { session } = this;
    const { previous } = session;
    const rare = this.#rareOf(slot) || this.#addRare(slot);
    const page = this.#rare.page(rare);
    const { words, floats } = page;
    const at = this.#rare.at(rare);
    const values = (at + RareWord.values) / 2;
    words[at + RareWord.lowSeconds] = session.lowSeconds;
    floats[values] = session.uploadedLow;
    floats[values + 1] = session.downloadedLow;
    floats[values + 2] = session.uploadedHigh;
    floats[values + 3] = session.downloadedHigh;
    if (previous !== undefined) writeRun(previous, page, at, RareWord);
  }

  /** Returns the slot of the rare part of a session; 0 if there is none. */
  #rareOf(slot: number): number {
    this.#rareKey[0] = slot;
    return this.#rare.find(this.#rareKey);
  }

  #addRare(slot: number): number {
    this.#rareKey[0] = slot;
    return this.#rare.add(this.#rareKey);
  }
}

function nextBlock(snapshot: Snapshot): void {
  snapshot.full.push(snapshot.block.subarray(0, snapshot.size));
  snapshot.block = snapshot.spare ?? new Int32Array(snapshot.block.length);
  snapshot.spare = undefined;
  snapshot.size = 0;
}

function hasRarePart({
  previous,
  uploadedLow,
  downloadedLow,
  uploadedHigh,
  downloadedHigh,
}: Session): boolean {
  const isNone = uploadedLow === none && downloadedLow === none && uploadedHigh === none;
  return previous !== undefined || !isNone || downloadedHigh !== none;
}

/** Where a record has its run: the word of its three times, and that of its bytes. */
interface RunPlace {
  readonly times: number;
  readonly bytes: number;
}

/** Reads a run without `isWhole` from the record that begins at the word `at`. */
function readRun(run: Run, { words, floats }: Page, at: number, place: RunPlace): void {
  const times = at + place.times;
  const bytes = (at + place.bytes) / 2;
  run.firstSeconds = words[times]! >>> 0;
  run.seconds = words[times + 1]! >>> 0;
  run.end = words[times + 2]! >>> 0;
  run.firstUploaded = floats[bytes]!;
  run.firstDownloaded = floats[bytes + 1]!;
  run.uploaded = floats[bytes + 2]!;
  run.downloaded = floats[bytes + 3]!;
}

/** Writes what {@link readRun} reads. */
function writeRun(run: Run, { words, floats }: Page, at: number, place: RunPlace): void {
  const times = at + place.times;
  const bytes = (at + place.bytes) / 2;
  words[times] = run.firstSeconds;
  words[times + 1] = run.seconds;
  words[times + 2] = run.end;
  floats[bytes] = run.firstUploaded;
  floats[bytes + 1] = run.firstDownloaded;
  floats[bytes + 2] = run.uploaded;
  floats[bytes + 3] = run.downloaded;
}

function emptyRun(): Run {
  return {
    ...{ firstUploaded: 0, firstDownloaded: 0, firstSeconds: 0 },
    ...{ uploaded: 0, downloaded: 0, seconds: 0, end: 0, isWhole: false },
  };
}
