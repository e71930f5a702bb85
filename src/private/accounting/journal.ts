import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { Records, recordBytes } from "../record.ts";

/** Words of the head of a block: magic, number of records, sequence of the first (low, high), CRC-32 of the rest. */
const headBytes = 24;
const magic = 0x314a4843; // "CHJ1" in memory of little-endian machines
const crcAt = 16;
/** Maximum number of records in a block. */
const mostRecords = 65_536;

/** Options of a {@link Journal}. */
export interface JournalOptions {
  directory: string;
  /** Bytes from which on a segment is closed, and the next one begins. */
  segmentBytes: number;
  /** Seconds for which records are kept after the site has them. */
  keep: number;
}

interface Segment {
  file: string;
  /** Sequence of its first record. */
  first: number;
}

/** Records that {@link Journal.read} yields; valid until the next step. */
export interface JournalBlock {
  records: Records;
  count: number;
  /** Sequence of the first record. */
  first: number;
}

/**
 * The records of all announces on disk, in files to which blocks are only appended. A record has a sequence number, from 1 on.
 * After {@link append} and {@link sync} a record survives the death of the process and of the machine. A block that was not
 * written whole is cut off when the journal is opened.
 *
 * The directory has: `instance` (16 random bytes in hexadecimal, by which the site knows this journal), `lock`, `checkpoint`, and
 * segments `SEQUENCE.journal`. Only one process at a time can open a journal.
 */
export class Journal {
  /** 32 hexadecimal digits. */
  readonly instance: string;
  /** Sequence of the last record; 0 if there is none. */
  last = 0;
  readonly #options: JournalOptions;
  readonly #lock: DatabaseSync;
  readonly #segments: Segment[];
  /** The segment that grows, and its size. */
  #file: number | undefined;
  #size = 0;

  /** Opens or creates the journal in a directory. @throws Error that names the directory and the problem */
  constructor(options: JournalOptions) {
    const { directory } = options;
    this.#options = options;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#lock = lockDirectory(directory);
    try {
      this.instance = readInstance(directory);
      this.#segments = listSegments(directory);
      this.#openLast();
    } catch (error) {
      this.#lock.close();
      throw error;
    }
  }

  get directory(): string {
    return this.#options.directory;
  }

  /** Sequence of the first record that the journal still has. */
  get first(): number {
    return this.#segments[0]?.first ?? this.last + 1;
  }

  /**
   * Appends the first `count` records of `records` as one block, and numbers them. The block is not safe before {@link sync}.
   * @returns the sequence of the first
   */
  append(records: Records, count: number): number {
    const first = this.last + 1;
    if (this.#file === undefined || this.#size >= this.#options.segmentBytes) this.#begin(first);
    const head = Buffer.alloc(headBytes);
    const words = new Uint32Array(head.buffer, head.byteOffset, headBytes / 4);
    words[0] = magic;
    words[1] = count;
    words[2] = first % 2 ** 32;
    words[3] = Math.floor(first / 2 ** 32);
    const payload = records.bytes.subarray(0, count * recordBytes);
    words[crcAt / 4] = crc32(payload, crc32(head.subarray(0, crcAt)));
    this.#write(head);
    this.#write(payload);
    this.last += count;
    return first;
  }

  /** Waits until all appended records are on disk. */
  sync(): void {
    if (this.#file !== undefined) fdatasyncSync(this.#file);
  }

  /** Yields the records after a sequence, block by block. @throws Error for a damaged file, or if the records are gone */
  *read(after: number): Generator<JournalBlock> {
    if (after >= this.last) return;
    if (after + 1 < this.first)
      throw new Error(`the journal begins with record ${this.first}, but record ${after + 1} is needed`);
    for (const [index, { file }] of this.#segments.entries()) {
      const next = this.#segments[index + 1]?.first ?? this.last + 1;
      if (next <= after + 1) continue;
      yield* this.#readSegment(file, after, next);
    }
  }

  *#readSegment(file: string, after: number, next: number): Generator<JournalBlock> {
    const fd = openSync(file, "r");
    try {
      let expected: number | undefined;
      for (let at = 0; expected === undefined || expected < next; ) {
        const block = readBlock(fd, at);
        if (block === undefined) throw new Error(`${file}: damaged at byte ${at}`);
        at += headBytes + block.count * recordBytes;
        expected = block.first + block.count;
        if (expected <= after + 1) continue;
        const skipped = Math.max(0, after + 1 - block.first);
        const { bytes } = block.records;
        yield {
          records: new Records(bytes.buffer, bytes.byteOffset + skipped * recordBytes, block.count - skipped),
          count: block.count - skipped,
          first: block.first + skipped,
        };
      }
    } finally {
      closeSync(fd);
    }
  }

  /** Removes the segments whose records are all at or below `done`, and older than the time to keep them. @param now  seconds */
  prune(done: number, now: number): void {
    while (this.#segments.length > 1 && this.#segments[1]!.first <= done + 1) {
      const { file } = this.#segments[0]!;
      if (now - statSync(file).mtimeMs / 1000 < this.#options.keep) return;
      unlinkSync(file);
      this.#segments.shift();
    }
  }

  /** Replaces a small file of the directory at once, and waits until it is on disk. */
  writeFile(name: string, parts: Iterable<string>): void {
    writeWhole(this.directory, name, parts);
  }

  /** Returns the content of a small file of the directory; undefined without one. */
  readFile(name: string): string | undefined {
    const file = join(this.directory, name);
    return existsSync(file) ? readFileSync(file, "utf8") : undefined;
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    this.#lock.close();
  }

  #openLast(): void {
    const segment = this.#segments.at(-1);
    if (segment === undefined) return;
    const fd = openSync(segment.file, "r+");
    this.last = segment.first - 1;
    let at = 0;
    for (let block = readBlock(fd, at); block !== undefined; block = readBlock(fd, at)) {
      if (block.first !== this.last + 1) break;
      at += headBytes + block.count * recordBytes;
      this.last += block.count;
    }
    ftruncateSync(fd, at);
    fsyncSync(fd);
    this.#file = fd;
    this.#size = at;
  }

  #begin(first: number): void {
    if (this.#file !== undefined) {
      this.sync();
      closeSync(this.#file);
    }
    const file = join(this.directory, `${String(first).padStart(16, "0")}.journal`);
    this.#file = openSync(file, "wx", 0o600);
    this.#size = 0;
    syncDirectory(this.directory);
    this.#segments.push({ file, first });
  }

  #write(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      const written = writeSync(this.#file!, bytes, from, bytes.length - from, this.#size);
      from += written;
      this.#size += written;
    }
  }
}

/** Reads the block at `at`. Returns undefined at the end of the file, and for a block that is not whole. */
function readBlock(fd: number, at: number): JournalBlock | undefined {
  const head = Buffer.alloc(headBytes);
  if (readSync(fd, head, 0, headBytes, at) < headBytes) return undefined;
  const words = new Uint32Array(head.buffer, head.byteOffset, headBytes / 4);
  const count = words[1]!;
  if (words[0] !== magic || count === 0 || count > mostRecords) return undefined;
  const payload = new Uint8Array(count * recordBytes);
  if (readSync(fd, payload, 0, payload.length, at + headBytes) < payload.length) return undefined;
  if (words[crcAt / 4] !== crc32(payload, crc32(head.subarray(0, crcAt)))) return undefined;
  return { records: new Records(payload.buffer, 0, count), count, first: words[3]! * 2 ** 32 + words[2]! };
}

/** Holds a lock that ends with the process. @throws Error if another process has it */
function lockDirectory(directory: string): DatabaseSync {
  const lock = new DatabaseSync(join(directory, "lock"), { timeout: 0 });
  try {
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    throw new Error(`${directory} is in use by another tracker, or by "chihaya private"`, { cause: error });
  }
}

function readInstance(directory: string): string {
  const file = join(directory, "instance");
  if (!existsSync(file)) {
    if (listSegments(directory).length > 0) throw new Error(`${file} is missing; restore it from a backup`);
    writeWhole(directory, "instance", [randomBytes(16).toString("hex")]);
  }
  const instance = readFileSync(file, "utf8").trim();
  if (/^[\da-f]{32}$/.test(instance)) return instance;
  throw new Error(`${file} is damaged: expected 32 hexadecimal digits`);
}

function listSegments(directory: string): Segment[] {
  return readdirSync(directory)
    .filter((name) => /^\d{16}\.journal$/.test(name))
    .sort()
    .map((name) => ({ file: join(directory, name), first: Number.parseInt(name, 10) }));
}

/** Writes a file beside the old one, then puts it in its place. */
function writeWhole(directory: string, name: string, parts: Iterable<string>): void {
  const file = join(directory, name);
  const temporary = `${file}.new`;
  writeFileSync(temporary, "", { mode: 0o600 });
  const fd = openSync(temporary, "w", 0o600);
  try {
    for (const part of parts) writeFileSync(fd, part);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, file);
  syncDirectory(directory);
}

/** Makes names of a directory survive the death of the machine. Windows cannot open a directory, and needs no such step. */
function syncDirectory(directory: string): void {
  if (process.platform === "win32") return;
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
