import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { failHalfWrites } from "../../../test/support/failing-disk.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { createRandom } from "../../lib/clock.ts";
import { silentLogger } from "../../observability/logger.ts";
import { Directory, type DirectoryMemory, User } from "../directory.ts";
import { packFactors } from "../factors.ts";
import type { PrivateOptions } from "../options.ts";
import { Field } from "../record.ts";
import { createAccountingMemory, Ring } from "../ring.ts";
import type { Applied, Site } from "../site.ts";
import { SiteAdministration } from "../sites/sql/administration.ts";
import { openDatabase } from "../sites/sql/open-database.ts";
import { createTables } from "../sites/sql/schema.ts";
import { SqlSite } from "../sites/sql/sql-site.ts";
import { Accountant } from "./accountant.ts";
import type { Batch } from "./batch.ts";
import { Journal } from "./journal.ts";

const { none, started, completed, stopped } = AnnounceEvent;
const start = 1_800_000_000;

interface Announce {
  user?: number;
  torrent?: number;
  client?: string;
  event?: AnnounceEvent;
  uploaded?: number;
  downloaded?: number;
  left?: number;
  seconds?: number;
  up?: number;
  down?: number;
}

/** A site in SQLite with an accountant, which can end at any moment. */
class Bench {
  readonly directory: string;
  readonly file: string;
  readonly memory = createAccountingMemory(1);
  readonly ring: Ring = new Ring({ ring: this.memory.rings[0]!, signal: this.memory.signal });
  published: DirectoryMemory | undefined;
  readonly options: PrivateOptions;
  accountant!: Accountant;
  #site!: Site;
  #journal!: Journal;
  readonly clock = { seconds: 1000, unixSeconds: start };
  readonly lines: string[] = [];

  constructor(t: TestContext, options: Partial<PrivateOptions> = {}) {
    this.directory = mkdtempSync(join(tmpdir(), "chihaya-accounts-"));
    this.file = join(this.directory, "site.sqlite");
    const dir = join(this.directory, "journal");
    this.options = {
      ...{
        site: "sql",
        database: this.file,
        journal: { dir, keep: 1e9 },
        ...{ password: "", url: "", secretFile: "", announceUrl: "" },
        storeIps: "plain",
        trackers: { addr: [], secret: "" },
      },
      ...{ ledger: "chihaya", listen: "", reportSecretFile: "" },
      ...{ rules: "chihaya", serveOnTracker: false },
      ...{ maxRate: 1e6, announceMin: 0, peersTimeout: 7200, idleSessions: 86_400, ...options },
    };
    t.after(async () => {
      await this.die();
      rmSync(this.directory, { recursive: true });
    });
  }

  async administer<Result>(work: (site: SiteAdministration) => Promise<Result>): Promise<Result> {
    const open = await openDatabase(this.file, "");
    try {
      return await work(new SiteAdministration(open));
    } finally {
      await open.database.close();
    }
  }

  /** Makes the database, and adds users and torrents. */
  async populate(users: number, torrents = 1): Promise<void> {
    writeFileSync(this.file, "");
    const open = await openDatabase(this.file, "");
    await createTables(open);
    await open.database.close();
    await this.administer(async (site) => {
      for (let n = 1; n <= users; n++) await site.addUser(`user ${n}`);
      for (let n = 1; n <= torrents; n++) await site.addTorrent({ v1: Buffer.alloc(20, n) });
    });
  }

  /** @param wrap  stands between accountant and site */
  async open(wrap: (site: Site) => Site = (site) => site): Promise<void> {
    this.#site = wrap(new SqlSite(await openDatabase(this.file, "")));
    const { dir: directory, keep } = this.options.journal;
    const note = (_: object, message: string) => void this.lines.push(message);
    const logger = { ...silentLogger, info: note, warn: note, error: note };
    this.#journal = new Journal({ directory, keep, segmentBytes: 4096 });
    this.accountant = await Accountant.open(this.options, 3900, {
      ...{ journal: this.#journal, site: this.#site, sources: [this.ring], clock: this.clock, logger },
      publish: (memory) => {
        this.published = memory;
      },
    });
  }

  /** Ends the accountant as kill -9 does: nothing is written any more. */
  async die(): Promise<void> {
    await this.#site?.close().catch(() => undefined); // closed already
    this.#journal?.close();
  }

  /** Lets time pass. */
  pass(seconds: number): void {
    this.clock.seconds += seconds;
    this.clock.unixSeconds += seconds;
  }

  /** Ends the accountant as a stop of the tracker does. */
  async close(): Promise<void> {
    await this.accountant.close(() => true);
  }

  announce(given: Announce): void {
    const { user = 1, torrent = 1, client = "a", event = none, seconds = this.clock.unixSeconds } = given;
    const { uploaded = 0, downloaded = 0, left = 1, up = 100, down = 100 } = given;
    const at = this.ring.reserve();
    assert.ok(at >= 0);
    const { words, bytes } = this.ring.records;
    words[at + Field.seconds] = seconds;
    words[at + Field.user] = user;
    words[at + Field.torrent] = torrent;
    words[at + Field.what] = event | (4 << 8) | (6881 << 16);
    for (const [i, count] of [uploaded, downloaded, left].entries()) {
      words[at + Field.counters + 2 * i] = (count % 2 ** 32) | 0;
      words[at + Field.counters + 2 * i + 1] = Math.floor(count / 2 ** 32);
    }
    bytes.set(Buffer.from(`-XX0001-${client.padEnd(12, "x")}`), 4 * (at + Field.peerId));
    bytes.set([192, 0, 2, 9, ...new Uint8Array(12)], 4 * (at + Field.address));
    words[at + Field.factors] = packFactors({ up, down });
    this.ring.commit();
  }

  rows(sql: string): Record<string, unknown>[] {
    const database = new DatabaseSync(this.file);
    try {
      return database
        .prepare(sql)
        .all()
        .map((row) => ({ ...row }));
    } finally {
      database.close();
    }
  }

  execute(sql: string): void {
    const database = new DatabaseSync(this.file);
    database.exec(sql);
    database.close();
  }

  /** Takes what waits, and applies all of it. */
  async settle(): Promise<void> {
    this.accountant.drain();
    while (!(await this.accountant.flush()));
  }
}

test("bytes are credited by the factors of the announce, rounded down once", async (t) => {
  const bench = new Bench(t);
  await bench.populate(1, 2);
  await bench.open();
  bench.announce({ event: started });
  for (const uploaded of [50, 100, 150]) bench.announce({ uploaded, downloaded: uploaded, up: 50, down: 0 });
  await bench.settle();
  assert.deepEqual(bench.rows("SELECT uploaded, downloaded, raw_uploaded, raw_downloaded FROM users"), [
    { uploaded: 75, downloaded: 0, raw_uploaded: 150, raw_downloaded: 150 },
  ]);
});

test("the tables show peers, history, snatches and the counts of torrents", async (t) => {
  const bench = new Bench(t);
  await bench.populate(2);
  await bench.open();
  bench.announce({ event: started, left: 100 });
  bench.announce({ user: 2, event: started, left: 0, client: "b" });
  bench.pass(600);
  bench.announce({ event: completed, downloaded: 100, left: 0 });
  bench.announce({ user: 2, uploaded: 100, left: 0, client: "b" });
  await bench.settle();
  assert.deepEqual(bench.rows("SELECT seeders, leechers, completed, last_active FROM torrents"), [
    { seeders: 2, leechers: 0, completed: 1, last_active: start + 600 },
  ]);
  assert.deepEqual(
    bench.rows(
      "SELECT user_id, uploaded, downloaded, seedtime, leechtime, completed_at, active FROM history",
    ),
    [
      {
        user_id: 1,
        uploaded: 0,
        downloaded: 100,
        seedtime: 0,
        leechtime: 600,
        completed_at: start + 600,
        active: 1,
      },
      {
        user_id: 2,
        uploaded: 100,
        downloaded: 0,
        seedtime: 600,
        leechtime: 0,
        completed_at: null,
        active: 1,
      },
    ],
  );
  assert.deepEqual(bench.rows("SELECT user_id, torrent_id, at, ip FROM snatches"), [
    { user_id: 1, torrent_id: 1, at: start + 600, ip: "192.0.2.9" },
  ]);
  assert.deepEqual(
    bench.rows("SELECT user_id, ip, port, client, seeder, active FROM peers WHERE user_id = 2"),
    [{ user_id: 2, ip: "192.0.2.9", port: 6881, client: "XX0001", seeder: 1, active: 1 }],
  );
  bench.announce({ event: stopped, downloaded: 100, left: 0 });
  await bench.settle();
  assert.deepEqual(bench.rows("SELECT seeders FROM torrents"), [{ seeders: 1 }]);
  assert.deepEqual(bench.rows("SELECT active FROM history ORDER BY user_id"), [{ active: 0 }, { active: 1 }]);
});

test("peers that do not return become inactive, and are forgotten", async (t) => {
  const bench = new Bench(t);
  await bench.populate(1);
  await bench.open();
  bench.announce({ event: started });
  bench.accountant.drain();
  await bench.accountant.tick();
  const counts = () => bench.rows("SELECT leechers, (SELECT count(*) FROM peers) AS peers FROM torrents")[0];
  assert.deepEqual(counts(), { leechers: 1, peers: 1 });
  bench.pass(7200);
  await bench.accountant.tick();
  assert.deepEqual(counts(), { leechers: 1, peers: 1 });
  bench.pass(70);
  await bench.accountant.tick();
  assert.deepEqual(counts(), { leechers: 0, peers: 1 });
  assert.deepEqual(bench.rows("SELECT active FROM history"), [{ active: 0 }]);
  bench.pass(79_230);
  await bench.accountant.tick();
  assert.deepEqual(counts(), { leechers: 0, peers: 0 });
});

/** Whether the accountant receives the result of a transaction. */
type Reply = "received" | "lost" | "refused";

/** Between accountant and site: a transaction may fail, or be applied although its result is lost. */
function unreliable(site: Site, next: () => Reply): Site {
  return new Proxy(site, {
    get(target, key) {
      if (key !== "apply") {
        const value = Reflect.get(target, key);
        return typeof value === "function" ? value.bind(target) : value;
      }
      return async (instance: string, batch: Batch): Promise<Applied> => {
        const reply = next();
        if (reply === "refused") throw new Error("the site is away");
        const applied = await target.apply(instance, batch);
        if (reply === "lost") throw new Error("the connection was lost");
        return applied;
      };
    },
  });
}

test("lost results of transactions, refusals and deaths: every byte is credited exactly once", async (t) => {
  const random = createRandom(11);
  const bench = new Bench(t);
  const users = 10;
  await bench.populate(users);
  const replies = { received: 0, lost: 0, refused: 0 };
  const next = (): Reply => {
    const reply = (["received", "lost", "refused"] as const)[random.next() % 3]!;
    replies[reply]++;
    return reply;
  };
  await bench.open((site) => unreliable(site, next));
  const moved = new Array<number>(users + 1).fill(0);
  for (let user = 1; user <= users; user++) bench.announce({ user, event: started });
  bench.accountant.drain();
  for (let step = 0; step < 400; step++) {
    for (let i = 0; i < 20; i++) {
      const user = 1 + (random.next() % users);
      moved[user]! += random.next() % 1000;
      bench.announce({ user, uploaded: moved[user]! });
    }
    bench.pass(5);
    bench.accountant.drain();
    await bench.accountant.tick();
    if (step % 37 === 0) await bench.accountant.checkpoint();
    if (step % 23 !== 0) continue;
    await bench.die();
    await bench.open((site) => unreliable(site, next));
  }
  assert.ok(replies.lost > 20 && replies.refused > 20, JSON.stringify(replies));
  await bench.die();
  await bench.open();
  await bench.settle();
  assert.deepEqual(
    bench.rows("SELECT uploaded FROM users ORDER BY id").map(({ uploaded }) => uploaded),
    moved.slice(1),
  );
});

test("a record that was not released before a death counts once", async (t) => {
  const bench = new Bench(t);
  await bench.populate(1);
  await bench.open();
  bench.announce({ event: started });
  await bench.settle();
  bench.announce({ uploaded: 100 });
  const { ring } = bench;
  const release = ring.release;
  ring.release = () => undefined; // it dies between the journal and the release
  await bench.settle();
  ring.release = release;
  await bench.die();
  await bench.open();
  await bench.settle();
  assert.deepEqual(bench.rows("SELECT uploaded FROM users"), [{ uploaded: 100 }]);
});

test("a stop with a full disk does not lose the bytes of announces that are not in the journal", async (t) => {
  const bench = new Bench(t);
  await bench.populate(1);
  await bench.open();
  bench.announce({ event: started });
  await bench.settle();
  bench.announce({ uploaded: 100 });
  const mend = failHalfWrites(t);
  await bench.close();
  mend();
  await bench.open();
  await bench.settle();
  assert.deepEqual(bench.rows("SELECT uploaded FROM users"), [{ uploaded: 100 }]);
});

test("announces that the disk does not take wait in the ring, and count once when it takes them", async (t) => {
  const bench = new Bench(t);
  await bench.populate(1);
  await bench.open();
  bench.announce({ event: started });
  await bench.settle();
  const mend = failHalfWrites(t);
  bench.announce({ uploaded: 100 });
  assert.deepEqual([bench.accountant.drain(), bench.accountant.drain()], [0, 0]);
  assert.match(bench.accountant.state.problem!, /cannot be written to the journal: ENOSPC/);
  bench.announce({ uploaded: 150 });
  bench.pass(400);
  await bench.accountant.tick(); // a checkpoint is due
  assert.equal(bench.ring.waiting, 2);
  mend();
  assert.deepEqual([bench.accountant.drain(), bench.accountant.drain()], [1, 1]);
  assert.equal(bench.accountant.state.problem, undefined);
  await bench.die();
  await bench.open();
  await bench.settle();
  assert.deepEqual(bench.rows("SELECT uploaded FROM users"), [{ uploaded: 150 }]);
  assert.equal(
    bench.lines.filter((line) => line.includes("cannot be written")).length,
    1,
    "one line, not one per try",
  );
});

test("announces and transactions that come while a checkpoint is written are not lost", async (t) => {
  const bench = new Bench(t);
  const users = 3000;
  await bench.populate(users);
  await bench.open();
  for (let user = 1; user <= users; user++) bench.announce({ user, event: started });
  bench.accountant.drain();
  const written = bench.accountant.checkpoint();
  for (let rounds = 1; rounds < 40; rounds++) {
    await new Promise(setImmediate);
    for (let user = rounds; user <= users; user += 7) bench.announce({ user, uploaded: rounds * 10 });
    bench.accountant.drain();
    if (rounds % 10 === 0) await bench.accountant.flush();
  }
  await written;
  await bench.die();
  await bench.open();
  for (let user = 1; user <= users; user++) bench.announce({ user, uploaded: 1000 });
  await bench.settle();
  assert.deepEqual(bench.rows("SELECT count(*) AS users FROM users WHERE uploaded = 1000"), [{ users }]);
});

test("what the site does not know any more is set aside, and everything else is credited", async (t) => {
  const bench = new Bench(t);
  await bench.populate(3, 2);
  await bench.open();
  for (const user of [1, 2, 3])
    for (const torrent of [1, 2]) bench.announce({ user, torrent, event: started });
  await bench.settle();
  bench.execute("DELETE FROM users WHERE id = 2; DELETE FROM torrents WHERE id = 2");
  bench.execute(`UPDATE users SET uploaded = 9223372036854775807 WHERE id = 3`);
  for (const user of [1, 2, 3]) for (const torrent of [1, 2]) bench.announce({ user, torrent, uploaded: 10 });
  await bench.settle();
  assert.deepEqual(bench.rows("SELECT id, uploaded FROM users WHERE id < 3"), [{ id: 1, uploaded: 20 }]);
  assert.deepEqual(bench.rows("SELECT id FROM torrents"), [{ id: 1 }], "no phantom");
  const aside = bench.rows(
    "SELECT user_id, torrent_id, uploaded, reason FROM quarantine WHERE torrent_id IS NULL ORDER BY user_id",
  );
  assert.deepEqual(aside[0], { user_id: 2, torrent_id: null, uploaded: 20, reason: "no such user" });
  assert.deepEqual([aside[1]!.user_id, aside[1]!.uploaded], [3, 20], "the counter would overflow");
  assert.ok((await bench.administer((site) => site.quarantined())).every(({ reason }) => reason !== ""));
});

test("a database that another program has locked is written to later", async (t) => {
  const bench = new Bench(t);
  await bench.populate(1);
  await bench.open();
  bench.announce({ event: started });
  bench.announce({ uploaded: 5 });
  bench.accountant.drain();
  const other = new DatabaseSync(bench.file);
  other.exec("BEGIN IMMEDIATE");
  await bench.accountant.tick();
  assert.match(bench.accountant.state.problem!, /locked/);
  other.exec("ROLLBACK");
  other.close();
  bench.announce({ uploaded: 7 });
  bench.accountant.drain();
  bench.pass(60);
  await bench.accountant.tick();
  assert.equal(bench.accountant.state.problem, undefined);
  assert.deepEqual(bench.rows("SELECT uploaded FROM users"), [{ uploaded: 7 }]);
});

test("changes of the site reach the workers, one by one, also when the directory becomes too small", async (t) => {
  const bench = new Bench(t);
  await bench.populate(0, 0);
  await bench.open();
  const find = (passkey: string) => {
    const { users } = new Directory(bench.published!);
    return users.find(new Int32Array(new Uint8Array(Buffer.from(passkey)).buffer), 0)
      ? users.values[User.id]
      : 0;
  };
  const { passkey } = await bench.administer((site) => site.addUser("ann"));
  assert.equal(find(passkey), 0);
  const memory = bench.published;
  await bench.accountant.tick();
  assert.deepEqual([find(passkey), bench.published], [1, memory]);
  const next = (await bench.administer((site) => site.resetPasskey("ann"))).passkey;
  await bench.accountant.tick();
  assert.deepEqual([find(passkey), find(next)], [0, 1]);
  const passkeys = await bench.administer(async (site) => {
    const added: string[] = [];
    for (let n = 0; n < 900; n++) added.push((await site.addUser(`${n}`)).passkey);
    return added;
  });
  await bench.accountant.tick();
  assert.notEqual(bench.published, memory);
  assert.deepEqual(
    passkeys.map(find),
    passkeys.map((_, n) => n + 2),
  );
});

for (const [storeIps, expected] of [
  ["none", /^$/],
  ["hashed", /^[\da-f]{32}$/],
] as const) {
  test(`with store_ips: ${storeIps}, neither database nor journal has an address`, async (t) => {
    const bench = new Bench(t, { storeIps });
    await bench.populate(2);
    await bench.open();
    bench.announce({ event: started });
    bench.announce({ user: 2, event: started });
    await bench.settle();
    const [first, second] = bench.rows("SELECT ip FROM peers ORDER BY user_id");
    assert.match(first!.ip as string, expected);
    assert.deepEqual(second, first, "the same address is the same");
  });
}
