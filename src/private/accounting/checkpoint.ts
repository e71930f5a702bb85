import type { Journal } from "./journal.ts";
import type { SessionRow, Sessions } from "./sessions.ts";

const file = "checkpoint";
const version = 1;

/** The first line of a checkpoint; each further line is a {@link SessionRow}. */
interface Head {
  version: number;
  instance: string;
  /** Sequence of the last record that the sessions know. */
  seq: number;
  sessions: number;
}

/** Writes all sessions, as of the last record of the journal. */
export function writeCheckpoint(journal: Journal, sessions: Sessions): void {
  const head: Head = { version, instance: journal.instance, seq: journal.last, sessions: sessions.size };
  journal.writeFile(file, lines(head, sessions));
}

function* lines(head: Head, sessions: Sessions): Generator<string> {
  let text = `${JSON.stringify(head)}\n`;
  for (const row of sessions.rows()) {
    text += `${JSON.stringify(row)}\n`;
    if (text.length < 1 << 16) continue;
    yield text;
    text = "";
  }
  yield text;
}

/** Restores the sessions. @returns the sequence of the last record that they know; 0 without a checkpoint @throws Error if it is damaged */
export function readCheckpoint(journal: Journal, sessions: Sessions): number {
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
  return head.seq;
}
