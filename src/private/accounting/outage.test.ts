import assert from "node:assert/strict";
import { cpSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryDirectory } from "../../../test/support/daemon.ts";
import { MemorySite } from "../../../test/support/memory-site.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { silentLogger } from "../../observability/logger.ts";
import { Directory, type DirectoryMemory } from "../directory.ts";
import { packFactors } from "../factors.ts";
import type { PrivateOptions } from "../options.ts";
import { Field } from "../record.ts";
import { createAccountingMemory, Ring } from "../ring.ts";
import { SiteInUseError } from "../site.ts";
import { Accountant } from "./accountant.ts";
import { Journal } from "./journal.ts";

const start = 1_800_000_000;
const options = {
  ...{ storeIps: "plain", maxRate: 1e9, peersTimeout: 7200, idleSessions: 86_400 },
} as unknown as PrivateOptions;

/** An accountant with clients that announce steadily. */
class Site {
  readonly clock = { seconds: 1000, unixSeconds: start };
  site: MemorySite;
  readonly users: number;
  /** Bytes that each client has uploaded. */
  uploaded = 0;
  readonly directory: string;
  readonly ring: Ring;
  published: DirectoryMemory | undefined;
  accountant!: Accountant;
  #journal!: Journal;

  constructor(t: TestContext, users: number) {
    this.users = users;
    this.site = new MemorySite(users);
    this.directory = join(temporaryDirectory(t), "journal");
    const { rings, signal } = createAccountingMemory(1);
    this.ring = new Ring({ ring: rings[0]!, signal });
    t.after(() => this.#journal.close());
  }

  async open(): Promise<void> {
    this.#journal = new Journal({ directory: this.directory, segmentBytes: 1 << 20, keep: 1e9 });
    this.accountant = await Accountant.open(options, 3900, {
      ...{ journal: this.#journal, site: this.site, sources: [this.ring] },
      ...{ clock: this.clock, logger: silentLogger },
      publish: (memory) => {
        this.published = memory;
      },
    });
  }

  /** Ends as kill -9 does. */
  die(): void {
    this.#journal.close();
  }

  pass(seconds: number): void {
    this.clock.seconds += seconds;
    this.clock.unixSeconds += seconds;
  }

  announce(user: number, event: AnnounceEvent = AnnounceEvent.none): void {
    const at = this.ring.reserve();
    assert.ok(at >= 0);
    const { words, bytes } = this.ring.records;
    words[at + Field.seconds] = this.clock.unixSeconds;
    words[at + Field.user] = user;
    words[at + Field.torrent] = 1;
    words[at + Field.what] = event | (4 << 8);
    words[at + Field.counters] = this.uploaded;
    bytes.set(Buffer.from(`-XX0001-${user}`.padEnd(20, "x")), 4 * (at + Field.peerId));
    words[at + Field.factors] = packFactors({ up: 100, down: 100 });
    this.ring.commit();
  }

  /** All clients announce, and the accountant takes what they send. */
  async round(): Promise<void> {
    this.uploaded += 7;
    for (let user = 1; user <= this.users; user++) this.announce(user);
    this.accountant.drain();
    await this.accountant.tick();
  }

  assertCredited(): void {
    const expected = Array.from({ length: this.users }, (_, n) => [n + 1, this.uploaded] as const);
    assert.deepEqual(
      [...this.site.uploaded].sort(([a], [b]) => a - b),
      expected,
    );
  }
}

/** Counts the records of transactions. */
function watchBatches(site: MemorySite): number[] {
  const counts: number[] = [];
  const { apply } = site;
  site.apply = (instance, batch) => {
    counts.push(batch.count);
    return apply.call(site, instance, batch);
  };
  return counts;
}

test("a database that is away for an hour: nothing waits in memory, and every byte counts once", async (t) => {
  const bench = new Site(t, 200);
  await bench.open();
  for (let user = 1; user <= bench.users; user++) bench.announce(user, AnnounceEvent.started);
  bench.accountant.drain();
  await bench.accountant.tick();
  const batches = watchBatches(bench.site);
  bench.site.failure = new Error("the database is away");
  for (let minute = 0; minute < 60; minute++) {
    for (let round = 0; round < 6; round++) {
      bench.pass(10);
      await bench.round();
    }
    assert.match(bench.accountant.state.problem!, /the database is away/);
  }
  assert.equal(batches.length, 1, "after the first failure, nothing is prepared in memory");
  batches.length = 0;
  bench.site.failure = undefined;
  bench.pass(31); // the longest pause between two tries
  const before = bench.clock.seconds;
  for (let ticks = 0; bench.accountant.state.applied < bench.accountant.state.recorded; ticks++) {
    assert.ok(ticks < 100, "all of it without waiting between the transactions");
    await bench.accountant.tick();
  }
  assert.equal(bench.clock.seconds, before);
  assert.equal(bench.accountant.state.problem, undefined);
  assert.ok(
    batches.every((count) => count <= 50_000),
    "each transaction is bounded",
  );
  bench.assertCredited();
});

test("a tracker that is restarted while the database is away, and a database that is restored: exact", async (t) => {
  const bench = new Site(t, 50);
  await bench.open();
  for (let user = 1; user <= bench.users; user++) bench.announce(user, AnnounceEvent.started);
  for (let round = 0; round < 20; round++) {
    bench.pass(10);
    await bench.round();
  }
  const backup = { uploaded: new Map(bench.site.uploaded), applied: bench.site.applied };
  for (let round = 0; round < 20; round++) {
    bench.pass(10);
    await bench.round();
  }
  bench.site.failure = new Error("the database is away");
  for (let round = 0; round < 20; round++) {
    bench.pass(10);
    await bench.round();
  }
  bench.die();
  bench.site.restore(backup);
  bench.site.failure = undefined;
  await bench.open();
  bench.pass(31);
  while (!(await bench.accountant.flush()));
  bench.assertCredited();
  // Restored under a running tracker, too.
  bench.site.restore(backup);
  for (let round = 0; round < 5; round++) {
    bench.pass(10);
    await bench.round();
  }
  bench.pass(31);
  while (!(await bench.accountant.flush()));
  bench.assertCredited();
});

test("a tracker that starts while the database is away has the users of the last checkpoint, and credits later", async (t) => {
  const bench = new Site(t, 3);
  bench.site.failure = new Error("the database is away");
  await assert.rejects(bench.open(), /the database is away/, "without a checkpoint");
  bench.die();
  bench.site.failure = undefined;
  await bench.open();
  await bench.accountant.checkpoint();
  bench.die();
  bench.site.failure = new Error("the database is away");
  bench.published = undefined;
  await bench.open();
  const { users } = new Directory(bench.published!);
  const passkey = new Int32Array(new Uint8Array(Buffer.from(MemorySite.user(3).passkey)).buffer);
  assert.equal(users.find(passkey, 0), true);
  assert.match(
    bench.accountant.state.problem!,
    /users and torrents are those of the last checkpoint: the database is away/,
  );
  for (let user = 1; user <= bench.users; user++) bench.announce(user, AnnounceEvent.started);
  await bench.round();
  bench.site.failure = undefined;
  bench.pass(31);
  await bench.round();
  while (!(await bench.accountant.flush()));
  bench.assertCredited();
  assert.equal(bench.accountant.state.problem, undefined);
  bench.die();
  const file = join(bench.directory, "directory");
  truncateSync(file, statSync(file).size - 1);
  bench.site.failure = new Error("the database is away");
  await assert.rejects(bench.open(), /the database is away/, "the saved users are damaged");
});

test("two trackers with copies of one journal: the one that finds foreign records stops crediting", async (t) => {
  const bench = new Site(t, 2);
  await bench.open();
  for (let user = 1; user <= bench.users; user++) bench.announce(user, AnnounceEvent.started);
  await bench.round();
  while (!(await bench.accountant.flush()));
  bench.die();
  const other = new Site(t, 2);
  cpSync(bench.directory, other.directory, { recursive: true });
  other.site = bench.site;
  await bench.open();
  await other.open();
  bench.pass(10);
  await bench.round();
  const { uploaded } = bench;
  other.pass(10);
  other.uploaded = 1000;
  await other.round();
  assert.match(
    other.accountant.state.problem!,
    /another tracker has applied record \d+ with a copy of the journal/,
  );
  bench.pass(10);
  await bench.round();
  assert.equal(bench.accountant.state.problem, undefined);
  assert.ok(bench.uploaded > uploaded);
  bench.assertCredited();
});

test("a clock that is set back an hour, or forward sixty days: no byte is lost, no session is forgotten", async (t) => {
  const bench = new Site(t, 5);
  await bench.open();
  for (let user = 1; user <= bench.users; user++) bench.announce(user, AnnounceEvent.started);
  const expired: number[] = [];
  bench.site.expirePeers = async (activeAfter: number) => {
    expired.push(activeAfter);
  };
  for (const jump of [-3600, 60 * 86_400, -60 * 86_400]) {
    for (let round = 0; round < 10; round++) {
      bench.pass(30);
      await bench.round();
    }
    bench.clock.unixSeconds += jump;
    expired.length = 0;
    for (let round = 0; round < 10; round++) {
      bench.pass(30);
      await bench.round();
    }
    assert.deepEqual([expired, bench.accountant.state.sessions], [[], 5]);
    bench.pass(7200);
    await bench.round();
    assert.equal(expired.length, 1, "peers expire again after peers_timeout");
  }
  while (!(await bench.accountant.flush()));
  bench.assertCredited();
});

test("a site that another tracker has the accounts of is refused at the start, and stops the crediting later", async (t) => {
  const bench = new Site(t, 3);
  await bench.open();
  await bench.round();
  await bench.accountant.checkpoint();
  bench.site.failure = new SiteInUseError("the database");
  bench.pass(60);
  await bench.round();
  assert.match(bench.accountant.state.problem!, /kept: the database: another tracker has the accounts/);
  bench.die();
  await assert.rejects(bench.open(), SiteInUseError, "although the users of the last checkpoint are known");
});
