/**
 * Compares what MariaDB or MySQL takes by the statements of a private tracker and by those of Ocelot (WhatCD/Ocelot 972c8d6, db.cpp):
 * the same announces go to the tables of the site `sql`, to What.CD's tables by the site `gazelle`, and to What.CD's tables by the
 * statements of Ocelot, in turn. All tables are on one server, with the same durability.
 *
 * Usage: node bench/private-statements.ts --server mysql://root@127.0.0.1:3306 [--rounds 5] [--announces 50000] [--batch 15000]
 *                                         [--users 100000] [--torrents 1000000] [--clients 300000]
 *
 * The server is one on this machine; its databases bench_sql, bench_gazelle and bench_ocelot are removed and made anew. The time of
 * this tracker is that of whole transactions with their preparation. That of Ocelot is that of its statements alone, on a
 * connection for each table as Ocelot has them, as its own work is not in JavaScript. --batch is the number of announces of one
 * transaction of this tracker, or of one text of Ocelot: 3 seconds of 5,000 announces.
 */
import { parseArgs } from "node:util";
import { type Connection, createConnection } from "mysql2/promise";
import { AnnounceEvent } from "../src/bittorrent/event.ts";
import { Batch, emptyAddition, emptyAnnounce } from "../src/private/accounting/batch.ts";
import { Records, recordBytes } from "../src/private/record.ts";
import type { Site } from "../src/private/site.ts";
import { GazelleSite } from "../src/private/sites/gazelle/gazelle-site.ts";
import { Ledger } from "../src/private/sites/mysql/ledger.ts";
import { Mysql, parseUrl } from "../src/private/sites/mysql/mysql.ts";
import { openDatabase } from "../src/private/sites/sql/open-database.ts";
import { createTables } from "../src/private/sites/sql/schema.ts";
import { SqlSite } from "../src/private/sites/sql/sql-site.ts";
import { whatcdTables } from "../test/support/gazelle-tables.ts";
import { databaseMs } from "./support/database-ms.ts";
import { fillSite, infoHashOf, PrivateAnnounces, passkeyOf } from "./support/private-announces.ts";

const { values } = parseArgs({
  options: {
    server: { type: "string" },
    rounds: { type: "string", default: "5" },
    announces: { type: "string", default: "50000" },
    batch: { type: "string", default: "15000" },
    users: { type: "string", default: "100000" },
    torrents: { type: "string", default: "1000000" },
    clients: { type: "string", default: "300000" },
  },
});
if (values.server === undefined) throw new Error("--server is missing");
const [rounds, perRound, perBatch, users, torrents, clients] = [
  ...[values.rounds, values.announces, values.batch, values.users, values.torrents, values.clients],
].map(Number) as [number, number, number, number, number, number];
const server = values.server.replace(/\/$/, "");
const instance = "0".repeat(32);

/** Takes announces, a batch at a time. */
interface Contestant {
  name: string;
  /** Makes statements of records; @returns a function that runs them */
  prepare(records: Records, count: number): () => Promise<void>;
}

const root = await createConnection({ ...parseUrl(`${server}/`), multipleStatements: true });
const sql = await openSql();
const gazelle = await openGazelle("bench_gazelle");
await openGazelle("bench_ocelot");
const contestants = [
  contestantOf("site sql", sql),
  contestantOf("site gazelle", gazelle),
  await openOcelot(),
];
const announces = new PrivateAnnounces({ users, torrents, clients, rate: 5000 });
const block = new Records(new ArrayBuffer(perBatch * recordBytes), 0, perBatch);
for (let done = 0; done < clients; done += perBatch) {
  const count = Math.min(perBatch, clients - done);
  announces.write(block, count);
  for (const { prepare } of contestants) await prepare(block, count)();
}
const results = new Map<string, { rates: number[]; own: number[]; server: number[] }>();
for (let round = 0; round < rounds; round++) {
  for (const { name, prepare } of contestants) {
    const result = results.get(name) ?? { rates: [], own: [], server: [] };
    results.set(name, result);
    let [ms, own, server, count] = [0, 0, 0, 0];
    for (; count < perRound; count += perBatch) {
      announces.write(block, perBatch);
      const run = prepare(block, perBatch);
      const [start, ownBefore, serverBefore] = [performance.now(), process.cpuUsage(), await serverMs()];
      await run();
      ms += performance.now() - start;
      server += (await serverMs()) - serverBefore;
      const { user, system } = process.cpuUsage(ownBefore);
      own += (user + system) / 1000;
    }
    result.rates.push((1000 * count) / ms);
    result.own.push((1000 * own) / count);
    result.server.push((1000 * server) / count);
  }
}
const [[mode]] = (await root.query(
  "SELECT VERSION() AS version, @@innodb_flush_log_at_trx_commit AS mode, @@innodb_buffer_pool_size >> 20 AS pool",
)) as unknown as [[{ version: string; mode: number; pool: number }]];
console.log(
  `${mode.version}, innodb_flush_log_at_trx_commit=${mode.mode}, buffer pool ${mode.pool} MiB; medians of ${rounds} rounds`,
);
for (const [name, { rates, own, server }] of results)
  console.log(
    `${name.padEnd(22)} ${Math.round(median(rates))} announces/s, ${median(server).toFixed(1)} µs of the server and ` +
      `${median(own).toFixed(1)} µs of the client for each`,
  );
process.exit(0);

function median(list: readonly number[]): number {
  return [...list].sort((a, b) => a - b)[list.length >> 1]!;
}

function serverMs(): Promise<number> {
  return databaseMs(`${server}/`);
}

function contestantOf(name: string, site: Site): Contestant {
  let seq = 0;
  return {
    name,
    prepare: (records, count) => async () => {
      const batch = new Batch(seq);
      for (let i = 0; i < count; i++) batch.add(records, i);
      const { isApplied } = await site.apply(instance, batch);
      if (!isApplied) throw new Error(`${name}: not applied`);
      seq = batch.to;
    },
  };
}

async function openSql(): Promise<Site> {
  await root.query("DROP DATABASE IF EXISTS bench_sql; CREATE DATABASE bench_sql");
  const open = await openDatabase(`${server}/bench_sql`, "");
  await createTables(open);
  await fillSite(open, { users, torrents });
  const site = new SqlSite(open);
  await site.lastApplied(instance);
  return site;
}

async function openGazelle(name: string): Promise<Site> {
  await root.query(
    `DROP DATABASE IF EXISTS ${name}; DROP DATABASE IF EXISTS ${name}_ledger; CREATE DATABASE ${name}; USE ${name}; ${whatcdTables}`,
  );
  const insert = async (table: string, columns: string, count: number, row: (id: number) => unknown[]) => {
    for (let id = 1; id <= count; ) {
      const rows: unknown[][] = [];
      for (; id <= count && rows.length < 1000; id++) rows.push(row(id));
      await root.query(`INSERT INTO ${name}.${table} (${columns}) VALUES ?`, [rows]);
    }
  };
  await insert("users_main", "Username, Email, PassHash, torrent_pass, Enabled", users, (id) => [
    ...[`user ${id}`, "", "", passkeyOf(id), "1"],
  ]);
  await insert("torrents", "GroupID, info_hash", torrents, (id) => [1, infoHashOf(id)]);
  const mysql = new Mysql(`${server}/${name}`);
  const site = new GazelleSite({
    mysql,
    ledger: new Ledger(mysql, `${name}_ledger`),
    now: () => 1_800_000_000,
  });
  site.open(() => undefined);
  await site.lastApplied(instance);
  return site;
}

/** Ocelot's four queues, each with its connection, in the SQL mode that its statements need. */
async function openOcelot(): Promise<Contestant> {
  const connections: Connection[] = [];
  for (let i = 0; i < 4; i++) {
    const connection = await createConnection(parseUrl(`${server}/bench_ocelot`));
    await connection.query("SET sql_mode = ''");
    connections.push(connection);
  }
  const announce = emptyAnnounce();
  const addition = emptyAddition();
  const prepare = (records: Records, count: number) => {
    const [userRows, torrentRows, peerRows, snatchRows]: string[][] = [[], [], [], []];
    for (let i = 0; i < count; i++) {
      const { user, torrent, uploaded, downloaded, left, seconds, peerId } = records.readAnnounce(
        i,
        announce,
      );
      const added = records.readAddition(i, addition);
      if (added.uploaded + added.downloaded > 0)
        userRows!.push(`(${user},${added.uploaded},${added.downloaded})`);
      torrentRows!.push(`(${torrent},1,0,${Number(added.isSnatch)},${uploaded - downloaded})`);
      const active = announce.event === AnnounceEvent.stopped ? 0 : 1;
      peerRows!.push(
        `(${user},${torrent},${active},${uploaded},${downloaded},0,0,${left},0,${added.seedSeconds},1,'10.0.0.1',` +
          `'${peerId}','qBittorrent/4.5.2',${seconds})`,
      );
      if (added.isSnatch) snatchRows!.push(`(${user},${torrent},${seconds},'10.0.0.1')`);
    }
    const texts = [
      [
        `INSERT INTO users_main (ID, Uploaded, Downloaded) VALUES ${userRows!.join(",")} ON DUPLICATE KEY UPDATE ` +
          "Uploaded = Uploaded + VALUES(Uploaded), Downloaded = Downloaded + VALUES(Downloaded)",
      ],
      [
        `INSERT INTO torrents (ID,Seeders,Leechers,Snatched,Balance) VALUES ${torrentRows!.join(",")} ON DUPLICATE KEY UPDATE ` +
          "Seeders=VALUES(Seeders), Leechers=VALUES(Leechers), Snatched=Snatched+VALUES(Snatched), Balance=VALUES(Balance), " +
          "last_action = IF(VALUES(Seeders) > 0, NOW(), last_action)",
        "DELETE FROM torrents WHERE info_hash = ''",
      ],
      [
        "INSERT INTO xbt_files_users (uid,fid,active,uploaded,downloaded,upspeed,downspeed,remaining,corrupt,timespent,announced,ip," +
          `peer_id,useragent,mtime) VALUES ${peerRows!.join(",")} ON DUPLICATE KEY UPDATE active=VALUES(active), ` +
          "uploaded=VALUES(uploaded), downloaded=VALUES(downloaded), upspeed=VALUES(upspeed), downspeed=VALUES(downspeed), " +
          "remaining=VALUES(remaining), corrupt=VALUES(corrupt), timespent=VALUES(timespent), announced=VALUES(announced), " +
          "mtime=VALUES(mtime)",
      ],
      [`INSERT INTO xbt_snatched (uid, fid, tstamp, IP) VALUES ${snatchRows!.join(",")}`],
    ];
    const isEmpty = [userRows, torrentRows, peerRows, snatchRows].map((rows) => rows!.length === 0);
    return async () => {
      await Promise.all(
        texts.map(async (queue, i) => {
          if (!isEmpty[i]) for (const text of queue) await connections[i]!.query(text);
        }),
      );
    };
  };
  return { name: "Ocelot's statements", prepare };
}
