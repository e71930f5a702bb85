/** The site `sql` on each database: the same rows, the same refusals, and the same changes. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { Batch, emptyAnnounce } from "../../src/private/accounting/batch.ts";
import { Sessions } from "../../src/private/accounting/sessions.ts";
import { Records, recordWords } from "../../src/private/record.ts";
import { SiteInUseError } from "../../src/private/site.ts";
import { type BulkRows, writeRows } from "../../src/private/sites/mysql/bulk.ts";
import { Mysql } from "../../src/private/sites/mysql/mysql.ts";
import { SiteAdministration } from "../../src/private/sites/sql/administration.ts";
import { openDatabase } from "../../src/private/sites/sql/open-database.ts";
import { createTables } from "../../src/private/sites/sql/schema.ts";
import { SqlSite } from "../../src/private/sites/sql/sql-site.ts";
import { withoutMariadb } from "../support/mariadb-server.ts";
import { batchOf, writeTraffic } from "../support/private-batch.ts";
import { createTestDatabase, type DatabaseKind, databaseKinds } from "../support/private-database.ts";

const { none, started, completed, stopped } = AnnounceEvent;
const time = 1_800_000_000;

/** A database with two users and two torrents. */
async function open(t: TestContext, kind: DatabaseKind) {
  const { address } = await createTestDatabase(t, kind);
  const opened = await openDatabase(address, "");
  await createTables(opened);
  const administration = new SiteAdministration(opened);
  const passkeys: string[] = [];
  for (const name of ["ann", 'bob\'s "ß" \\ ; --'])
    passkeys.push((await administration.addUser(name)).passkey);
  for (const n of [1, 2]) await administration.addTorrent({ v1: Buffer.alloc(20, n), name: "😀" });
  const site = new SqlSite(await openDatabase(address, ""));
  t.after(async () => {
    await site.close();
    await opened.database.close();
  });
  const { database } = opened;
  /** Reads rows, with all integers as text. */
  const rows = async (sql: string) =>
    (await database.rows(sql)).map((row) => Object.values(row).map((value) => `${value}`));
  const execute = (sql: string) => database.transaction((transaction) => transaction.run(sql));
  return { site, administration, database, rows, execute, passkeys };
}

async function listOf<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

for (const [kind, skip] of databaseKinds) {
  test(`${kind}: the database belongs to the journal that asks first, without any traffic`, {
    skip,
  }, async (t) => {
    const { site, administration } = await open(t, kind);
    assert.equal(await administration.lastApplied("three"), 0, "looking claims nothing");
    const both = await Promise.all([site.lastApplied("one"), site.lastApplied("two")]);
    assert.deepEqual(both.sort(), [0, undefined]);
    assert.equal(await administration.lastApplied("three"), undefined);
  });

  test(`${kind}: a batch adds to its rows, once`, { skip }, async (t) => {
    const { site, rows } = await open(t, kind);
    assert.equal(await site.lastApplied("one"), 0);
    const large = 2 ** 53 - 1;
    const first = batchOf(0, [
      { uploaded: large, left: 5 },
      { uploaded: large, downloaded: 7, isSnatch: true, seconds: time + 10 },
      { user: 2, torrent: 2, uploaded: 33, up: 50, client: "b" },
    ]);
    assert.deepEqual(await site.apply("one", first), { isApplied: true, quarantined: 0 });
    assert.deepEqual(await site.apply("one", first), { isApplied: false, last: 3 });
    assert.equal(await site.lastApplied("one"), 3);
    assert.equal(await site.lastApplied("two"), undefined, "another journal");
    await assert.rejects(site.apply("two", first), /another journal/);
    const second = batchOf(3, [
      { user: 2, torrent: 2, uploaded: 1, client: "b", event: stopped, seconds: time + 20 },
    ]);
    await site.apply("one", second);
    assert.deepEqual(await rows("SELECT id, uploaded, downloaded, raw_uploaded FROM users ORDER BY id"), [
      ["1", "18014398509481982", "7", "18014398509481982"],
      ["2", "17", "0", "34"],
    ]);
    assert.deepEqual(
      await rows(
        "SELECT user_id, torrent_id, uploaded, seedtime, first_seen, last_seen, completed_at, active FROM history ORDER BY user_id",
      ),
      [
        ["1", "1", "18014398509481982", "120", `${time}`, `${time + 10}`, `${time + 10}`, "1"],
        ["2", "2", "17", "120", `${time}`, `${time + 20}`, "null", "0"],
      ],
    );
    assert.deepEqual(
      await rows(
        'SELECT user_id, ip, port, client, "left", seeder, active, updated_at FROM peers ORDER BY user_id',
      ),
      [
        ["1", "192.0.2.9", "6881", "XX0001", "0", "1", "1", `${time + 10}`],
        ["2", "192.0.2.9", "6881", "XX0001", "0", "1", "0", `${time + 20}`],
      ],
    );
    assert.deepEqual(await rows("SELECT user_id, torrent_id, at FROM snatches"), [
      ["1", "1", `${time + 10}`],
    ]);
    assert.deepEqual(
      await rows("SELECT id, seeders, leechers, completed, last_active FROM torrents ORDER BY id"),
      [
        ["1", "1", "0", "1", `${time + 10}`],
        ["2", "0", "0", "0", `${time + 20}`],
      ],
    );
  });

  test(`${kind}: sums above 2^53 are exact, in one batch and over several`, { skip }, async (t) => {
    const { site, rows } = await open(t, kind);
    const large = 2 ** 53 - 1;
    await site.apply("one", batchOf(0, [{ uploaded: large }, { uploaded: 5, downloaded: large }]));
    for (let seq = 2; seq < 5; seq++)
      await site.apply("one", batchOf(seq, [{ uploaded: large - seq, downloaded: large }]));
    const columns = "uploaded, downloaded, raw_uploaded, raw_downloaded";
    const sums = [BigInt(large) * 4n + 5n - 9n, BigInt(large) * 4n].map(String);
    assert.deepEqual(await rows(`SELECT ${columns} FROM users WHERE id = 1`), [[...sums, ...sums]]);
    assert.deepEqual(await rows(`SELECT ${columns} FROM history`), [[...sums, ...sums]]);
  });

  test(`${kind}: rows that do not fit are set aside alone, and unknown ones are not made`, {
    skip,
  }, async (t) => {
    const { site, rows, execute, administration } = await open(t, kind);
    await execute("UPDATE users SET uploaded = 9223372036854775807 WHERE id = 1");
    const traffic = Array.from({ length: 40 }, (_, i) => ({
      user: 1 + (i % 4),
      torrent: 1 + (i % 3),
      uploaded: 10,
      isSnatch: i === 0,
    }));
    assert.deepEqual(await site.apply("one", batchOf(0, traffic)), { isApplied: true, quarantined: 11 });
    assert.deepEqual(await rows("SELECT id, uploaded FROM users ORDER BY id"), [
      ["1", "9223372036854775807"],
      ["2", "100"],
    ]);
    assert.deepEqual(await rows("SELECT id FROM torrents ORDER BY id"), [["1"], ["2"]]);
    assert.deepEqual(
      (await administration.quarantined()).map(({ user_id, torrent_id, uploaded, reason }) => [
        ...[user_id, torrent_id, Number(uploaded)],
        torrent_id !== null || user_id > 2 ? reason : "",
      ]),
      [
        [3, null, 100, "no such user"],
        [4, null, 100, "no such user"],
        [1, null, 100, ""],
        ...[
          [1, 3, 30],
          [2, 3, 30],
        ].map((row) => [...row, "no such user or torrent"]),
        ...[
          [3, 1, 30],
          [3, 2, 30],
          [3, 3, 40],
          [4, 1, 40],
          [4, 2, 30],
          [4, 3, 30],
        ].map((row) => [...row, "no such user or torrent"]),
      ],
    );
    assert.equal(await site.lastApplied("one"), 40);
  });

  test(`${kind}: users, torrents and what changes`, { skip }, async (t) => {
    const { site, execute, administration, passkeys } = await open(t, kind);
    assert.deepEqual(await site.size(), { users: 2, torrents: 2, groups: 0, grants: 0, clients: 0 });
    const flags = { isEnabled: true, canLeech: true, isHidden: false, group: 0 };
    const [ann, bob] = [
      { id: 1, passkey: passkeys[0], ...flags },
      { id: 2, passkey: passkeys[1], ...flags },
    ];
    assert.deepEqual(await listOf(site.users()), [ann, bob]);
    const hash = (n: number) => Uint8Array.from(Buffer.alloc(20, n));
    const torrents = (await listOf(site.torrents())).map(({ infoHashes, ...rest }) => ({
      ...rest,
      infoHashes: infoHashes.map((one) => Uint8Array.from(one)),
    }));
    assert.deepEqual(torrents, [
      { id: 1, infoHashes: [hash(1)], up: 100, down: 100, until: undefined },
      { id: 2, infoHashes: [hash(2)], up: 100, down: 100, until: undefined },
    ]);
    assert.equal(await site.changes(), undefined);
    const { passkey } = await administration.resetPasskey("ann");
    await execute("UPDATE users SET uploaded = 5 WHERE id = 2");
    const change = await site.changes();
    assert.deepEqual(change?.users, [{ ...ann, passkey }], "credited bytes are no change");
    assert.ok(change.passkeys.includes(passkeys[0]!));
    await execute("UPDATE torrents SET down = 0 WHERE id = 1");
    await execute("DELETE FROM torrents WHERE id = 2");
    await execute("DELETE FROM users WHERE id = 2");
    const next = await site.changes();
    assert.deepEqual(
      next?.torrents.map(({ id, down }) => [id, down]),
      [[1, 0]],
    );
    assert.ok(next.infoHashes.some((one) => Buffer.compare(one, hash(2)) === 0));
    assert.deepEqual([next.users, next.passkeys], [[], [passkeys[1]]]);
    assert.equal(await site.changes(), undefined);
    await assert.rejects(administration.addUser("ann"), /there is a user "ann" already/);
    await assert.rejects(execute("UPDATE users SET passkey = 'short' WHERE id = 1"));
    await assert.rejects(execute("INSERT INTO torrents (name) VALUES ('no infohash')"));
    const stats = await administration.stats();
    assert.deepEqual([stats.users, stats.torrents, stats.applied], [1, 1, undefined]);
  });

  test(`${kind}: peers that do not return become inactive, and are forgotten`, { skip }, async (t) => {
    const { site, rows } = await open(t, kind);
    await site.apply("one", batchOf(0, [{}, { client: "b", left: 1, seconds: time + 100 }]));
    const counts = () => rows("SELECT seeders, leechers FROM torrents WHERE id = 1");
    await site.expirePeers(time + 50, time);
    assert.deepEqual(await counts(), [["0", "1"]]);
    assert.deepEqual(await rows("SELECT active FROM history"), [["1"]]);
    await site.expirePeers(time + 200, time + 50);
    assert.deepEqual(await counts(), [["0", "0"]]);
    assert.deepEqual(await rows("SELECT active FROM history"), [["0"]]);
    assert.deepEqual(await rows("SELECT updated_at FROM peers"), [[`${time + 100}`]]);
  });

  test(`${kind}: a user is active in a torrent while any client is`, { skip }, async (t) => {
    const { site, rows } = await open(t, kind);
    const active = () => rows("SELECT active FROM history");
    await site.apply("one", batchOf(0, [{}, { client: "b" }]));
    await site.apply("one", batchOf(2, [{ event: stopped }]));
    assert.deepEqual(await active(), [["1"]]);
    await site.apply("one", batchOf(3, [{ client: "b", event: stopped }]));
    assert.deepEqual(await active(), [["0"]]);
    await site.apply("one", batchOf(4, [{}]));
    assert.deepEqual(await active(), [["1"]]);
  });

  test(`${kind}: the numbers of a torrent's peers are those of its peers, whatever comes`, {
    skip,
  }, async (t) => {
    const { site, rows } = await open(t, kind);
    const [peersTimeout, random] = [7200, createRandom(20)];
    const sessions = new Sessions({ maxRate: 1e12, maxGap: 4500, idle: 86_400, active: peersTimeout - 600 });
    const records = new Records(new ArrayBuffer(recordWords * 4), 0, 1);
    const events = [none, none, none, none, none, started, completed, stopped];
    let [now, seq, routine] = [time, 0, 0];
    for (let round = 0; round < 60; round++) {
      const batch = new Batch(seq);
      for (let i = 0; i < 20; i++) {
        const torrent = 1 + (random.next() % 2);
        const event = events[random.next() % events.length]!;
        const client = `${random.next() % 3}`;
        writeTraffic(records, {
          ...{ user: 1 + (random.next() % 2), torrent, event, client, seconds: now - (random.next() % 5) },
          left: Number(random.next() % 8 === 0),
        });
        const addition = sessions.apply(records.readAnnounce(0, emptyAnnounce()));
        if (addition.isRoutine) routine++;
        records.complete(0, addition);
        batch.add(records, 0);
        now += random.next() % 300;
      }
      if (random.next() % 8 === 0) now += peersTimeout;
      await site.apply("one", batch);
      seq = batch.to;
      if (round % 3 === 0) await site.expirePeers(now - peersTimeout, now - 86_400);
      const counted = await rows(
        "SELECT t.id, (SELECT count(*) FROM peers p WHERE p.torrent_id = t.id AND p.active = 1 AND p.seeder = 1) AS s, " +
          "(SELECT count(*) FROM peers p WHERE p.torrent_id = t.id AND p.active = 1 AND p.seeder = 0) AS l FROM torrents t ORDER BY id",
      );
      assert.deepEqual(await rows("SELECT id, seeders, leechers FROM torrents ORDER BY id"), counted);
    }
    assert.ok(routine > 300, `${routine} announces needed no count`);
  });

  test(`${kind}: another database is refused with the remedy`, { skip }, async (t) => {
    const { address } = await createTestDatabase(t, kind);
    const opened = await openDatabase(address, "");
    t.after(() => opened.database.close());
    const site = new SqlSite(opened);
    await assert.rejects(site.lastApplied("one"), /"chihaya private init" makes its tables/);
    await createTables(opened);
    assert.equal(await site.lastApplied("one"), 0);
    await assert.rejects(createTables(opened), /has a table "chihaya" already; use an empty database/);
  });
}

for (const [kind, skip] of databaseKinds) {
  test(`${kind}: rows that were set aside are credited once when their reason is mended`, {
    skip,
  }, async (t) => {
    const { site, rows, execute, administration } = await open(t, kind);
    await execute("UPDATE users SET uploaded = 9223372036854775807 WHERE id = 1");
    const traffic = [1, 3].map((user) => ({ user, torrent: 1, uploaded: 10 }));
    assert.deepEqual(await site.apply("one", batchOf(0, traffic)), { isApplied: true, quarantined: 3 });
    assert.deepEqual(await administration.retryQuarantined(), { credited: 0, left: 3 });
    await execute("UPDATE users SET uploaded = 5 WHERE id = 1");
    const { id } = await administration.addUser("carla");
    assert.equal(id, 3);
    assert.deepEqual(await administration.retryQuarantined(), { credited: 3, left: 0 });
    assert.deepEqual(await administration.retryQuarantined(), { credited: 0, left: 0 });
    assert.deepEqual(await rows("SELECT id, uploaded FROM users ORDER BY id"), [
      ["1", "15"],
      ["2", "0"],
      ["3", "10"],
    ]);
    assert.deepEqual(await rows("SELECT user_id, torrent_id, uploaded FROM history ORDER BY user_id"), [
      ["1", "1", "10"],
      ["3", "1", "10"],
    ]);
  });
}

for (const [kind, skip] of databaseKinds) {
  test(`${kind}: one tracker at a time has the accounts`, { skip }, async (t) => {
    const { address, crash } = await createTestDatabase(t, kind);
    const opened = await openDatabase(address, "");
    t.after(() => opened.database.close());
    await createTables(opened);
    const claim = async (journal: string) => {
      const site = new SqlSite(await openDatabase(address, "", { isExclusive: true }));
      t.after(() => site.close());
      assert.equal(await site.lastApplied(journal), 0);
      return site;
    };
    const refusal = async (): Promise<string> => {
      const error = await claim("one").catch((reason: unknown) => reason);
      assert.ok(error instanceof SiteInUseError);
      return error.message;
    };
    const first = await claim("one");
    assert.match(await refusal(), /another tracker has the accounts of this site; stop that tracker/);
    await crash();
    // The first statement finds the connection broken.
    await opened.database.rows("SELECT 1").catch(() => undefined);
    await first.lastApplied("one").catch(() => undefined);
    assert.equal(await first.lastApplied("one"), 0, "the lock is taken again");
    const [, remedy] = /"((?:KILL|SELECT) .*)"/.exec(await refusal()) ?? [];
    assert.equal(remedy !== undefined, kind !== "SQLite");
    if (remedy !== undefined) {
      await opened.database.rows(remedy);
      const other = await claim("one");
      await first.apply("one", batchOf(0, [{}])).catch(() => undefined); // the broken connection
      await assert.rejects(first.apply("one", batchOf(0, [{}])), SiteInUseError);
      await assert.rejects(first.changes(), SiteInUseError);
      await other.close();
    }
    assert.equal((await first.apply("one", batchOf(0, [{}]))).isApplied, true);
    await first.close();
    const next = new SqlSite(await openDatabase(address, "", { isExclusive: true }));
    t.after(() => next.close());
    assert.equal(await next.lastApplied("one"), 1);
  });
}

test("MariaDB: a statement that is longer than the server takes is sent in pieces", {
  skip: withoutMariadb,
}, async (t) => {
  const { site, rows, database } = await open(t, "MariaDB");
  const [[before]] = (await rows("SELECT @@GLOBAL.max_allowed_packet")) as [[string]];
  t.after(() => database.rows(`SET GLOBAL max_allowed_packet = ${before}`));
  await database.rows("SET GLOBAL max_allowed_packet = 16384");
  const peers = Array.from({ length: 1000 }, (_, n) => ({ client: `${n}`, uploaded: 1 }));
  assert.deepEqual(await site.apply("one", batchOf(0, peers)), { isApplied: true, quarantined: 0 });
  assert.deepEqual(await rows("SELECT count(*) FROM peers"), [["1000"]]);
  assert.deepEqual(await rows("SELECT uploaded FROM users WHERE id = 1"), [["1000"]]);
});

test("MariaDB: a statement behind one that has ended the transaction has no effect by itself", {
  skip: withoutMariadb,
}, async (t) => {
  const { rows, database } = await open(t, "MariaDB");
  await assert.rejects(
    database.transaction(async (transaction) => {
      // As a deadlock does, while the next statement waits at the connection.
      const ended = transaction.run("ROLLBACK");
      const next = transaction.run("UPDATE users SET uploaded = 5");
      await Promise.all([ended, next]);
      throw new Error("a deadlock");
    }),
    { message: "a deadlock" },
  );
  await database.transaction((transaction) =>
    transaction.run("UPDATE users SET downloaded = 6 WHERE id = 1"),
  );
  assert.deepEqual(await rows("SELECT uploaded, downloaded FROM users ORDER BY id"), [
    ["0", "6"],
    ["0", "0"],
  ]);
});

test("MariaDB: a transaction has no snapshot isolation, and is repeated after error 1020", {
  skip: withoutMariadb,
}, async (t) => {
  const { address } = await createTestDatabase(t, "MariaDB");
  const database = new Mysql(address);
  await database.rows("SET GLOBAL innodb_snapshot_isolation = ON");
  const mysql = new Mysql(address);
  t.after(async () => {
    await mysql.close();
    await database.rows("SET GLOBAL innodb_snapshot_isolation = OFF");
    await database.close();
  });
  let attempts = 0;
  const isolation = await mysql.transaction(async (transaction) => {
    if (++attempts < 3) await transaction.run("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1020");
    return transaction.rows("SELECT @@innodb_snapshot_isolation AS value");
  });
  assert.deepEqual([attempts, isolation], [3, [{ value: 0 }]]);
});

test("MariaDB: statements behind one without a response fail with it, and the next transaction succeeds", {
  skip: withoutMariadb,
  timeout: 120_000,
}, async (t) => {
  const { address } = await createTestDatabase(t, "MariaDB");
  const mysql = new Mysql(address, { statementMs: 3000 });
  t.after(() => mysql.close());
  // Three statements, of which the first has no end.
  const rows = Array.from({ length: 3000 }, (_, n) => n);
  const write = mysql.transaction((transaction) =>
    writeRows(transaction, {
      ...{ rows, values: (row: number) => [row] },
      sql: (part: BulkRows) => (part[0]![0] === 0 ? "DO SLEEP(1000)" : "DO 0"),
      refused: () => undefined,
    }),
  );
  await assert.rejects(write, { code: "PROTOCOL_SEQUENCE_TIMEOUT" });
  assert.equal(await mysql.transaction((transaction) => transaction.run("DO 0")), 0);
  const reads = ["SELECT SLEEP(1000)", "SELECT 1", "SELECT 2"].map((sql) => mysql.rows(sql));
  for (const { status } of await Promise.allSettled(reads)) assert.equal(status, "rejected");
  assert.deepEqual(await mysql.rows("SELECT 3 AS three"), [{ three: 3 }]);
});
