import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { createBeside } from "../lib/replace-file.ts";
import type { DirectoryMemory } from "./directory.ts";
import { copyDirectory, restoreDirectory } from "./directory-copy.ts";

const name = "directory";
/** Version of the file and of the tables in it. */
const version = 1;
/** Bytes that one write takes. */
const partBytes = 1 << 20;

/** The first line of the file; the tables follow. */
interface Head {
  version: number;
  /** Bytes of each table, in their order in the file. */
  tables: Record<string, number>;
  /** CRC-32 of all tables. */
  crc: number;
}

/** Keeps users and torrents in a directory of the disk, so that the tracker can start while the site is away. */
export async function saveDirectory(directory: string, memory: DirectoryMemory): Promise<void> {
  const { sizes, tables } = copyDirectory(memory);
  const head: Head = { version, tables: sizes, crc: tables.reduce((crc, bytes) => crc32(bytes, crc), 0) };
  const replacement = await createBeside(join(directory, name), 0o600);
  try {
    await replacement.file.appendFile(`${JSON.stringify(head)}\n`);
    for (const bytes of tables) {
      for (let at = 0; at < bytes.length; at += partBytes)
        await replacement.file.appendFile(bytes.subarray(at, at + partBytes));
    }
    await replacement.finish();
    await replacement.replace();
  } finally {
    await replacement.discard();
  }
}

/** Reads what {@link saveDirectory} wrote. @returns undefined if there is no such file, or if it is damaged or of another version */
export async function readDirectory(directory: string): Promise<DirectoryMemory | undefined> {
  const content = await readFile(join(directory, name)).catch(() => undefined);
  if (content === undefined) return undefined;
  const end = content.indexOf("\n");
  const body = content.subarray(end + 1);
  try {
    const head = JSON.parse(content.subarray(0, end).toString()) as Head;
    if (head.version !== version || head.crc !== crc32(body)) return undefined;
    return restoreDirectory(head.tables, body);
  } catch {
    return undefined;
  }
}
