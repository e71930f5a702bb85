import { type FileHandle, realpath } from "node:fs/promises";
import { openFile } from "../../lib/open-file.ts";
import { Pace } from "../../lib/pace.ts";
import { createBeside, keepAccess, stampOf } from "../../lib/replace-file.ts";
import { Turns } from "../../lib/turns.ts";

/** Characters that one write takes. */
const chunkLength = 64 * 1024;

/** The changes of one file of a list. */
export interface FileChange {
  /** Entries to append, unless the file has them. */
  readonly added: ReadonlySet<string>;
  readonly removed: ReadonlySet<string>;
  /** Returns the entry of a line; undefined for comments. */
  readLine(line: string): string | undefined;
}

/** The changes of files run one after the other. */
const turns = new Turns();

/**
 * Changes a file of a list: writes a new file beside it, with the same mode and owner, and renames the new file. Lines with
 * other entries, and comments, are not changed.
 * @returns the number of lines that were added or removed
 * @throws Error with a text for operators; the file is unchanged then
 */
export function changeFile(path: string, change: FileChange): Promise<number> {
  return turns.take(() => rewrite(path, change));
}

async function rewrite(path: string, change: FileChange): Promise<number> {
  const real = await realpath(path);
  const from = await openFile(real);
  try {
    const access = await from.stat();
    const before = await stampOf(real);
    const replacement = await createBeside(real, 0o600);
    try {
      const { file } = replacement;
      await keepAccess(file, access);
      const changes = await copyLines(from, file, change);
      await replacement.finish();
      if ((await stampOf(real)) !== before) throw new Error("the file has changed meanwhile; try again");
      if (changes > 0) await replacement.replace();
      else await replacement.discard();
      return changes;
    } catch (error) {
      await replacement.discard();
      throw error;
    }
  } finally {
    await from.close();
  }
}

async function copyLines(
  from: FileHandle,
  to: FileHandle,
  { added, removed, readLine }: FileChange,
): Promise<number> {
  const missing = new Set(added);
  const pace = new Pace();
  let changes = 0;
  let isFirst = true;
  let out = "";
  let length = 0;
  let rest = "";
  const take = (line: string): void => {
    // A byte order mark, in Latin-1.
    const text = isFirst ? line.replace(/^\u00ef\u00bb\u00bf/, "") : line;
    if (isFirst && text.trimStart().startsWith("["))
      throw new Error("the file is a JSON array, which the API does not change");
    if (text.trim() !== "") isFirst = false;
    const entry = /^\s*([#;]|$)/.test(text) ? undefined : readLine(text);
    if (entry !== undefined && removed.has(entry)) {
      changes++;
      return;
    }
    if (entry !== undefined) missing.delete(entry);
    out += line;
  };
  const flush = async (): Promise<void> => {
    length += out.length;
    await to.writeFile(out, "latin1");
    out = "";
  };
  for await (const chunk of from.createReadStream({ autoClose: false, encoding: "latin1" })) {
    const lines = `${rest}${chunk}`.split(/(?<=\n)/);
    rest = lines.at(-1)?.endsWith("\n") ? "" : (lines.pop() ?? "");
    for (const line of lines) {
      take(line);
      if (out.length >= chunkLength) await flush();
      await pace.step();
    }
  }
  if (rest !== "") take(rest);
  for (const entry of missing) {
    if (out !== "" && !out.endsWith("\n")) out += "\n";
    out += `${entry}\n`;
    changes++;
    if (out.length >= chunkLength) await flush();
  }
  // A list without any line is refused, because such a file is usually a mistake.
  if (length + out.length === 0) out = "# no entries\n";
  await flush();
  return changes;
}
