/** Gazelle as its site software uses a tracker: its tables, and its calls as its PHP code sends them. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { createConnection } from "mysql2/promise";
import { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { announce } from "../../src/client/tracker-client.ts";
import { Batch, emptyAnnounce } from "../../src/private/accounting/batch.ts";
import { Sessions } from "../../src/private/accounting/sessions.ts";
import type { DirectoryChange } from "../../src/private/directory-records.ts";
import { refusalsOf } from "../../src/private/errors.ts";
import { Field, Mark, Records, recordWords } from "../../src/private/record.ts";
import { GazelleCalls } from "../../src/private/sites/gazelle/calls.ts";
import { GazelleSite } from "../../src/private/sites/gazelle/gazelle-site.ts";
import { GazelleReports } from "../../src/private/sites/gazelle/reports.ts";
import { UsedTokens } from "../../src/private/sites/gazelle/used-tokens.ts";
import { Ledger } from "../../src/private/sites/mysql/ledger.ts";
import { Mysql, parseUrl } from "../../src/private/sites/mysql/mysql.ts";
import { Secret, SiteListener } from "../../src/private/sites/site-listener.ts";
import { main, Program, temporaryDirectory } from "../support/daemon.ts";
import { opsTables, whatcdTables } from "../support/gazelle-tables.ts";
import { overtake } from "../support/mariadb-race.ts";
import { type MariadbServer, startMariadbServer, withoutMariadb } from "../support/mariadb-server.ts";

const secret = "aUThisIsTheTrackerSecretOfTheTest";
const reportSecret = "theReportSecretIsAnotherOneAgain";
const passkeys = { ann: "a".repeat(32), bob: "b".repeat(32), eve: "e".repeat(32) };
const hashes = { first: Buffer.alloc(20, 1), free: Buffer.alloc(20, 2), neutral: Buffer.alloc(20, 0xf3) };
const instance = "00000000-0000-4000-8000-000000000001";
const { none, started, completed, stopped } = AnnounceEvent;
let databases = 0;

describe("Gazelle", { skip: withoutMariadb }, () => {
  let server: MariadbServer;
  before(async () => {
    server = await startMariadbServer([
      "--sql-mode=STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO",
    ]);
  });
  after(() => server?.stop());

  /** A site with three users and three torrents, its tracker's part, and the site's program. */
  async function createSite(t: TestContext, version: "whatcd" | "ops", url?: string) {
    const name = `gazelle${++databases}`;
    const database = await createConnection({ ...parseUrl(server.url("")), multipleStatements: true });
    t.after(() => database.end());
    await database.query(
      `CREATE DATABASE ${name}; USE ${name}; ${version === "ops" ? opsTables : whatcdTables}`,
    );
    for (const [id, [user, passkey]] of Object.entries(passkeys).entries())
      await database.query(
        "INSERT INTO users_main (ID, Username, Email, torrent_pass, Enabled, Visible" +
          `${version === "ops" ? "" : ", PassHash"}) VALUES (?, ?, '', ?, '1', ?${version === "ops" ? "" : ", ''"})`,
        [id + 1, user, passkey, user === "eve" ? "0" : "1"],
      );
    for (const [id, infoHash] of Object.values(hashes).entries())
      await database.query("INSERT INTO torrents (ID, GroupID, info_hash, FreeTorrent) VALUES (?, 1, ?, ?)", [
        ...[id + 1, infoHash, String(id)],
      ]);
    if (version === "ops")
      await database.query(
        "INSERT INTO users_leech_stats (UserID) SELECT ID FROM users_main; " +
          "INSERT INTO torrents_leech_stats (TorrentID) SELECT ID FROM torrents",
      );
    let now = 1_800_000_000;
    let uptime = 90_061;
    const traffic = {
      ...{ accepted: 500_000, open: 3, announces: 900_000, refused: 61, scrapes: 610 },
      ...{ bytesRead: 10 ** 9, bytesWritten: 2 * 10 ** 12 },
    };
    const mysql = new Mysql(server.url(name));
    const parts = { mysql, ledger: new Ledger(mysql, `${name}_ledger`), now: () => now };
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    const usedTokens = url === undefined ? undefined : new UsedTokens({ ...parts, url, secret, logger });
    const site = new GazelleSite(parts, usedTokens);
    t.after(() => site.close());
    const steered: DirectoryChange[] = [];
    site.open((change) => steered.push(change));
    await site.changes();
    const numbers = () => ({ version: "1.2.3", uptime, announceInterval: 1800, announces: 7, lag: 2 });
    const reports = new GazelleReports(site, numbers, async () => traffic);
    const calls = new GazelleCalls({
      ...{ site, reports, logger, secret: new Secret(secret), reportSecret: new Secret(reportSecret) },
    });
    const clock = { seconds: 0, unixSeconds: now };
    const listener = new SiteListener({ host: "127.0.0.1", port: 0 }, calls.routes(), { clock, logger });
    await listener.start();
    t.after(() => listener.stop());
    const sessions = new Sessions({ maxRate: 1e9, maxGap: 5000, idle: 1e6 });
    let seq = 0;
    return {
      ...{ site, database, steered, name, usedTokens, ledger: `${name}_ledger`, traffic },
      port: Number(new URL(listener.url).port),
      wait(seconds: number) {
        now += seconds;
        uptime += seconds;
      },
      rows: async (sql: string) => (await database.query(sql))[0] as Record<string, unknown>[],
      /** Makes a batch of announces: [seconds, user, torrent, event, uploaded, downloaded, left, factors]. */
      batch(announces: readonly [number, number, number, AnnounceEvent, number, number, number, number?][]) {
        const batch = new Batch(seq);
        for (const [seconds, user, torrent, event, uploaded, downloaded, left, factors] of announces) {
          const records = new Records(new ArrayBuffer(4 * recordWords), 0, 1);
          const { words } = records;
          words[Field.seconds] = 1_800_000_000 + seconds;
          words[Field.user] = user;
          words[Field.torrent] = torrent;
          words[Field.what] = event | (4 << 8) | (6881 << 16);
          for (const [i, value] of [uploaded, downloaded, left].entries()) {
            words[Field.counters + 2 * i] = (value % 2 ** 32) | 0;
            words[Field.counters + 2 * i + 1] = Math.floor(value / 2 ** 32);
          }
          records.bytes.set(Buffer.from(`-qB4630-00000000000${user}`), 4 * Field.peerId);
          records.bytes.set([10, 0, 0, user], 4 * Field.address);
          words[Field.factors] = factors ?? 100 | (100 << 16);
          words[Field.marks] = factors === undefined ? 0 : Mark.token;
          records.complete(0, sessions.apply(records.readAnnounce(0, emptyAnnounce())));
          batch.add(records, 0);
        }
        seq = batch.to;
        return batch;
      },
    };
  }

  /** Returns the configuration of a tracker for a site. @param lines  further lines of the block `private` */
  function configOf(
    name: string,
    directory: string,
    lines: readonly string[],
    { workers = 1, interval = "30m" }: { workers?: number; interval?: string } = {},
  ): string {
    return `chihaya:
  workers: ${workers}
  announce_interval: ${interval}
  metrics_addr: "127.0.0.1:0"
  http: {addr: "127.0.0.1:0", max_connections: 100}
  storage: {name: memory, config: {max_peers: 10000}}
  private:
    site: gazelle
    database: "${server.url(name)}"
    ledger: ${name}_daemon
    journal: {dir: ${join(directory, "journal")}}
${lines.map((line) => `    ${line}\n`).join("")}`;
  }

  const serve = (t: TestContext, config: string) =>
    new Program(t, process.execPath, [main, "--json", "--config", config]);

  /** Starts a tracker for a site, with the secret of the site's calls. */
  async function startTracker(
    t: TestContext,
    name: string,
    lines: readonly string[],
    options: { workers?: number; withReports?: boolean } = {},
  ) {
    const directory = temporaryDirectory(t);
    const secrets = { secret_file: secret, ...(options.withReports && { report_secret_file: reportSecret }) };
    const files = Object.entries(secrets).map(([key, text]) => {
      writeFileSync(join(directory, key), `${text}\n`);
      return `${key}: ${join(directory, key)}`;
    });
    const config = join(directory, "chihaya.yaml");
    writeFileSync(config, configOf(name, directory, [...lines, ...files], options));
    const program = serve(t, config);
    const { url } = await program.until(({ msg }) => msg === "serving");
    return { program, url: url!, port: Number(new URL(url!).port) };
  }

  test("the site's tables are read, and rows come and go", async (t) => {
    const { site, database, wait } = await createSite(t, "whatcd");
    assert.deepEqual(await site.size(), { users: 3, torrents: 3, grants: 0, groups: 0, clients: 0 });
    assert.deepEqual(
      [...site.mirror.torrents.values()].map(({ up, down }) => [up, down]),
      [
        [100, 100],
        [100, 0],
        [0, 0],
      ],
    );
    await database.query(
      "INSERT INTO torrents (GroupID, info_hash) VALUES (1, REPEAT('x', 20)); UPDATE users_main SET can_leech = 0 WHERE ID = 1; " +
        "UPDATE users_main SET Enabled = '2' WHERE ID = 2; DELETE FROM torrents WHERE ID = 1; " +
        `UPDATE users_main SET torrent_pass = REPEAT('f', 32) WHERE ID = 3; INSERT INTO xbt_client_whitelist (peer_id) VALUES ('-qB')`,
    );
    assert.equal(await site.changes(), undefined, "not due");
    wait(60);
    const added = await site.changes();
    assert.deepEqual(
      added?.torrents.map(({ id }) => id),
      [4],
    );
    assert.deepEqual(added?.users, []);
    wait(900);
    const change = await site.changes();
    assert.deepEqual(change?.passkeys.toSorted(), [passkeys.bob, passkeys.eve]);
    assert.deepEqual(
      change?.users.map(({ id, passkey, canLeech }) => [id, passkey, canLeech]),
      [
        [1, passkeys.ann, false],
        [3, "f".repeat(32), true],
      ],
    );
    assert.deepEqual(change?.infoHashes, [hashes.first]);
    assert.deepEqual(site.mirror.clients.size, 1);
  });

  for (const version of ["whatcd", "ops"] as const)
    test(`${version}: traffic is credited, and nothing is made of what is gone`, async (t) => {
      const { site, database, rows, batch, ledger } = await createSite(t, version);
      await database.query("INSERT INTO users_freeleeches (UserID, TorrentID, Time) VALUES (1, 1, NOW())");
      const big = 2 ** 40;
      const first = batch([
        [0, 1, 1, started, 0, 0, 1000],
        [0, 2, 1, started, 0, 0, 0],
        [0, 3, 1, started, 0, 0, 0],
        [0, 77, 1, started, 0, 0, 0], // a user that is gone
        [0, 1, 88, started, 0, 0, 0], // a torrent that is gone
        [1000, 1, 1, completed, 50, 1000, 0, 100], // by a token: no download counts
        [2000, 2, 1, none, 1000 + big, 0, 0],
        [1000, 77, 1, none, 500, 0, 0],
        [1000, 1, 88, stopped, 300, 0, 0],
      ]);
      assert.deepEqual(await site.apply(instance, first), { isApplied: true, quarantined: 1 });
      assert.deepEqual(await site.apply(instance, first), { isApplied: false, last: 9 });
      assert.equal(await site.lastApplied(instance), 9);
      assert.equal(await site.lastApplied("another"), undefined);

      const [credits, counts] =
        version === "ops" ? ["users_leech_stats", "torrents_leech_stats"] : ["users_main", "torrents"];
      assert.deepEqual(await rows(`SELECT Uploaded, Downloaded FROM ${credits} ORDER BY 1`), [
        { Uploaded: 0, Downloaded: 0 },
        { Uploaded: 350, Downloaded: 0 },
        { Uploaded: 1000 + big, Downloaded: 0 },
      ]);
      assert.deepEqual(await rows(`SELECT COUNT(*) AS n FROM torrents`), [{ n: 3 }]);
      assert.deepEqual(
        await rows(
          `SELECT Seeders, Leechers, Snatched, Balance AS b, last_action > '2000-01-01' AS acted FROM ${counts} LIMIT 1`,
        ),
        [{ Seeders: 3, Leechers: 0, Snatched: 1, b: big + 550, acted: 1 }],
      );
      assert.deepEqual(await rows("SELECT UserID, TorrentID, Downloaded FROM users_freeleeches"), [
        { UserID: 1, TorrentID: 1, Downloaded: 1000 },
      ]);
      assert.deepEqual(
        await rows(
          "SELECT uid, fid, active, uploaded, downloaded, upspeed, downspeed, remaining, timespent, announced, ip, useragent, mtime " +
            "FROM xbt_files_users ORDER BY uid, fid",
        ),
        [
          { ...peer(1), uploaded: 50, downloaded: 1000, mtime: 1_800_001_000 },
          { ...peer(2), uploaded: 1000 + big, mtime: 1_800_002_000 },
          { ...peer(3), announced: 1, ip: "", mtime: 1_800_000_000 },
        ],
      );
      assert.deepEqual(await rows("SELECT uid, fid, tstamp, IP FROM xbt_snatched"), [
        { uid: 1, fid: 1, tstamp: 1_800_001_000, IP: "10.0.0.1" },
      ]);
      assert.deepEqual(
        await rows(`SELECT seq, user_id, torrent_id, uploaded, reason FROM ${ledger}.quarantine`),
        [{ seq: 9, user_id: 77, torrent_id: null, uploaded: 500, reason: "no such user" }],
      );

      await site.apply(
        instance,
        batch([
          [1500, 1, 1, none, 1050, 1000, 0],
          [2500, 2, 1, stopped, 1000 + big, 0, 0],
        ]),
      );
      assert.deepEqual(
        await rows(
          "SELECT uid, active, upspeed, timespent, announced, mtime FROM xbt_files_users WHERE uid < 3 ORDER BY uid",
        ),
        [
          { uid: 1, active: 1, upspeed: 2, timespent: 500, announced: 3, mtime: 1_800_001_500 },
          { uid: 2, active: 0, upspeed: 0, timespent: 500, announced: 3, mtime: 1_800_002_500 },
        ],
      );
      assert.deepEqual(await rows(`SELECT Seeders FROM ${counts} LIMIT 1`), [{ Seeders: 2 }]);
      await site.expirePeers(1_800_001_000);
      assert.deepEqual(await rows("SELECT active FROM xbt_files_users WHERE uid = 3"), [{ active: 0 }]);
      assert.deepEqual(await rows(`SELECT Seeders, Snatched FROM ${counts} LIMIT 1`), [
        { Seeders: 1, Snatched: 1 },
      ]);
    });

  test("a batch that another transaction has overtaken counts once", async (t) => {
    const { site, database, rows, batch, ledger } = await createSite(t, "whatcd");
    const traffic = batch([
      [0, 1, 1, started, 0, 0, 0],
      [0, 2, 1, started, 0, 0, 0],
      [1000, 1, 1, none, 500, 0, 0],
    ]);
    const view = "UPDATE torrents SET Balance = Balance + 7 WHERE ID = 1";
    const applied = await overtake(database, view, () => site.apply(instance, traffic));
    assert.deepEqual(applied, { isApplied: true, quarantined: 0 });
    assert.deepEqual(await site.apply(instance, traffic), { isApplied: false, last: 3 });
    assert.deepEqual(
      await rows("SELECT u.Uploaded, t.Balance FROM users_main u, torrents t WHERE u.ID = 1 AND t.ID = 1"),
      [{ Uploaded: 500, Balance: 507 }],
    );
    assert.deepEqual(await rows(`SELECT * FROM ${ledger}.quarantine`), []);
  });

  test("one user's number that is too big stops no other user", async (t) => {
    const { site, database, rows, batch, ledger } = await createSite(t, "whatcd");
    await database.query("UPDATE users_main SET Uploaded = 18446744073709551615 WHERE ID = 2");
    // The reason has quotes, which a backslash does not escape in this mode.
    await database.query("SET GLOBAL sql_mode = CONCAT(@@GLOBAL.sql_mode, ',NO_BACKSLASH_ESCAPES')");
    const applied = await site
      .apply(
        instance,
        batch([
          ...([1, 2, 3] as const).map((user) => [0, user, 1, started, 0, 0, 0] as const),
          ...([1, 2, 3] as const).map((user) => [100, user, 1, none, 10 * user, 0, 0] as const),
        ] as never),
      )
      .finally(() => database.query("SET GLOBAL sql_mode = @@SESSION.sql_mode"));
    assert.deepEqual(applied, { isApplied: true, quarantined: 1 });
    assert.deepEqual(await rows("SELECT CAST(Uploaded AS CHAR) AS u FROM users_main"), [
      { u: "10" },
      { u: "18446744073709551615" },
      { u: "30" },
    ]);
    const [aside] = await rows(`SELECT user_id, uploaded, reason FROM ${ledger}.quarantine`);
    assert.deepEqual([aside!.user_id, Number(aside!.uploaded)], [2, 20]);
    assert.match(String(aside!.reason), /out of range in '/);
  });

  test("What.CD's calls work as its tracker class sends them", async (t) => {
    const { site, port, database, steered } = await createSite(t, "whatcd");
    const call = (action: string, updates: Record<string, string | number>) =>
      whatcdCall(port, action, updates);
    const { mirror } = site;
    const infoHash = Buffer.from("25616c6c206f662074686520627974657320000a", "hex"); // with %, space, NUL and a newline
    const escaped = rawurlencode(infoHash);

    assert.equal(await call("add_torrent", { id: 9, info_hash: escaped, freetorrent: 0 }), "success");
    assert.deepEqual(mirror.torrents.get(9), { id: 9, infoHashes: [infoHash], up: 100, down: 100 });
    assert.deepEqual(
      steered.at(-1)?.torrents.map(({ id }) => id),
      [9],
    );
    assert.equal(await call("update_torrent", { info_hash: escaped, freetorrent: 2 }), "success");
    assert.deepEqual([mirror.torrents.get(9)?.up, mirror.torrents.get(9)?.down], [0, 0]);
    assert.equal(
      await call("update_torrents", { info_hashes: escaped + rawurlencode(hashes.first), freetorrent: 1 }),
      "success",
    );
    assert.deepEqual([mirror.torrents.get(9)?.down, mirror.torrents.get(1)?.down], [0, 0]);

    assert.equal(await call("add_user", { id: 4, passkey: "d".repeat(32) }), "success");
    assert.equal(mirror.users.find("d".repeat(32))?.id, 4);
    assert.equal(await call("update_user", { passkey: passkeys.ann, can_leech: 0 }), "success");
    assert.equal(mirror.users.get(1)?.canLeech, false);
    assert.equal(await call("update_user", { passkey: passkeys.ann, visible: 0 }), "success");
    assert.deepEqual(
      [mirror.users.get(1)?.canLeech, site.isProtected(1)],
      [false, true],
      "the other one stays",
    );
    assert.equal(
      await call("change_passkey", { oldpasskey: passkeys.ann, newpasskey: "9".repeat(32) }),
      "success",
    );
    assert.equal(
      await call("change_passkey", { oldpasskey: passkeys.ann, newpasskey: "9".repeat(32) }),
      "success",
    );
    assert.deepEqual(
      [mirror.users.find(passkeys.ann), mirror.users.find("9".repeat(32))?.id],
      [undefined, 1],
    );
    assert.equal(await call("remove_user", { passkey: passkeys.bob }), "success");
    assert.equal(await call("remove_user", { passkey: passkeys.bob }), "success");
    assert.equal(await call("remove_users", { passkeys: passkeys.eve + "d".repeat(32) }), "success");
    assert.deepEqual(
      [...mirror.users.values()].map(({ id }) => id),
      [1],
    );

    assert.equal(await call("add_token", { info_hash: escaped, userid: 1 }), "success");
    assert.equal(await call("add_token", { info_hash: escaped, userid: 1 }), "success");
    assert.deepEqual([...mirror.grants.values()], [{ user: 1, torrent: 9, down: 0 }]);
    assert.match(
      await call("add_token", { info_hash: rawurlencode(Buffer.alloc(20, 7)), userid: 1 }),
      /unknown torrent/,
    );
    assert.match(await call("add_token", { info_hash: escaped, userid: 99 }), /unknown user/);
    await database.query("INSERT INTO torrents (ID, GroupID, info_hash) VALUES (30, 1, REPEAT('n', 20))");
    assert.equal(
      await call("add_token", { info_hash: "n".repeat(20), userid: 1 }),
      "success",
      "the site never told of 30",
    );
    assert.equal(await call("remove_token", { info_hash: escaped, userid: 1 }), "success");
    assert.deepEqual(
      [...mirror.grants.values()].map(({ torrent }) => torrent),
      [30],
    );

    assert.equal(await call("add_whitelist", { peer_id: "-UT2210-" }), "success");
    assert.equal(await call("add_whitelist", { peer_id: "-UT2210-" }), "success");
    assert.equal(await call("edit_whitelist", { old_peer_id: "-UT2210-", new_peer_id: "-qB46" }), "success");
    assert.deepEqual(
      [...mirror.clients.values()].map(({ prefix }) => String(prefix)),
      ["-qB46"],
    );
    assert.match(await call("add_whitelist", { peer_id: "" }), /peer_id/);
    assert.equal(await call("remove_whitelist", { peer_id: "-qB46" }), "success");
    assert.equal(mirror.clients.size, 0);

    assert.equal(await call("delete_torrent", { id: 9, info_hash: escaped, reason: 1 }), "success");
    assert.equal(await call("delete_torrent", { id: 9, info_hash: escaped, reason: 1 }), "success");
    assert.equal(
      refusalsOf("gazelle").torrents[mirror.torrents.get(9)!.refusal! - 1]?.message,
      "Unregistered torrent: Trump",
    );
    assert.match(await call("fly_away", {}), /unknown action/);
    assert.match(
      await whatcdCall(port, "add_user", { id: 5, passkey: "f".repeat(32) }, "x".repeat(32)),
      /Authentication failure/,
    );
    assert.equal(mirror.users.get(5), undefined);
  });

  test("a call outweighs rows that are older, and rows heal a lost call", async (t) => {
    const { site, port, database, wait } = await createSite(t, "whatcd");
    wait(900);
    await whatcdCall(port, "add_user", { id: 4, passkey: "d".repeat(32) }); // its row comes a second later
    await whatcdCall(port, "update_user", { passkey: passkeys.ann, can_leech: 0 });
    await site.changes();
    assert.equal(site.mirror.users.get(4)?.id, 4);
    assert.equal(site.mirror.users.get(1)?.canLeech, false);
    await database.query("UPDATE users_main SET can_leech = 0 WHERE ID = 1");
    wait(900); // the row of 4 never came
    const change = await site.changes();
    assert.deepEqual(change?.passkeys, ["d".repeat(32)]);
    assert.equal(site.mirror.users.get(1)?.canLeech, false);
  });

  test("what was read before an error of the database is not lost", async (t) => {
    const { site, database, steered, wait } = await createSite(t, "whatcd");
    await database.query(
      "UPDATE users_main SET can_leech = 0 WHERE ID = 1; RENAME TABLE xbt_client_whitelist TO elsewhere",
    );
    wait(900);
    await assert.rejects(site.changes(), /xbt_client_whitelist/);
    assert.deepEqual(
      steered.map(({ users }) => users.map(({ id, canLeech }) => [id, canLeech])),
      [[[1, false]]],
    );
    await database.query("RENAME TABLE elsewhere TO xbt_client_whitelist");
    assert.equal(await site.changes(), undefined, "nothing else has changed");
  });

  test("the tracker credits announces, and takes the site's calls at once", async (t) => {
    const { name, rows } = await createSite(t, "whatcd");
    const { program, url } = await startTracker(t, name, ["listen: 127.0.0.1:0"]);
    const { url: calls } = await program.until(({ msg }) => msg === "serving the calls of the site");
    const of = (event: AnnounceEvent, uploaded: number, infoHash = hashes.first) => ({
      ...{ infoHash, peerId: Buffer.from("-qB4630-abcdefghijkl"), port: 1000, event },
      ...{ uploaded: BigInt(uploaded), downloaded: 0n, left: 0n },
    });
    const announceUrl = `${url}/${passkeys.ann}/announce`;
    await announce(announceUrl, of(started, 0));
    const added = Buffer.alloc(20, 0x41);
    await assert.rejects(announce(announceUrl, of(started, 0, added)), /Unregistered torrent/);
    const port = Number(new URL(calls!).port);
    assert.equal(
      await whatcdCall(port, "add_torrent", { id: 50, info_hash: rawurlencode(added), freetorrent: 0 }),
      "success",
    );
    assert.equal(
      await whatcdCall(port, "change_passkey", { oldpasskey: passkeys.ann, newpasskey: "9".repeat(32) }),
      "success",
    );
    await assert.rejects(announce(announceUrl, of(none, 0, added)), /Passkey not found/);
    const next = `${url}/${"9".repeat(32)}/announce`;
    await announce(next, of(started, 0, added));
    await announce(next, of(stopped, 700));
    program.child.kill("SIGTERM");
    assert.deepEqual((await program.ended).code, 0, program.stderr);
    assert.deepEqual(await rows("SELECT Uploaded FROM users_main WHERE ID = 1"), [{ Uploaded: 700 }]);
    assert.ok(!program.stderr.includes(secret) && !program.stderr.includes(passkeys.ann));
  });

  test("with serve_on_tracker, the site's calls work on the addresses of announces, as with Ocelot", async (t) => {
    const { name, rows } = await createSite(t, "whatcd");
    const { program, url, port } = await startTracker(t, name, ["serve_on_tracker: true"], {
      ...{ workers: 2, withReports: true },
    });
    const added = Buffer.alloc(20, 0x41);
    const call = (action: string, updates: Record<string, string | number>, key?: string) =>
      whatcdCall(port, action, updates, key);
    assert.equal(
      await call("add_torrent", { id: 50, info_hash: rawurlencode(added), freetorrent: 0 }),
      "success",
    );
    assert.equal(
      await exchange(
        port,
        `GET /${secret}/update?action=add_user&id=9&passkey=${"9".repeat(32)} HTTP/1.0\r\n\r\n`,
      ).then((response) => response.slice(response.indexOf("\r\n\r\n") + 4)),
      "success",
      "the connection closes by itself",
    );
    for (const wrong of ["x".repeat(32), reportSecret, `${secret}x`])
      assert.match(await call("add_torrent", { id: 51 }, wrong), /Authentication failure/);
    assert.match((await whatcdRequest(port, `/${secret}/report?get=stats`)).status, /Authentication failure/);
    const report = await whatcdRequest(port, `/${reportSecret}/report?get=user&key=${passkeys.ann}`);
    assert.deepEqual(report, { data: "0 leeching\n0 seeding", status: "success" });
    assert.match(
      await exchange(port, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
      /^HTTP\/1.1 404 /,
    );
    assert.match(
      await exchange(port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
      /^HTTP\/1.1 200 /,
    );
    const of = (event: AnnounceEvent, uploaded: number) => ({
      ...{ infoHash: added, peerId: Buffer.from("-qB4630-abcdefghijkl"), port: 1000, event },
      ...{ uploaded: BigInt(uploaded), downloaded: 0n, left: 0n },
    });
    const announceUrl = `${url}/${passkeys.ann}/announce`;
    await announce(announceUrl, of(started, 0));
    await announce(announceUrl, of(stopped, 700));
    const stats = (await whatcdRequest(port, `/${reportSecret}/report?get=stats`)).data;
    assert.match(stats, /\n2 successful announcements\n0 failed announcements\n/, "of both workers");
    program.child.kill("SIGTERM");
    assert.deepEqual((await program.ended).code, 0, program.stderr);
    assert.deepEqual(await rows("SELECT Uploaded FROM users_main WHERE ID = 1"), [{ Uploaded: 700 }]);
    assert.ok(!program.stderr.includes(secret));
  });

  for (const version of ["whatcd", "ops"] as const)
    test(`${version}: the command line shows the accounts, and credits what was set aside`, async (t) => {
      const { name, ledger, site, database, rows, batch } = await createSite(t, version);
      assert.equal(await site.lastApplied(instance), 0);
      const credits = version === "ops" ? "users_leech_stats" : "users_main";
      const key = version === "ops" ? "UserID" : "ID";
      const most = version === "ops" ? "9223372036854775807" : "18446744073709551615";
      await database.query(`UPDATE ${credits} SET Uploaded = ${most} WHERE ${key} = 2`);
      await site.apply(
        instance,
        batch([
          ...([1, 2] as const).map((user) => [0, user, 1, started, 0, 0, 0] as const),
          ...([1, 2] as const).map((user) => [100, user, 1, none, 10 * user, 0, 0] as const),
        ] as never),
      );
      const config = join(temporaryDirectory(t), "chihaya.yaml");
      writeFileSync(
        config,
        `chihaya: {http: {}, private: {site: gazelle, database: "${server.url(name)}", ledger: ${ledger}, journal: {dir: ${join(config, "../journal")}}}}`,
      );
      const run = async (...args: string[]) => {
        const program = new Program(t, process.execPath, [main, "private", ...args, "--config", config]);
        const { code } = await program.ended;
        return { code, ...program };
      };
      const json = async (...args: string[]) => JSON.parse((await run(...args, "--json")).stdout);
      const stats = await json("stats", "ann");
      assert.deepEqual(stats, { name: "ann", id: 1, enabled: true, uploaded: 10, downloaded: 0 });
      const [row, ...others] = await json("quarantine");
      assert.deepEqual([row.user_id, row.uploaded, others], [2, 20, []]);
      assert.deepEqual(await json("quarantine", "--retry"), { credited: 0, left: 1 });
      await database.query(`UPDATE ${credits} SET Uploaded = 5 WHERE ${key} = 2`);
      assert.deepEqual(await json("quarantine", "--retry"), { credited: 1, left: 0 });
      assert.deepEqual(await rows(`SELECT Uploaded FROM ${credits} WHERE ${key} = 2`), [{ Uploaded: 25 }]);
      const all = await json("stats");
      assert.deepEqual(
        [all.users, all.torrents, all.seeders, all.uploaded, all.quarantined, all.applied],
        [3, 3, 2, 35, 0, 4],
      );
      const refused = await run("add-user", "x");
      assert.deepEqual([refused.code, /managed by its own software/.test(refused.stderr)], [1, true]);
      assert.equal((await run("adopt")).code, 0);
      assert.notDeepEqual(await rows(`SELECT instance FROM ${ledger}.applied`), [{ instance }]);
    });

  test("What.CD's tools.php is called for a token whose download is complete, until the site has responded", async (t) => {
    const calls: string[] = [];
    let status = 500;
    const pages = createServer((request, response) => {
      calls.push(request.url!);
      response.writeHead(status).end("page");
    });
    pages.listen(0, "127.0.0.1");
    await once(pages, "listening");
    t.after(() => pages.close());
    const { port } = pages.address() as AddressInfo;
    const { site, steered, usedTokens, batch, rows, wait, ledger } = await createSite(
      ...([t, "whatcd", `http://127.0.0.1:${port}/site/#top`] as const),
    );
    await usedTokens!.send();
    assert.equal(await site.lastApplied(instance), 0);
    site.steer((change, now, { grants }) => grants.put(change, { user: 1, torrent: 1, down: 0 }, now));
    const [token, neutral] = [100, 0];
    const download = (user: number, factors: number | undefined) =>
      [
        [0, user, 1, started, 0, 0, 1000, factors],
        [600, user, 1, completed, 0, 1000, 0, factors],
      ] as const;
    const announces = [...download(1, token), ...download(2, undefined), ...download(3, neutral)];
    await site.apply(instance, batch(announces as never));
    await usedTokens!.send();
    const call = `/site/tools.php?key=${secret}&type=expiretoken&action=ocelot&tokens=1:1`;
    assert.deepEqual(calls, [call], "neither without a token, nor on a neutral torrent");
    assert.deepEqual(steered.at(-1)?.grants, [{ user: 1, torrent: 1, down: 0, isRemoved: true }]);
    status = 200;
    await usedTokens!.send();
    assert.deepEqual(calls, [call], "not again at once");
    wait(30);
    await usedTokens!.send();
    assert.deepEqual(calls, [call, call]);
    assert.deepEqual(await rows(`SELECT * FROM ${ledger}.used_tokens`), []);
    wait(30);
    await usedTokens!.send();
    assert.equal(calls.length, 2);
  });

  test("announces are refused in the order and with the texts of Ocelot, as far as the guide says so", async (t) => {
    const { name, database, rows } = await createSite(t, "whatcd");
    await database.query(
      "INSERT INTO xbt_client_whitelist (peer_id, vstring) VALUES ('-qB4', 'qBittorrent 4')",
    );
    await database.query(
      "UPDATE users_main SET can_leech = 0 WHERE ID = 2; UPDATE users_main SET Enabled = '2' WHERE ID = 3",
    );
    const { program, port } = await startTracker(t, name, ["serve_on_tracker: true"]);
    const deleted = { info_hash: rawurlencode(hashes.neutral), id: 3 };
    assert.equal(await whatcdCall(port, "delete_torrent", { ...deleted, reason: 1 }), "success");
    const text = async (passkey: string, infoHash: Buffer, client: string, more = "&uploaded=0&left=0") => {
      const peerId = `${client}-000000000000`.slice(0, 20).padEnd(20, "0");
      const query = `info_hash=${rawurlencode(infoHash)}&peer_id=${peerId}&port=1000&downloaded=0&compact=1${more}`;
      const response = await exchange(
        port,
        `GET /${passkey}/announce?${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      );
      assert.match(response, /^HTTP\/1.1 200 /, "clients show the text of no other status");
      return /failure reason\d+:(.*?)(?:8:interval|8:retry in|e$)/s.exec(response)?.[1] ?? "";
    };
    const { ann, bob, eve } = passkeys;
    const [unknown, other, good] = [Buffer.alloc(20, 9), "-XX0001", "-qB4630"];
    assert.equal(await text("0".repeat(32), unknown, other), "Passkey not found");
    assert.equal(await text(eve, hashes.first, good), "Passkey not found", "of a disabled user");
    assert.equal(await text(ann, hashes.first, other), "Your client is not on the whitelist");
    assert.equal(
      await text(ann, unknown, other),
      "Your client is not on the whitelist",
      "before the torrent",
    );
    assert.equal(await text(ann, unknown, good), "Unregistered torrent");
    assert.equal(await text(ann, hashes.neutral, good), "Unregistered torrent: Trump");
    assert.equal(
      await text(bob, hashes.first, good, "&uploaded=0&left=5"),
      "Access denied, leeching forbidden",
    );
    assert.equal(
      await text(bob, hashes.first, good, "&uploaded=90&left=5"),
      "Access denied, leeching forbidden",
    );
    assert.equal(await text(bob, hashes.first, good), "", "who may seed");
    assert.equal(await text(ann, hashes.first, good), "");
    assert.equal(
      await text(ann, hashes.first, good, "&uploaded=0"),
      "",
      "a leecher, not a seeder as in Ocelot",
    );
    program.child.kill("SIGTERM");
    await program.ended;
    assert.deepEqual(
      await rows("SELECT ID, Uploaded FROM users_main WHERE ID < 3"),
      [
        { ID: 1, Uploaded: 0 },
        { ID: 2, Uploaded: 90 },
      ],
      "the upload of a user who may not download counts",
    );
    assert.deepEqual(await rows("SELECT remaining > 0 AS isLeecher FROM xbt_files_users WHERE uid = 1"), [
      { isLeecher: 1 },
    ]);
  });

  test("signals, and a database that dies: nothing is lost, where Ocelot loses or resets it", async (t) => {
    const { name } = await createSite(t, "whatcd");
    const directory = temporaryDirectory(t);
    const config = join(directory, "chihaya.yaml");
    const settings = (interval: string) => configOf(name, directory, [], { interval });
    writeFileSync(config, settings("30m"));
    const start = () => serve(t, config);
    let program = start();
    let { url } = await program.until(({ msg }) => msg === "serving");
    const send = async (event: AnnounceEvent, uploaded: number) =>
      announce(`${url}/${passkeys.ann}/announce`, {
        ...{ infoHash: hashes.first, peerId: Buffer.from("-qB4630-abcdefghijkl"), port: 1000, event },
        ...{ uploaded: BigInt(uploaded), downloaded: 0n, left: 1n },
      });
    assert.equal((await send(started, 0)).interval, 1800);
    const reload = async (text: string, signal: NodeJS.Signals) => {
      writeFileSync(config, text);
      const from = program.lines.length;
      program.child.kill(signal);
      return (await program.until(({ msg }) => msg.startsWith("configuration "), from)).msg;
    };
    assert.match(await reload(settings("40m"), "SIGUSR1"), /^configuration reloaded/);
    assert.equal((await send(none, 100)).interval, 2400, "SIGUSR1 pauses nothing, and forgets no peer");
    assert.doesNotMatch(await reload("chihaya: {", "SIGHUP"), /^configuration reloaded/);
    assert.equal((await send(none, 200)).interval, 2400, "a broken configuration changes nothing");
    await server.crash();
    await send(none, 300);
    await send(stopped, 400);
    writeFileSync(config, settings("30m"));
    program.child.kill("SIGTERM");
    const { code } = await program.ended;
    assert.equal(code, 0, program.stderr);
    program = start(); // whatever the server has, the rest comes from the journal
    ({ url } = await program.until(({ msg }) => msg === "serving"));
    assert.equal((await send(started, 0)).interval, 1800);
    program.child.kill("SIGINT");
    program.child.kill("SIGINT"); // an impatient operator
    await program.ended;
    program = start();
    await program.until(({ msg }) => msg === "serving");
    program.child.kill("SIGTERM");
    await program.ended;
    const database = await createConnection(parseUrl(server.url(name)));
    t.after(() => database.end());
    const [users] = await database.query("SELECT Uploaded FROM users_main WHERE ID = 1");
    assert.deepEqual(users, [{ Uploaded: 400 }]);
    const elsewhere = settings("30m")
      .replace(/root@127.0.0.1:\d+/, "root@127.0.0.1:1")
      .replace("/journal}", "/other}");
    writeFileSync(config, elsewhere);
    const lost = start();
    assert.notEqual((await lost.ended).code, 0, "Ocelot exits with 0");
    assert.match(lost.stderr, /cannot connect to the database/);
  });

  test("reports have the lines of What.CD", async (t) => {
    const { port, site, batch, traffic, wait } = await createSite(t, "whatcd");
    await site.apply(
      instance,
      batch([
        [0, 1, 1, started, 0, 0, 5],
        [0, 1, 2, started, 0, 0, 0],
      ]),
    );
    const report = (get: string) => whatcdRequest(port, `/${reportSecret}/report?${get}`);
    assert.deepEqual(await report(`get=user&key=${passkeys.ann}`), {
      data: "1 leeching\n1 seeding",
      status: "success",
    });
    assert.deepEqual(await report(`get=user&key=${"0".repeat(32)}`), { data: "", status: "success" });
    const { data, status } = await report("get=stats");
    assert.equal(status, "success");
    const expected = [
      ...["Uptime: 1 days, 01:01:01", "500000 connections opened", "3 open connections", "6 connections/s"],
      ...["900610 requests handled", "10 requests/s", "899939 successful announcements"],
      ...["61 failed announcements", "610 scrapes", "1 leechers tracked", "1 seeders tracked"],
      ...["1000000000 bytes read", "2000000000000 bytes written"],
    ];
    assert.deepEqual(data.split("\n"), expected);
    wait(10);
    traffic.accepted += 20;
    traffic.scrapes += 300;
    const later = (await report("get=stats")).data.split("\n");
    assert.deepEqual([later[3], later[5]], ["2 connections/s", "30 requests/s"], "since the report before");
    assert.deepEqual((await report("get=stats")).data.split("\n"), later, "in the same second");
    assert.deepEqual(await report("get="), { data: "Invalid action", status: "success" });
  });

  test("Orpheus reads a status line of HTTP/1.1 200, and JSON before the last newline", async (t) => {
    const { port, site, batch } = await createSite(t, "ops");
    await site.apply(
      instance,
      batch([
        [0, 1, 1, started, 0, 0, 5],
        [0, 2, 1, started, 0, 0, 0],
      ]),
    );
    await whatcdCall(port, "add_token", { info_hash: rawurlencode(hashes.first), userid: 1 });
    const call = async (path: string) => {
      const response = await exchange(
        port,
        `GET ${path} HTTP/1.1\r\nHost: tracker\r\nConnection: Close\r\n\r\n`,
      );
      const [head = "", body = ""] = [
        response.slice(0, response.indexOf("\r\n\r\n")),
        response.slice(response.indexOf("\r\n\r\n") + 4),
      ];
      return {
        ok: /^HTTP\/1\.1 200 /.test(head),
        json: () => JSON.parse(body.slice(0, body.lastIndexOf("\n"))),
      };
    };
    assert.ok(
      (await call(`/${secret}/update?action=add_torrent&id=8&info_hash=${"y".repeat(20)}&freetorrent=0`)).ok,
    );
    assert.ok(
      (await call(`/${secret}/update?action=update_user&passkey=${passkeys.bob}&can_leech=0&visible=1`)).ok,
    );
    assert.ok((await call(`/${secret}/update?action=trace_user&passkey=${passkeys.bob}&trace=1`)).ok);
    assert.ok(!(await call(`/${secret}/update?action=add_token&info_hash=${"q".repeat(20)}&userid=1`)).ok);
    const stats = (await call(`/${reportSecret}/report?get=stats`)).json();
    assert.deepEqual(stats["seeders tracked"], { type: "number", value: 1 });
    assert.deepEqual(stats.uptime, { type: "elapsed", value: 90_061 });
    assert.deepEqual(stats["failed announcements"], { type: "number", value: 61 });
    assert.deepEqual(stats["bytes read"], { type: "byte", value: 10 ** 9 });
    assert.deepEqual((await call(`/${reportSecret}/report?get=user&key=${passkeys.bob}`)).json(), {
      ...{ id: 2, leeching: 0, seeding: 1, deleted: 0, protected: 0, can_leech: 0, traced: 1 },
    });
    assert.deepEqual(
      (await call(`/${reportSecret}/report?get=torrent&info_hash=${rawurlencode(hashes.first)}`)).json(),
      {
        ...{ id: 1, completed: 0, balance: 0, last_flushed: 1_800_000_000 },
        ...{ fltoken_list: [1], leecher_list: [1], seeder_list: [2] },
      },
    );
  });
});

function peer(uid: number) {
  return {
    ...{
      uid,
      fid: 1,
      active: 1,
      uploaded: 0,
      downloaded: 0,
      upspeed: 0,
      downspeed: 0,
      remaining: 0,
      timespent: 0,
    },
    ...{ announced: 2, ip: `10.0.0.${uid}`, useragent: "qB4630" },
  };
}

/** As PHP's function: unreserved characters stay. */
function rawurlencode(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) =>
    /[\w.~-]/.test(String.fromCharCode(byte))
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).padStart(2, "0").toUpperCase()}`,
  ).join("");
}

/** Writes a request, and reads until the tracker closes the connection. */
async function exchange(port: number, request: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write(request, "latin1");
  let response = "";
  for await (const chunk of socket) response += (chunk as Buffer).toString("latin1");
  return response;
}

/** As What.CD's class Tracker: no header Host, and the result is what comes after the last newline of the whole response. */
async function whatcdRequest(port: number, get: string): Promise<{ data: string; status: string }> {
  const response = await exchange(port, `GET ${get} HTTP/1.1\r\nConnection: Close\r\n\r\n`);
  const dataStart = response.indexOf("\r\n\r\n") + 4;
  const dataEnd = response.lastIndexOf("\n");
  const data = dataEnd > dataStart ? response.slice(dataStart, dataEnd) : "";
  return { data, status: response.slice(dataEnd + 1) };
}

/** As `Tracker::update_tracker`. @returns what the class compares with "success" */
async function whatcdCall(
  port: number,
  action: string,
  updates: Record<string, string | number>,
  key: string = secret,
): Promise<string> {
  const get = Object.entries(updates).reduce(
    (path, [name, value]) => `${path}&${name}=${value}`,
    `/${key}/update?action=${action}`,
  );
  return (await whatcdRequest(port, get)).status;
}
