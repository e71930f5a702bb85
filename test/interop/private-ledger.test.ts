/** Lost replies to COMMIT, and deaths of database and tracker: every byte is credited exactly once, because of the ledger. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createRandom } from "../../src/lib/clock.ts";
import { SiteAdministration } from "../../src/private/sites/sql/administration.ts";
import { openDatabase } from "../../src/private/sites/sql/open-database.ts";
import { createTables } from "../../src/private/sites/sql/schema.ts";
import { temporaryDirectory } from "../support/daemon.ts";
import { CommitCutter, type LedgerBatch, LedgerProcess } from "../support/ledger.ts";
import { createTestDatabase, type DatabaseKind, databaseKinds } from "../support/private-database.ts";

/** The size of a run: by default small, as the whole of it takes minutes. */
const isFull = process.env.CHIHAYA_TEST_LEDGER === "full";
const whole = isFull
  ? { batches: 300, announces: 100_000, users: 500, trackerDeaths: 5, databaseDeaths: 2 }
  : { batches: 42, announces: 6300, users: 50, trackerDeaths: 3, databaseDeaths: 1 };
const torrents = 20;
/** Each of these batches loses the reply to its COMMIT. */
const losesEvery = 6;

/** Runs a tracker through all of it. @returns what was moved and what was credited, by user, and the number of lost replies */
async function run(t: TestContext, kind: DatabaseKind, mode: "ledger" | "none", size: typeof whole) {
  const { address, port, crash } = await createTestDatabase(t, kind);
  const opened = await openDatabase(address, "");
  t.after(() => opened.database.close());
  await createTables(opened);
  const administration = new SiteAdministration(opened);
  for (let n = 1; n <= size.users; n++) await administration.addUser(`user ${n}`);
  for (let n = 1; n <= torrents; n++) await administration.addTorrent({ v1: Buffer.alloc(20, n) });
  const cutter = kind === "SQLite" ? undefined : await CommitCutter.start(t, port);
  const place = cutter === undefined ? address : address.replace(`:${port}/`, `:${cutter.port}/`);
  const journal = join(temporaryDirectory(t), "journal");
  const start = () => LedgerProcess.start(t, place, journal, mode);
  let tracker = await start();
  const random = createRandom(14);
  const counters = new Map<string, { user: number; torrent: number; uploaded: number }>();
  const first: [number, number, number][] = [];
  for (let user = 1; user <= size.users; user++)
    for (let torrent = 1; torrent <= torrents; torrent++) {
      counters.set(`${user} ${torrent}`, { user, torrent, uploaded: 0 });
      first.push([user, torrent, 0]);
    }
  for (let at = 0; at < first.length; at += 1000) {
    tracker.send({ announces: first.slice(at, at + 1000), losesReply: false });
    await tracker.until("applied");
  }
  const evenly = (index: number, times: number) => {
    const step = Math.floor(size.batches / (times + 1));
    return index > 0 && index % step === 0 && index / step <= times;
  };
  let lost = 0;
  let crashes = 0;
  let deaths = 0;
  const perBatch = Math.ceil(size.announces / size.batches);
  for (let index = 0; index < size.batches; index++) {
    const announces = Array.from({ length: perBatch }, (): [number, number, number] => {
      const key = `${1 + (random.next() % size.users)} ${1 + (random.next() % torrents)}`;
      const session = counters.get(key)!;
      session.uploaded += random.next() % 10_000;
      return [session.user, session.torrent, session.uploaded];
    });
    const losesReply = index % losesEvery === 2;
    if (cutter !== undefined && losesReply) cutter.isArmed = true;
    const batch: LedgerBatch = { announces, losesReply: cutter === undefined && losesReply };
    if (batch.losesReply) lost++;
    tracker.send(batch);
    if (evenly(index, size.trackerDeaths)) {
      deaths++;
      if (deaths % 2 === 0) await tracker.until("recorded"); // else at any moment of the batch
      await tracker.kill();
      tracker = await start();
      tracker.send({ ...batch, losesReply: false }); // clients repeat an announce without a response
    }
    if (evenly(index + 3, size.databaseDeaths)) {
      crashes++;
      await crash();
    }
    await tracker.until("applied");
  }
  if (cutter !== undefined) cutter.isArmed = false;
  for (let isDone = false; !isDone; ) {
    tracker.send({ announces: [], losesReply: false });
    ({ isDone } = await tracker.until("applied"));
  }
  const moved = Array.from({ length: size.users }, () => 0n);
  for (const { user, uploaded } of counters.values()) moved[user - 1]! += BigInt(uploaded);
  const rows = await opened.database.rows("SELECT uploaded FROM users ORDER BY id");
  const credited = rows.map(({ uploaded }) => BigInt(uploaded as string));
  return { moved, credited, lost: cutter?.cuts ?? lost, crashes, deaths };
}

for (const [kind, skip] of databaseKinds) {
  test(`${kind}: every byte is credited exactly once`, { skip }, async (t) => {
    const { moved, credited, lost, crashes, deaths } = await run(t, kind, "ledger", whole);
    assert.deepEqual(credited, moved);
    assert.ok(lost >= whole.batches / losesEvery - 3, `${lost} replies were lost`);
    assert.deepEqual([crashes, deaths], [whole.databaseDeaths, whole.trackerDeaths]);
    t.diagnostic(
      `${lost} transactions were applied whose reply was lost; ${moved.reduce((a, b) => a + b)} bytes`,
    );
  });

  test(`${kind}: without the ledger, bytes are credited twice`, { skip }, async (t) => {
    const size = { batches: 12, announces: 1200, users: 50, trackerDeaths: 0, databaseDeaths: 0 };
    const { moved, credited } = await run(t, kind, "none", size);
    const sum = (values: readonly bigint[]) => values.reduce((a, b) => a + b);
    assert.ok(sum(credited) > sum(moved), `${sum(credited)} of ${sum(moved)}`);
    t.diagnostic(`credited ${sum(credited)} of ${sum(moved)} bytes`);
  });
}
