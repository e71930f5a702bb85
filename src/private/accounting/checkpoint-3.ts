import { type Run, SessionTable } from "./session-table.ts";
import { toWords } from "./sessions.ts";

/** A session: its user, torrent and peer id with spaces between them, and numbers. */
type Row = readonly [key: string, ...values: number[]];

const stepRows = 1000;

/** Reads the lines of a checkpoint of version 3 behind the first one, a line for each session. Yields blocks as a snapshot does. */
export function* readRows(lines: Iterable<string>): Generator<Int32Array> {
  let table = new SessionTable();
  for (const line of lines) {
    addRow(table, JSON.parse(line) as Row);
    if (table.size < stepRows) continue;
    yield* table.snapshot();
    table = new SessionTable();
  }
  yield* table.snapshot();
}

function addRow(table: SessionTable, [key, ...values]: Row): void {
  const [, user, torrent, peerId] = /^(\d+) (\d+) (.*)$/s.exec(key)!;
  table.find(Number(user), Number(torrent), toWords(peerId!));
  const slot = table.add();
  const { session } = table;
  const [seedUntil, leechUntil, ...others] = values as [number, number, ...number[]];
  session.seedUntil = Math.max(seedUntil, session.seedUntil);
  session.leechUntil = Math.max(leechUntil, session.leechUntil);
  [session.uploadedLow, session.downloadedLow, session.lowSeconds] = others as [number, number, number];
  [session.uploadedHigh, session.downloadedHigh] = others.slice(3) as [number, number];
  const [lastSeconds, flags] = others.slice(5) as [number, number];
  session.lastSeconds = lastSeconds;
  session.isActive = (flags & 1) !== 0;
  session.isSeeder = (flags & 2) !== 0;
  session.wasIncomplete = (flags & 4) !== 0;
  session.isBoth = (flags & 8) !== 0;
  session.run = toRun(others.slice(7));
  if (others.length > 15) session.previous = toRun(others.slice(15));
  table.write(slot);
}

function toRun(values: number[]): Run {
  const [firstUploaded = 0, firstDownloaded = 0, firstSeconds = 0, ...others] = values;
  const [uploaded = 0, downloaded = 0, seconds = 0, end = 0, isWhole = 0] = others;
  const first = { firstUploaded, firstDownloaded, firstSeconds };
  return { ...first, uploaded, downloaded, seconds, end, isWhole: isWhole !== 0 };
}
