import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryDirectory } from "../../../test/support/daemon.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { Journal } from "./journal.ts";
import { OcelotSessions } from "./ocelot-sessions.ts";
import { type AccountedAnnounce, Sessions } from "./sessions.ts";

const { none, stopped } = AnnounceEvent;
const limits = { maxRate: 1e9, maxGap: 3900, idle: 86_400 };
const start = 1_800_000_000;
const other = "0123456789abcdef0123456789abcdef";

function announce(fields: Partial<AccountedAnnounce>): AccountedAnnounce {
  return {
    ...{ seconds: start, user: 1, torrent: 1, peerId: '-XX0001-\u00ff\n a"aaaaaaa', event: none },
    ...{ uploaded: 0, downloaded: 0, left: 0, isForwarded: false, ...fields },
  };
}

function openJournal(t: TestContext): Journal {
  const directory = join(temporaryDirectory(t), "journal");
  const journal = new Journal({ directory, segmentBytes: 1 << 20, keep: 1e9 });
  t.after(() => journal.close());
  return journal;
}

async function write(journal: Journal, sessions: Sessions): Promise<string> {
  const written = await writeCheckpoint(journal, sessions, new Map([[other, 7]]), () => true);
  assert.equal(written, 0);
  return join(journal.directory, "checkpoint");
}

test("a checkpoint has all sessions, and the positions of other trackers", async (t) => {
  const journal = openJournal(t);
  const sessions = new Sessions(limits);
  const count = 3000;
  for (let user = 1; user <= count; user++) sessions.apply(announce({ user, uploaded: 2 ** 53 - 100 }));
  await write(journal, sessions);
  const restored = new Sessions(limits);
  const positions = new Map<string, number>();
  readCheckpoint(journal, restored, positions);
  assert.deepEqual([restored.size, [...positions]], [count, [[other, 7]]]);
  for (let user = 1; user <= count; user++) {
    const next = announce({ user, seconds: start + 60, uploaded: 2 ** 53 - 1 });
    const { uploaded, seedSeconds } = restored.apply(next);
    assert.deepEqual([uploaded, seedSeconds], [99, 60]);
  }
});

test("a checkpoint that is cut off, or has one wrong byte, is refused", async (t) => {
  const journal = openJournal(t);
  const sessions = new Sessions(limits);
  for (let user = 1; user <= 3; user++) sessions.apply(announce({ user }));
  const path = await write(journal, sessions);
  const bytes = readFileSync(path);
  const isRefused = (content: Uint8Array, what: string) => {
    writeFileSync(path, content);
    assert.throws(
      () => readCheckpoint(journal, new Sessions(limits), new Map()),
      { message: `${path}: not the checkpoint of this journal; see "Backup" in docs/private.md` },
      what,
    );
  };
  for (let at = 0; at < bytes.length; at++) {
    isRefused(bytes.subarray(0, at), `cut at ${at}`);
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= 1;
    isRefused(damaged, `damaged at ${at}`);
  }
});

test("a checkpoint of another journal or version is refused", async (t) => {
  const [journal, foreign] = [openJournal(t), openJournal(t)];
  const path = await write(journal, new Sessions(limits));
  writeFileSync(join(foreign.directory, "checkpoint"), readFileSync(path));
  const read = (from: Journal) => readCheckpoint(from, new Sessions(limits), new Map());
  assert.throws(() => read(foreign), /not the checkpoint of this journal/);
  assert.equal(read(journal), 0);
  for (const version of [2, 5]) {
    writeFileSync(path, `${JSON.stringify({ version, instance: journal.instance, seq: 0, sessions: 0 })}\n`);
    assert.throws(() => read(journal), /not the checkpoint of this journal/);
  }
});

/** Lines of version 3: a head, and the key and the numbers of each session. */
function linesOf(journal: Journal, rows: readonly (string | number)[][]): string {
  const head = {
    version: 3,
    instance: journal.instance,
    seq: 5,
    sessions: rows.length,
    positions: { [other]: 7 },
  };
  return [head, ...rows].map((line) => `${JSON.stringify(line)}\n`).join("");
}

test("a checkpoint of version 3 is read, with all that it has of a session", (t) => {
  const journal = openJournal(t);
  const { peerId } = announce({});
  const run = (uploaded: number, downloaded: number, seconds: number, end: number, isWhole: number) => [
    ...[uploaded, downloaded, seconds],
    ...[uploaded, downloaded, seconds, end, isWhole],
  ];
  const rows = [
    // Two clients of one user and torrent: one that seeds, and one with a pending lower value.
    [`1 1 ${peerId}`, start + 90, start, -1, -1, 0, -1, -1, start + 60, 3, ...run(2 ** 40, 50, start, 0, 0)],
    [
      ...["1 1 -XX0001-bbbbbbbbbbbb", start + 80, start + 10, 30, -1, start, 500, -1, start, 5],
      ...run(100, 50, start, 0, 0),
    ],
    // One that has begun a second run a moment ago.
    [
      ...[`2 4294967295 ${peerId}`, 0, 0, -1, -1, 0, -1, -1, start + 1, 1],
      ...run(0, 0, start + 1, 0, 1),
      ...run(700, 50, start, start + 1, 1),
    ],
  ];
  writeFileSync(join(journal.directory, "checkpoint"), linesOf(journal, rows));
  const sessions = new Sessions(limits);
  const positions = new Map<string, number>();
  assert.equal(readCheckpoint(journal, sessions, positions), 5);
  assert.deepEqual([sessions.size, [...positions]], [3, [[other, 7]]]);
  const seeder = sessions.apply(announce({ seconds: start + 120, uploaded: 2 ** 40 + 9, downloaded: 50 }));
  assert.deepEqual([seeder.uploaded, seeder.seedSeconds], [9, 30], "both clients count the time once");
  const peer = { peerId: "-XX0001-bbbbbbbbbbbb", downloaded: 50, left: 1 };
  const lower = sessions.apply(announce({ ...peer, seconds: start + 60, uploaded: 40 }));
  assert.deepEqual([lower.uploaded, lower.leechSeconds], [10, 50]);
  assert.equal(
    sessions.apply(announce({ ...peer, seconds: start + 90, uploaded: 501 })).uploaded,
    1,
    "the first copy",
  );
  const again = {
    user: 2,
    torrent: 2 ** 32 - 1,
    seconds: start + 2,
    uploaded: 700,
    downloaded: 50,
    event: stopped,
  };
  assert.equal(sessions.apply(announce(again)).isDuplicate, true);
  const late = sessions.apply(announce({ ...again, uploaded: 760 }));
  assert.deepEqual([late.isLate, late.uploaded], [true, 60]);
});

test("a checkpoint of version 3 that is cut off is refused; Ocelot's rules take the active clients of a whole one", (t) => {
  const journal = openJournal(t);
  const count = 2500;
  const rows = Array.from({ length: count }, (_, user) => {
    const counters = [user, 0, start, user, 0, start, 0, 0];
    const client = [
      `${user} 1 -XX0001-bbbbbbbbbbbb`,
      0,
      0,
      -1,
      -1,
      0,
      -1,
      -1,
      start,
      (user % 2) | 4,
      ...counters,
    ];
    return client;
  });
  const path = join(journal.directory, "checkpoint");
  const text = linesOf(journal, rows);
  writeFileSync(path, text);
  const ocelot = new OcelotSessions(7200);
  readCheckpoint(journal, ocelot, new Map());
  assert.equal(ocelot.size, count / 2);
  const first = announce({ user: 1, peerId: "-XX0001-bbbbbbbbbbbb", uploaded: 11, left: 1 });
  assert.equal(ocelot.apply(first).uploaded, 10);
  for (const size of [text.length - 1, text.lastIndexOf("\n", text.length - 2) + 1, 0]) {
    writeFileSync(path, text.slice(0, size));
    const read = () => readCheckpoint(journal, new Sessions(limits), new Map());
    if (size === text.length - 1) read();
    else assert.throws(read, /not the checkpoint of this journal/);
  }
});
