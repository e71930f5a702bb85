import type { AnnounceEvent } from "../bittorrent/event.ts";
import { latin1 } from "../lib/latin1.ts";
import type { AccountedAnnounce, Addition } from "./accounting/sessions.ts";

/**
 * One announce of a user, as workers hand it to the accountant and as the journal keeps it: 32 words of 32 bits in machine
 * order. The accountant fills the words 20 to 30. A record of user 0 is a {@link Position}.
 *
 *  0 seconds since 1970 | 1 user | 2 torrent | 3 event 8, family 8, port 16 | 4 uploaded 2 | 6 downloaded 2 | 8 left 2
 * 10 peer id 5 | 15 address 4 | 19 factors: percent of uploaded 16, of downloaded 16
 * 20 credited uploaded f64 | 22 downloaded f64 | 24 excess uploaded f64 | 26 downloaded f64
 * 28 seeding seconds | 29 downloading seconds | 30 flags: 1 snatch, 2 duplicate, 4 late, 8 routine | 31 marks, {@link Mark}
 */
export const Field = {
  seconds: 0,
  user: 1,
  torrent: 2,
  what: 3,
  counters: 4,
  peerId: 10,
  address: 15,
  factors: 19,
  uploaded: 20,
  downloaded: 22,
  excessUploaded: 24,
  excessDownloaded: 26,
  seedSeconds: 28,
  leechSeconds: 29,
  flags: 30,
  marks: 31,
} as const;

/**
 * What is noted beside an announce: whether a grant for this user and torrent has an effect, and whether the announce comes from
 * another tracker.
 */
export const Mark = { token: 1, forwarded: 2 } as const;

/** How far the records of another tracker are in the journal. */
export interface Position {
  /** Of that tracker's own journal. */
  instance: string;
  sequence: number;
}

/** Words and bytes of a record. */
export const recordWords = 32;
export const recordBytes: number = 4 * recordWords;

const Flag = { snatch: 1, duplicate: 2, late: 4, routine: 8 } as const;

/** Reads and completes records in memory that begins at a multiple of eight bytes. */
export class Records {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly #unsigned: Uint32Array;
  readonly #floats: Float64Array;
  readonly #peerId = new Int32Array(5);

  constructor(buffer: ArrayBufferLike, byteOffset: number, count: number) {
    this.words = new Int32Array(buffer, byteOffset, count * recordWords);
    this.bytes = new Uint8Array(buffer, byteOffset, count * recordBytes);
    this.#unsigned = new Uint32Array(buffer, byteOffset, count * recordWords);
    this.#floats = new Float64Array(buffer, byteOffset, (count * recordWords) / 2);
  }

  /** Copies the announce of the record at `index` into `out`. Counts above 2^53 become 2^53 - 1. */
  readAnnounce(index: number, out: AccountedAnnounce): AccountedAnnounce {
    out.peerId = this.peerIdText(index);
    return this.readNumbers(index, out);
  }

  /** Copies the announce of the record at `index` into `out`, without the peer id. Allocates nothing. */
  readNumbers(index: number, out: AccountedAnnounce): AccountedAnnounce {
    const at = index * recordWords;
    const words = this.#unsigned;
    out.seconds = words[at + Field.seconds]!;
    out.user = words[at + Field.user]!;
    out.torrent = words[at + Field.torrent]!;
    out.event = (words[at + Field.what]! & 0xff) as AnnounceEvent;
    out.uploaded = this.#counter(at + Field.counters);
    out.downloaded = this.#counter(at + Field.counters + 2);
    out.left = this.#counter(at + Field.counters + 4);
    out.isForwarded = (words[at + Field.marks]! & Mark.forwarded) !== 0;
    return out;
  }

  /** Returns the peer id of the record at `index`: 20 bytes as Latin-1. */
  peerIdText(index: number): string {
    const at = 4 * (index * recordWords + Field.peerId);
    return latin1(this.bytes, at, at + 20);
  }

  /** Returns the five words of the peer id of the record at `index`, valid until the next call. */
  peerId(index: number): Int32Array {
    const at = index * recordWords + Field.peerId;
    for (let i = 0; i < 5; i++) this.#peerId[i] = this.words[at + i]!;
    return this.#peerId;
  }

  /** Notes what the announce of a record adds. */
  complete(index: number, addition: Readonly<Addition>): void {
    const at = index * recordWords;
    this.#floats[(at + Field.uploaded) / 2] = addition.uploaded;
    this.#floats[(at + Field.downloaded) / 2] = addition.downloaded;
    this.#floats[(at + Field.excessUploaded) / 2] = addition.excessUploaded;
    this.#floats[(at + Field.excessDownloaded) / 2] = addition.excessDownloaded;
    this.words[at + Field.seedSeconds] = addition.seedSeconds;
    this.words[at + Field.leechSeconds] = addition.leechSeconds;
    this.words[at + Field.flags] =
      (addition.isSnatch ? Flag.snatch : 0) |
      (addition.isDuplicate ? Flag.duplicate : 0) |
      (addition.isLate ? Flag.late : 0) |
      (addition.isRoutine ? Flag.routine : 0);
  }

  /** Copies what the announce adds into `out`. */
  readAddition(index: number, out: Addition): Addition {
    const at = index * recordWords;
    out.uploaded = this.#floats[(at + Field.uploaded) / 2]!;
    out.downloaded = this.#floats[(at + Field.downloaded) / 2]!;
    out.excessUploaded = this.#floats[(at + Field.excessUploaded) / 2]!;
    out.excessDownloaded = this.#floats[(at + Field.excessDownloaded) / 2]!;
    out.seedSeconds = this.words[at + Field.seedSeconds]!;
    out.leechSeconds = this.words[at + Field.leechSeconds]!;
    const flags = this.words[at + Field.flags]!;
    out.isSnatch = (flags & Flag.snatch) !== 0;
    out.isDuplicate = (flags & Flag.duplicate) !== 0;
    out.isLate = (flags & Flag.late) !== 0;
    out.isRoutine = (flags & Flag.routine) !== 0;
    return out;
  }

  /** Writes a position instead of an announce: user 0, the instance in the place of the address, the sequence as a counter. */
  writePosition(index: number, { instance, sequence }: Position): void {
    const at = index * recordWords;
    this.words.fill(0, at, at + recordWords);
    this.words[at + Field.counters] = (sequence % 2 ** 32) | 0;
    this.words[at + Field.counters + 1] = Math.floor(sequence / 2 ** 32);
    this.address(index).set(Buffer.from(instance, "hex"));
  }

  /** Returns the position at `index`; undefined if the record is an announce. */
  readPosition(index: number): Position | undefined {
    const at = index * recordWords;
    if (this.words[at + Field.user] !== 0) return undefined;
    const instance = Buffer.from(this.address(index)).toString("hex");
    return { instance, sequence: this.#counter(at + Field.counters) };
  }

  /** Returns the percentages with which the record counts. */
  factors(index: number): { up: number; down: number } {
    const word = this.#unsigned[index * recordWords + Field.factors]!;
    return { up: word & 0xffff, down: word >>> 16 };
  }

  /** Whether the announce counts under a grant for its user and torrent. */
  isToken(index: number): boolean {
    return (this.words[index * recordWords + Field.marks]! & Mark.token) !== 0;
  }

  /** Seconds since 1970. */
  seconds(index: number): number {
    return this.#unsigned[index * recordWords + Field.seconds]!;
  }

  port(index: number): number {
    return this.#unsigned[index * recordWords + Field.what]! >>> 16;
  }

  /** 4 or 6. */
  family(index: number): number {
    return (this.words[index * recordWords + Field.what]! >> 8) & 0xff;
  }

  /** Returns the 16 bytes of the address, which the record keeps; an IPv4 address has the first four. */
  address(index: number): Uint8Array {
    const at = 4 * (index * recordWords + Field.address);
    return this.bytes.subarray(at, at + 16);
  }

  #counter(at: number): number {
    const bytes = this.#unsigned[at + 1]! * 2 ** 32 + this.#unsigned[at]!;
    return Math.min(bytes, Number.MAX_SAFE_INTEGER);
  }
}
