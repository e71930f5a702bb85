import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
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
import { StringDecoder } from "node:string_decoder";
import { crc32 } from "node:zlib";
import { fileIdentity } from "../../lib/file-identity.ts";
import { type FileLock, lockFile } from "../lock-file.ts";
import { makeDirectory } from "../make-directory.ts";
import { Records, recordBytes } from "../record.ts";

/** Words of the head of a block: magic, number of records, sequence of the first (low, high), CRC-32 of the rest. */
const headBytes = 24;
const magic = 0x314a4843; // "CHJ1" in memory of little-endian machines
const crcAt = 16;
/** Maximum number of records in a block. */
const mostRecords = 65_536;

/** What to do if a part of the journal is lost or damaged: the end of a message. */
export const remedy = 'see "Backup" in docs/private.md';

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
 * After {@link write} a record survives the death of the process and of the machine. A block that was not written whole is cut
 * off when the journal is opened.
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
  readonly #lock: FileLock;
  readonly #segments: Segment[];
  /** The segment that grows, and its size. */
  #file: number | undefined;
  #size = 0;
  /** Whether the file may have bytes of a failed {@link write} after {@link #size}. */
  #isTorn = false;
  /** The newest file of the directory: the segment that grows, or at first `instance`. */
  #newest: { file: string; identity: string };

  /** Opens or creates the journal in a directory. @throws Error that names the directory and the problem */
  constructor(options: JournalOptions) {
    const { directory } = options;
    this.#options = options;
    makeDirectory(directory, 0o700);
    this.#lock = lockDirectory(directory);
    try {
      this.instance = readInstance(directory);
      this.#segments = listSegments(directory);
      this.#newest = identify(join(directory, "instance"));
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
   * Appends the first `count` records of `records` as one block, numbers them, and waits until they are on disk.
   * @returns the sequence of the first
   * @throws Error of the disk; the journal is then as before, and the same records may be written again
   */
  write(records: Records, count: number): number {
    this.#check();
    const first = this.last + 1;
    if (this.#file === undefined || this.#size >= this.#options.segmentBytes) this.#begin(first);
    const bytes = Buffer.alloc(headBytes + count * recordBytes);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, headBytes / 4);
    words[0] = magic;
    words[1] = count;
    words[2] = first % 2 ** 32;
    words[3] = Math.floor(first / 2 ** 32);
    bytes.set(records.bytes.subarray(0, count * recordBytes), headBytes);
    words[crcAt / 4] = crc32(bytes.subarray(headBytes), crc32(bytes.subarray(0, crcAt)));
    if (this.#isTorn) ftruncateSync(this.#file!, this.#size);
    this.#isTorn = true;
    writeAt(this.#file!, bytes, this.#size);
    fdatasyncSync(this.#file!);
    this.#isTorn = false;
    this.#size += bytes.length;
    this.last += count;
    return first;
  }

  /** Yields the records after a sequence, block by block. @throws Error for a damaged file, or if the records are gone */
  *read(after: number): Generator<JournalBlock> {
    if (after >= this.last) return;
    if (after + 1 < this.first)
      throw new Error(
        `the journal begins with record ${this.first}, but record ${after + 1} is needed; ${remedy}`,
      );
    for (const [index, { file }] of this.#segments.entries()) {
      const next = this.#segments[index + 1]?.first ?? this.last + 1;
      if (next <= after + 1) continue;
      yield* this.#readSegment(file, after, next);
    }
  }

  *#readSegment(file: string, after: number, next: number): Generator<JournalBlock> {
    const fd = openSync(file, "r");
    try {
      for (let at = 0, end = 0; end < next; ) {
        const head = readHead(fd, at) ?? damaged(file, at);
        end = head.first + head.count;
        if (end > after + 1) {
          const { bytes } = readRecords(fd, at, head) ?? damaged(file, at);
          const skipped = Math.max(0, after + 1 - head.first);
          const count = head.count - skipped;
          const records = new Records(bytes.buffer, bytes.byteOffset + skipped * recordBytes, count);
          yield { records, count, first: head.first + skipped };
        }
        at += sizeOf(head);
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

  /** Replaces a file of the directory at once, and waits until it is on disk. */
  writeFile(name: string, parts: Iterable<string>): void {
    writeWhole(this.directory, name, parts);
  }

  /** Yields the lines of a file of the directory; none without one. */
  *readLines(name: string): Generator<string> {
    const file = join(this.directory, name);
    if (!existsSync(file)) return;
    const fd = openSync(file, "r");
    try {
      const decoder = new StringDecoder("utf8");
      const bytes = Buffer.alloc(1 << 16);
      let rest = "";
      for (let size = readSync(fd, bytes); size > 0; size = readSync(fd, bytes)) {
        const lines = (rest + decoder.write(bytes.subarray(0, size))).split("\n");
        rest = lines.pop()!;
        yield* lines;
      }
      if (rest !== "") yield rest;
    } finally {
      closeSync(fd);
    }
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
    for (let head = readHead(fd, at); head?.first === this.last + 1; head = readHead(fd, at)) {
      if (readRecords(fd, at, head) === undefined) break;
      at += sizeOf(head);
      this.last += head.count;
    }
    ftruncateSync(fd, at);
    fsyncSync(fd);
    this.#file = fd;
    this.#size = at;
    this.#newest = identify(segment.file);
  }

  #begin(first: number): void {
    const file = join(this.directory, `${String(first).padStart(16, "0")}.journal`);
    // A file of that name has nothing yet: its beginning has failed before.
    const fd = openSync(file, "w", 0o600);
    try {
      syncDirectory(this.directory);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = fd;
    this.#size = 0;
    this.#isTorn = false;
    this.#segments.push({ file, first });
    this.#newest = identify(file);
  }

  /** @throws Error with the remedy, if the directory does not have the file that grows: the next start would not find its records */
  #check(): void {
    const { file, identity } = this.#newest;
    if (fileIdentity(file) === identity && statSync(file).size >= this.#size) return;
    throw new Error(
      `${file}: the file was removed, replaced or cut; move the same file back, or, if it is lost, ${remedy}`,
    );
  }
}

/** Names a file with what identifies it. */
function identify(file: string): { file: string; identity: string } {
  return { file, identity: fileIdentity(file) };
}

function writeAt(fd: number, bytes: Uint8Array, at: number): void {
  for (let from = 0; from < bytes.length; )
    from += writeSync(fd, bytes, from, bytes.length - from, at + from);
}

/** What the head of a block says. */
interface BlockHead {
  count: number;
  first: number;
  /** CRC-32 of the fields before, and of the records. */
  crc: number;
  bytes: Buffer;
}

/** Reads the head of the block at `at`. Returns undefined if there is none. */
function readHead(fd: number, at: number): BlockHead | undefined {
  const bytes = Buffer.alloc(headBytes);
  if (readSync(fd, bytes, 0, headBytes, at) < headBytes) return undefined;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, headBytes / 4);
  const count = words[1]!;
  if (words[0] !== magic || count === 0 || count > mostRecords) return undefined;
  return { count, first: words[3]! * 2 ** 32 + words[2]!, crc: words[crcAt / 4]!, bytes };
}

/** Reads the records of the block at `at`. Returns undefined if the block is not whole. */
function readRecords(fd: number, at: number, { count, crc, bytes }: BlockHead): Records | undefined {
  const payload = new Uint8Array(count * recordBytes);
  if (readSync(fd, payload, 0, payload.length, at + headBytes) < payload.length) return undefined;
  if (crc !== crc32(payload, crc32(bytes.subarray(0, crcAt)))) return undefined;
  return new Records(payload.buffer, 0, count);
}

function sizeOf({ count }: BlockHead): number {
  return headBytes + count * recordBytes;
}

function damaged(file: string, at: number): never {
  throw new Error(`${file}: damaged at byte ${at}; ${remedy}`);
}

/** Holds a lock that ends with the process. @throws Error if another process has it, or the directory cannot be written */
function lockDirectory(directory: string): FileLock {
  let lock: FileLock | undefined;
  try {
    lock = lockFile(join(directory, "lock"));
  } catch (error) {
    throw new Error(`${directory} cannot be written: ${(error as Error).message}`, { cause: error });
  }
  if (lock === undefined)
    throw new Error(`${directory} is in use by another tracker, or by "chihaya private"`);
  return lock;
}

function readInstance(directory: string): string {
  const file = join(directory, "instance");
  if (!existsSync(file)) {
    if (listSegments(directory).length > 0)
      throw new Error(`${file} is missing; put it back, or, if it is lost, ${remedy}`);
    writeWhole(directory, "instance", [randomBytes(16).toString("hex")]);
  }
  const instance = readFileSync(file, "utf8").trim();
  if (/^[\da-f]{32}$/.test(instance)) return instance;
  throw new Error(`${file} is damaged: expected 32 hexadecimal digits; ${remedy}`);
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
