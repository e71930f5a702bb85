import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { createBeside } from "../../lib/replace-file.ts";
import { readRows } from "./checkpoint-3.ts";
import { type Journal, remedy } from "./journal.ts";
import { blockWords } from "./session-table.ts";
import type { AccountingRules } from "./sessions.ts";

const file = "checkpoint";
const version = 4;

/**
 * The first line of a checkpoint. Blocks of sessions follow, as `session-table.ts` has them: the number of words u32, the CRC-32 of
 * everything up to the end of the block without the heads of blocks u32, and the words. The last block is empty.
 */
interface Head {
  version: number;
  instance: string;
  /** Sequence of the last record that the sessions know. */
  seq: number;
  sessions: number;
  /** How far the records of other trackers are in the journal, by their instance. */
  positions?: Record<string, number>;
}

const blockHeadBytes = 8;
/** Bytes that may wait in memory of the system, so that the last step is as short as all others. */
const unsyncedBytes = 4 << 20;

/**
 * Writes all sessions as of the last record of the journal, in steps: announces may be applied meanwhile.
 * @param isReady  whether the sessions know exactly the records of the journal; called when the snapshot begins
 * @returns the sequence of the last record that the checkpoint knows; undefined if nothing was written
 */
export async function writeCheckpoint(
  journal: Journal,
  sessions: AccountingRules,
  positions: ReadonlyMap<string, number>,
  isReady: () => boolean,
): Promise<number | undefined> {
  const replacement = await createBeside(join(journal.directory, file), 0o600);
  try {
    if (!isReady()) return undefined;
    const { instance, last: seq } = journal;
    const others = Object.fromEntries(positions);
    const head: Head = { version, instance, seq, sessions: sessions.size, positions: others };
    let unsynced = 0;
    for (const part of parts(head, sessions.snapshot())) {
      await replacement.file.appendFile(part);
      unsynced += part.length;
      if (unsynced < unsyncedBytes) continue;
      await replacement.file.datasync();
      unsynced = 0;
    }
    await replacement.finish();
    await replacement.replace();
    return head.seq;
  } finally {
    await replacement.discard();
  }
}

/** Yields the bytes of a checkpoint. The first part has a block too, so that the snapshot begins at once. */
function* parts(head: Head, blocks: Iterable<Int32Array>): Generator<Buffer> {
  let start = Buffer.from(`${JSON.stringify(head)}\n`);
  let crc = crc32(start);
  const partOf = (block: Int32Array): Buffer => {
    const bytes = new Uint8Array(block.buffer, block.byteOffset, block.byteLength);
    crc = crc32(bytes, crc);
    const blockHead = new Uint8Array(new Uint32Array([block.length, crc]).buffer);
    const part = Buffer.concat([start, blockHead, bytes]);
    start = Buffer.alloc(0);
    return part;
  };
  for (const block of blocks) yield partOf(block);
  yield partOf(new Int32Array(0));
}

/**
 * Restores sessions and positions. @returns the sequence of the last record that they know; 0 without a checkpoint
 * @throws Error if the checkpoint is damaged, or of another journal
 */
export function readCheckpoint(
  journal: Journal,
  sessions: AccountingRules,
  positions: Map<string, number>,
): number {
  const path = join(journal.directory, file);
  if (!existsSync(path)) return 0;
  const lines = journal.readLines(file);
  try {
    const line = lines.next().value ?? "";
    const head = JSON.parse(line) as Head;
    if (head.instance !== journal.instance || ![3, version].includes(head.version))
      throw new Error(`version ${head.version} of the journal ${head.instance}`);
    const blocks = head.version === 3 ? readRows(lines) : readBlocks(path, `${line}\n`);
    let count = 0;
    for (const block of blocks) count += sessions.restore(block);
    if (count !== head.sessions) throw new Error(`${count} of ${head.sessions} clients`);
    for (const [instance, sequence] of Object.entries(head.positions ?? {}))
      positions.set(instance, sequence);
    return head.seq;
  } catch (error) {
    throw new Error(`${path}: not the checkpoint of this journal; ${remedy}`, { cause: error });
  } finally {
    lines.return(undefined);
  }
}

/** Yields the blocks behind the first line of the file. @throws Error if it is damaged, or cut off */
function* readBlocks(path: string, line: string): Generator<Int32Array> {
  const fd = openSync(path, "r");
  try {
    const head = new Uint32Array(2);
    let crc = crc32(line);
    for (let at = Buffer.byteLength(line); ; ) {
      const size = readSync(fd, head, 0, blockHeadBytes, at);
      const block = new Int32Array(Math.min(head[0]!, blockWords));
      at += size + readSync(fd, block, 0, block.byteLength, at + size);
      crc = crc32(new Uint8Array(block.buffer), crc);
      if (size < blockHeadBytes || block.length !== head[0] || crc !== head[1])
        throw new Error(`damaged before byte ${at}`);
      if (block.length === 0) return;
      yield block;
    }
  } finally {
    closeSync(fd);
  }
}
