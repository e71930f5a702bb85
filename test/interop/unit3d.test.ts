/** UNIT3D as its site software uses a tracker: its tables, and its calls as its PHP code sends them. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { createConnection } from "mysql2/promise";
import { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { Batch, emptyAnnounce } from "../../src/private/accounting/batch.ts";
import { Sessions } from "../../src/private/accounting/sessions.ts";
import type { DirectoryChange } from "../../src/private/directory-records.ts";
import { refusalsOf } from "../../src/private/errors.ts";
import { Field, Records, recordWords } from "../../src/private/record.ts";
import { Ledger } from "../../src/private/sites/mysql/ledger.ts";
import { Mysql, parseUrl } from "../../src/private/sites/mysql/mysql.ts";
import { Secret, SiteListener } from "../../src/private/sites/site-listener.ts";
import { Unit3dCalls } from "../../src/private/sites/unit3d/calls.ts";
import { Unit3dSite } from "../../src/private/sites/unit3d/unit3d-site.ts";
import { main, Program, temporaryDirectory } from "../support/daemon.ts";
import { overtake } from "../support/mariadb-race.ts";
import { type MariadbServer, startMariadbServer, withoutMariadb } from "../support/mariadb-server.ts";
import { unit3dTables } from "../support/unit3d-tables.ts";

const key = "aKeyOfTheTrackerWithMoreThan32Characters";
const passkeys = { ann: "a".repeat(32), bob: "b".repeat(32), eve: "e".repeat(32) };
const instance = "00000000-0000-4000-8000-000000000002";
const { none, started, completed, stopped } = AnnounceEvent;
const [full, free] = [100 | (100 << 16), 100];
let databases = 0;

describe("UNIT3D", { skip: withoutMariadb }, () => {
  let server: MariadbServer;
  before(async () => {
    server = await startMariadbServer(["--sql-mode=STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ENGINE_SUBSTITUTION"]);
  });
  after(() => server?.stop());

  /** A site with three users and three torrents, its tracker's part, and the site's program. */
  async function createSite(t: TestContext, socket?: string) {
    const name = `unit3d${++databases}`;
    const database = await createConnection({
      ...{ ...parseUrl(server.url("")), multipleStatements: true, dateStrings: true },
    });
    t.after(() => database.end());
    await database.query(
      `SET time_zone = '+00:00'; CREATE DATABASE ${name}; USE ${name}; ${unit3dTables}
      INSERT INTO \`groups\` (id, name, slug, download_slots, is_immune, is_freeleech) VALUES
        (1, 'User', 'user', 5, 0, 0), (2, 'Banned', 'banned', 0, 0, 0), (3, 'VIP', 'vip', NULL, 1, 1);
      INSERT INTO users (id, username, email, password, passkey, group_id, rsskey, is_donor) VALUES
        (1, 'ann', '', '', '${passkeys.ann}', 1, '', 0), (2, 'bob', '', '', '${passkeys.bob}', 3, '', 0),
        (3, 'eve', '', '', '${passkeys.eve}', 2, '', 1);
      INSERT INTO torrents (id, name, description, info_hash, file_name, num_file, size, user_id, status, free, doubleup) VALUES
        (1, '', '', REPEAT('1', 20), '', 1, 1, 1, 1, 0, 0), (2, '', '', REPEAT('2', 20), '', 1, 1, 1, 1, 50, 1),
        (3, '', '', REPEAT('3', 20), '', 1, 1, 1, 0, 0, 0), (4, '', '', REPEAT('1', 20), '', 1, 1, 1, 2, 0, 0);
      INSERT INTO freeleech_tokens (user_id, torrent_id) VALUES (1, 2);
      INSERT INTO personal_freeleeches (user_id) VALUES (1); INSERT INTO featured_torrents (user_id, torrent_id) VALUES (1, 2);
      INSERT INTO blacklist_clients (name, peer_id_prefix) VALUES ('Old', '-AZ')`,
    );
    let now = 1_800_000_000;
    const mysql = new Mysql(server.url(name), { setup: "SET time_zone = '+00:00'" });
    const site = new Unit3dSite({ mysql, ledger: new Ledger(mysql, `${name}_ledger`), now: () => now });
    t.after(() => site.close());
    const steered: DirectoryChange[] = [];
    site.open((change) => steered.push(change));
    await site.changes();
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    let announces = 0;
    const calls = new Unit3dCalls({
      ...{ site, logger, secret: new Secret(key) },
      numbers: () => ({ version: "1", uptime: 1, announceInterval: 1800, announces, lag: 0 }),
    });
    const clock = { seconds: 0, unixSeconds: now };
    const listen = socket === undefined ? { host: "127.0.0.1", port: 0 } : { path: socket };
    const listener = new SiteListener(listen, calls.routes(), { clock, logger });
    await listener.start();
    t.after(() => listener.stop());
    /** As Laravel's client: a call has worked if the status is exactly 200. */
    const call = async (method: string, path: string, data?: unknown, secret = key) => {
      const body = data === undefined ? undefined : JSON.stringify(data);
      const sent = request({
        ...(socket === undefined
          ? { host: "127.0.0.1", port: new URL(listener.url).port }
          : { socketPath: socket }),
        ...{ method, path: `/announce/${secret}/${path}`, agent: false },
        headers: {
          accept: "application/json",
          ...(body && { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
        },
      });
      sent.end(body);
      const [response] = (await once(sent, "response")) as [IncomingMessage];
      let text = "";
      for await (const chunk of response) text += chunk;
      return {
        ok: response.statusCode === 200,
        status: response.statusCode,
        text,
        json: () => JSON.parse(text),
      };
    };
    const sessions = new Sessions({ maxRate: 1e9, maxGap: 5000, idle: 1e6 });
    let seq = 0;
    return {
      ...{ site, database, steered, call, name, mirror: site.mirror },
      wait(seconds: number, more = 0) {
        now += seconds;
        announces += more;
      },
      rows: async (sql: string) => (await database.query(sql))[0] as Record<string, unknown>[],
      /** Makes a batch of announces: [seconds, user, client, torrent, event, uploaded, downloaded, left, factors]. */
      batch(
        announces: readonly [
          number,
          number,
          string,
          number,
          AnnounceEvent,
          number,
          number,
          number,
          number?,
        ][],
      ) {
        const batch = new Batch(seq);
        for (const [seconds, user, client, torrent, event, ...numbers] of announces) {
          const records = new Records(new ArrayBuffer(4 * recordWords), 0, 1);
          const { words } = records;
          words[Field.seconds] = 1_800_000_000 + seconds;
          words[Field.user] = user;
          words[Field.torrent] = torrent;
          words[Field.what] = event | (4 << 8) | (6881 << 16);
          for (const [i, value] of numbers.slice(0, 3).entries()) words[Field.counters + 2 * i] = value!;
          records.bytes.set(Buffer.from(`-qB4630-00000000000${client}`), 4 * Field.peerId);
          records.bytes.set([10, 0, 0, user], 4 * Field.address);
          words[Field.factors] = numbers[3] ?? full;
          records.complete(0, sessions.apply(records.readAnnounce(0, emptyAnnounce())));
          batch.add(records, 0);
        }
        seq = batch.to;
        return batch;
      },
    };
  }

  test("the site's tables are read: torrents by their infohash, groups, grants and clients", async (t) => {
    const { site, mirror, database, wait } = await createSite(t);
    assert.deepEqual(await site.size(), { users: 3, torrents: 3, grants: 4, groups: 3, clients: 1 });
    const text = (id: number) =>
      refusalsOf("unit3d").torrents[(mirror.torrents.get(id)?.refusal ?? 0) - 1]?.message;
    assert.deepEqual([text(1), text(2), text(3)], [undefined, undefined, "Torrent is pending moderation."]);
    assert.deepEqual(mirror.torrents.get(4), undefined, "the approved torrent of this infohash counts");
    assert.deepEqual([mirror.torrents.get(2)?.up, mirror.torrents.get(2)?.down], [200, 50]);
    assert.deepEqual([mirror.users.get(1)?.isEnabled, mirror.users.get(3)?.isEnabled], [true, false]);
    assert.deepEqual(
      [...mirror.grants.values()],
      [
        { user: 1, torrent: 2, down: 0 },
        { user: 1, torrent: 0, down: 0 },
        { user: 3, torrent: 0, down: 0 }, // a donor
        { user: 0, torrent: 2, up: 200, down: 0 },
      ],
    );
    assert.deepEqual(await site.rules(), {
      groups: [
        { id: 1, slots: 5 },
        { id: 2, slots: 0 },
        { id: 3, slots: undefined, down: 0 },
      ],
      clients: [{ prefix: Buffer.from("-AZ"), isAllowed: false }],
    });
    await database.query(
      "UPDATE torrents SET deleted_at = NOW() WHERE id = 1; UPDATE users SET group_id = 2 WHERE id = 1",
    );
    wait(900);
    await site.changes();
    assert.equal(text(4), "Torrent has been rejected.");
    assert.equal(mirror.torrents.get(1), undefined);
    assert.equal(mirror.users.get(1)?.isEnabled, false);
  });

  test("a batch that another transaction has overtaken counts once", async (t) => {
    const { site, database, rows, batch, name } = await createSite(t);
    const traffic = batch([
      [0, 1, "a", 1, started, 0, 0, 0],
      [1000, 1, "a", 1, none, 500, 0, 0],
    ]);
    const edit = "UPDATE torrents SET seeders = 0, times_completed = 7 WHERE id = 1";
    const applied = await overtake(database, edit, () => site.apply(instance, traffic));
    assert.deepEqual(applied, { isApplied: true, quarantined: 0 });
    assert.deepEqual(await site.apply(instance, traffic), { isApplied: false, last: 2 });
    assert.deepEqual(
      await rows(
        "SELECT u.uploaded, t.seeders, t.times_completed FROM users u, torrents t WHERE u.id = 1 AND t.id = 1",
      ),
      [{ uploaded: 500, seeders: 1, times_completed: 7 }],
    );
    assert.deepEqual(await rows(`SELECT * FROM ${name}_ledger.quarantine`), []);
  });

  test("traffic is credited, and nothing is made of what is gone", async (t) => {
    const { site, rows, batch } = await createSite(t);
    const applied = await site.apply(
      instance,
      batch([
        [0, 1, "a", 1, started, 0, 0, 1000],
        [0, 1, "b", 1, started, 0, 0, 0],
        [0, 2, "a", 1, started, 0, 0, 0],
        [0, 77, "a", 1, started, 0, 0, 0],
        [0, 1, "a", 88, started, 0, 0, 0],
        [1000, 1, "a", 1, completed, 50, 1000, 0, free],
        [1000, 2, "a", 1, none, 1000, 0, 0],
        [1000, 77, "a", 1, none, 500, 0, 0],
        [1000, 1, "a", 88, stopped, 300, 0, 0],
      ]),
    );
    assert.deepEqual(applied, { isApplied: true, quarantined: 1 });
    assert.deepEqual(await rows("SELECT uploaded, downloaded FROM users ORDER BY id"), [
      { uploaded: 350, downloaded: 0 },
      { uploaded: 1000, downloaded: 0 },
      { uploaded: 0, downloaded: 0 },
    ]);
    assert.deepEqual(await rows("SELECT COUNT(*) AS n FROM torrents"), [{ n: 4 }]);
    assert.deepEqual(
      await rows("SELECT seeders, leechers, times_completed, balance FROM torrents WHERE id = 1"),
      [{ seeders: 3, leechers: 0, times_completed: 1, balance: 550 }],
    );
    assert.deepEqual(
      await rows(
        "SELECT user_id, agent, uploaded, actual_uploaded, client_uploaded, downloaded, actual_downloaded, client_downloaded, " +
          "seeder, active, seedtime, immune, UNIX_TIMESTAMP(created_at) AS created, UNIX_TIMESTAMP(updated_at) AS updated, completed_at FROM history",
      ),
      [
        {
          ...{
            user_id: 1,
            agent: "qB4630",
            uploaded: 50,
            actual_uploaded: 50,
            client_uploaded: 0,
            downloaded: 0,
          },
          ...{ actual_downloaded: 1000, client_downloaded: 0, seeder: 1, active: 1, seedtime: 0, immune: 0 },
          ...{ created: 1_800_000_000, updated: 1_800_001_000, completed_at: "2027-01-15 08:16:40" },
        },
        {
          ...{ user_id: 2, agent: "qB4630", uploaded: 1000, actual_uploaded: 1000, client_uploaded: 1000 },
          ...{
            downloaded: 0,
            actual_downloaded: 0,
            client_downloaded: 0,
            seeder: 1,
            active: 1,
            seedtime: 1000,
          },
          ...{ immune: 1, created: 1_800_000_000, updated: 1_800_001_000, completed_at: null },
        },
      ],
    );
    assert.deepEqual(
      await rows(
        "SELECT user_id, INET6_NTOA(ip) AS ip, port, `left`, active, seeder, visible FROM peers WHERE user_id = 2",
      ),
      [{ user_id: 2, ip: "10.0.0.2", port: 6881, left: 0, active: 1, seeder: 1, visible: 1 }],
    );

    await site.apply(instance, batch([[2000, 1, "a", 1, stopped, 50, 1000, 0]]));
    assert.deepEqual(
      await rows("SELECT active, completed_at FROM history WHERE user_id = 1"),
      [{ active: 1, completed_at: "2027-01-15 08:16:40" }],
      "the other client goes on, and the time of the first completion stays",
    );
    await site.expirePeers(1_800_000_500, 0);
    assert.deepEqual(await rows("SELECT active FROM history ORDER BY user_id"), [
      { active: 0 },
      { active: 1 },
    ]);
    assert.deepEqual(await rows("SELECT seeders FROM torrents WHERE id = 1"), [{ seeders: 1 }]);
  });

  test("the command line shows the accounts, and credits what was set aside", async (t) => {
    const { name, site, database, rows, batch } = await createSite(t);
    assert.equal(await site.lastApplied(instance), 0);
    await database.query("UPDATE users SET uploaded = 18446744073709551615 WHERE id = 2");
    await site.apply(
      instance,
      batch([
        [0, 1, "a", 1, started, 0, 0, 0],
        [0, 2, "a", 1, started, 0, 0, 0],
        [100, 1, "a", 1, none, 10, 0, 0],
        [100, 2, "a", 1, none, 20, 0, 0],
      ]),
    );
    const config = join(temporaryDirectory(t), "chihaya.yaml");
    writeFileSync(
      config,
      `chihaya: {http: {}, private: {site: unit3d, database: "${server.url(name)}", ledger: ${name}_ledger, journal: {dir: ${join(config, "../journal")}}}}`,
    );
    const json = async (...args: string[]) => {
      const flags = ["--config", config, "--json"];
      const program = new Program(t, process.execPath, [main, "private", ...args, ...flags]);
      assert.equal((await program.ended).code, 0, program.stderr);
      return JSON.parse(program.stdout);
    };
    const [before] = await rows("SELECT uploaded FROM users WHERE id = 1");
    const { uploaded, ...ann } = await json("stats", "ann");
    assert.deepEqual(
      [ann, uploaded],
      [{ name: "ann", id: 1, enabled: true, downloaded: 0 }, before!.uploaded],
    );
    assert.equal((await json("stats", "eve")).enabled, false, "of a group that is locked out");
    const [row, ...others] = await json("quarantine");
    assert.deepEqual([row.user_id, row.uploaded, others], [2, 20, []]);
    await database.query("UPDATE users SET uploaded = 5 WHERE id = 2");
    assert.deepEqual(await json("quarantine", "--retry"), { credited: 1, left: 0 });
    assert.deepEqual(await rows("SELECT uploaded FROM users WHERE id = 2"), [{ uploaded: 25 }]);
    const all = await json("stats");
    assert.deepEqual([all.users, all.torrents, all.quarantined, all.applied], [3, 4, 0, 4]);
  });

  test("the calls work as Unit3dAnnounce sends them, also over a unix socket", async (t) => {
    const socket = join(temporaryDirectory(t), "site.sock");
    const { call, mirror, database, site, steered } = await createSite(t, socket);
    const ok = async (method: string, path: string, data: unknown) =>
      assert.deepEqual((await call(method, path, data)).status, 200, `${method} ${path}`);
    const torrent = {
      ...{ id: 9, status: 1, info_hash: "ab".repeat(20), is_deleted: false, seeders: 7, leechers: 8 },
      ...{ times_completed: 9, download_factor: 0, upload_factor: 200 },
    };
    await ok("PUT", "torrents", torrent);
    assert.deepEqual(mirror.torrents.get(9), {
      ...{ id: 9, infoHashes: [Buffer.from("ab".repeat(20), "hex")], up: 200, down: 0, refusal: 0 },
    });
    assert.deepEqual(
      steered.at(-1)?.torrents.map(({ id }) => id),
      [9],
    );
    await ok("PUT", "torrents", { ...torrent, status: 3 });
    assert.equal(mirror.torrents.get(9)?.refusal, 4);
    await ok("DELETE", "torrents", { id: 9, info_hash: "ab".repeat(20) });
    await ok("DELETE", "torrents", { id: 12345, info_hash: "ab".repeat(20) });
    assert.equal(
      refusalsOf("unit3d").torrents[mirror.torrents.get(9)!.refusal! - 1]?.message,
      "Torrent has been deleted.",
    );

    const user = {
      id: 4,
      group_id: 1,
      passkey: "d".repeat(32),
      can_download: true,
      num_seeding: 0,
      num_leeching: 0,
    };
    await ok("PUT", "users", { ...user, new_passkey: null, is_donor: false, is_lifetime: false });
    assert.equal(mirror.users.find("d".repeat(32))?.id, 4);
    await ok("PUT", "users", { ...user, new_passkey: "f".repeat(32), can_download: false, is_donor: true });
    assert.equal(mirror.users.find("d".repeat(32)), undefined, "the old passkey is over");
    assert.deepEqual([mirror.users.get(4)?.passkey, mirror.users.get(4)?.canLeech], ["f".repeat(32), false]);
    assert.deepEqual(mirror.grants.get("4:0"), { user: 4, torrent: 0, down: 0 });
    await ok("DELETE", "personal-freeleech", { user_id: 4 });
    assert.ok(mirror.grants.get("4:0"), "a donor keeps freeleech");
    await ok("DELETE", "users", { id: 4, passkey: "f".repeat(32) });
    assert.deepEqual([mirror.users.get(4), mirror.grants.get("4:0")], [undefined, undefined]);

    await ok("PUT", "groups", {
      id: 1,
      slug: "banned",
      download_slots: null,
      is_immune: true,
      is_freeleech: false,
      is_double_upload: true,
    });
    assert.equal(mirror.users.get(1)?.isEnabled, false);
    assert.deepEqual(mirror.groups.get(1), { id: 1, slots: undefined, up: 200 });
    await ok("DELETE", "groups", { id: 1 });

    await database.query("INSERT INTO blacklist_clients (name, peer_id_prefix) VALUES ('Bad Client', '-BC')");
    await ok("PUT", "blacklisted-agents", { peer_id_prefix: "Bad Client" });
    assert.deepEqual(
      [...mirror.clients.values()].map(({ prefix }) => String(prefix)),
      ["-AZ", "-BC"],
    );
    await database.query("DELETE FROM blacklist_clients WHERE name = 'Bad Client'");
    await ok("DELETE", "blacklisted-agents", { peer_id_prefix: "Bad Client" });
    assert.equal(mirror.clients.size, 1);

    await ok("PUT", "freeleech-tokens", { user_id: 2, torrent_id: 1 });
    await ok("PUT", "featured-torrents", { torrent_id: 1 });
    assert.deepEqual([mirror.grants.get("2:1")?.down, mirror.grants.get("0:1")?.up], [0, 200]);
    await ok("DELETE", "featured-torrents", { torrent_id: 1 });
    assert.equal(mirror.grants.get("0:1"), undefined);

    for (const [method, path, data, status] of [
      ["PUT", "torrents", { ...torrent, info_hash: "xy" }, 400],
      ["PUT", "users", { ...user, passkey: "short" }, 400],
      ["PUT", "users", [], 400],
      ["PUT", "nothing", {}, 404],
      ["GET", "torrents/12345", undefined, 404],
    ] as const)
      assert.equal((await call(method, path, data)).status, status, `${method} ${path}`);
    assert.equal(
      (await call("DELETE", "users", { id: 1, passkey: passkeys.ann }, "x".repeat(32))).status,
      404,
    );
    assert.ok(mirror.users.get(1));
    assert.equal(site.now, 1_800_000_000);
  });

  test("staff pages get the types that PHP checks", async (t) => {
    const { call, site, batch, wait } = await createSite(t);
    await site.apply(
      instance,
      batch([
        [0, 1, "a", 1, started, 0, 0, 10],
        [0, 2, "a", 1, started, 5, 0, 0],
      ]),
    );
    assert.match((await call("GET", "stats")).text, /^\{("[a-z_0-9]+":\d+\.\d+,?){13}\}$/);
    wait(10, 50);
    const stats = (await call("GET", "stats")).json();
    assert.deepEqual(
      [stats.requests_per_10s, stats.requests_per_60s, stats.created_at],
      [5, 50 / 60, 1_800_000_000],
    );
    const torrent = (await call("GET", "torrents/1")).json();
    const peer = Buffer.from("-qB4630-00000000000a").toString("hex");
    assert.deepEqual(Object.keys(torrent.peers), [`1-${peer}`, `2-${peer}`]);
    assert.deepEqual(torrent.peers[`2-${peer}`], {
      ...{ ip_address: "10.0.0.2", user_id: 2, torrent_id: 1, port: 6881, is_seeder: true, is_active: true },
      ...{ is_visible: true, is_connectable: true, updated_at: 1_800_000_000, uploaded: 5, downloaded: 0 },
    });
    const { peers: _, ...others } = torrent;
    assert.deepEqual(others, {
      ...{ id: 1, status: "Approved", is_deleted: false, seeders: 1, leechers: 1, times_completed: 0 },
      ...{ download_factor: 100, upload_factor: 100 },
    });
    assert.deepEqual((await call("GET", "users/1")).json(), {
      ...{ id: 1, group_id: 1, passkey: passkeys.ann, can_download: true, num_seeding: 0, num_leeching: 1 },
      ...{ is_donor: false, is_lifetime: false },
      ...{ receive_seed_list_rates: { rates: [] }, receive_leech_list_rates: { rates: [] } },
    });
  });
});
