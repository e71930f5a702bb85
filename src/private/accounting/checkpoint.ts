import { join } from "node:path";
import { createBeside } from "../../lib/replace-file.ts";
import type { Journal } from "./journal.ts";
import type { SessionRow, Sessions } from "./sessions.ts";

const file = "checkpoint";
const version = 3;

/** The first line of a checkpoint; each further line is a {@link SessionRow}. */
interface Head {
  version: number;
  instance: string;
  /** Sequence of the last record that the sessions know. */
  seq: number;
  sessions: number;
  /** How far the records of other trackers are in the journal, by their instance. */
  positions?: Record<string, number>;
}

/** Sessions that are written in one step, for which the thread does nothing else. */
const stepSessions = 1000;
/** Bytes that may wait in memory of the system, so that the last step is as short as all others. */
const unsyncedBytes = 4 << 20;

/**
 * Writes all sessions as of the last record of the journal, in steps: announces may be applied meanwhile.
 * @param isReady  whether the sessions know exactly the records of the journal; called when the snapshot begins
 * @returns the sequence of the last record that the checkpoint knows; undefined if nothing was written
 */
export async function writeCheckpoint(
  journal: Journal,
  sessions: Sessions,
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
    for (const text of steps(head, sessions.snapshot())) {
      await replacement.file.appendFile(text);
      unsynced += text.length;
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

function* steps(head: Head, rows: Iterable<SessionRow>): Generator<string> {
  let lines = [JSON.stringify(head)];
  for (const row of rows) {
    lines.push(JSON.stringify(row));
    if (lines.length < stepSessions) continue;
    yield `${lines.join("\n")}\n`;
    lines = [];
  }
  yield lines.map((line) => `${line}\n`).join("");
}

/** Restores sessions and positions. @returns the sequence of the last record that they know; 0 without a checkpoint @throws Error if it is damaged */
export function readCheckpoint(journal: Journal, sessions: Sessions, positions: Map<string, number>): number {
  const problem = `${journal.directory}/${file}: not the checkpoint of this journal`;
  let head: Head | undefined;
  for (const line of journal.readLines(file)) {
    if (head !== undefined) sessions.restore(JSON.parse(line) as SessionRow);
    else {
      head = JSON.parse(line) as Head;
      if (head.version !== version || head.instance !== journal.instance) throw new Error(problem);
    }
  }
  if (head === undefined) return 0;
  if (head.sessions !== sessions.size) throw new Error(problem);
  for (const [instance, sequence] of Object.entries(head.positions ?? {})) positions.set(instance, sequence);
  return head.seq;
}
