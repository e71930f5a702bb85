/**
 * Measures how fast the accountant of a private tracker catches up after its database was away: announces of some time wait in the
 * journal, and the database gets all of them.
 *
 * Usage: node bench/private-catch-up.ts [--rate 500] [--minutes 30] [--users 100000] [--torrents 1000000] [--interval 1800]
 *                                       [--database mysql://root@127.0.0.1:3306/site]
 *
 * --database takes an empty database of a server on this machine; the default is a file of SQLite. Before the measurement each client
 * has announced once. The result is a multiple of real time: the time in which the announces were made, by the time to apply them.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { silentLogger } from "../src/observability/logger.ts";
import { Accountant } from "../src/private/accounting/accountant.ts";
import { Journal } from "../src/private/accounting/journal.ts";
import type { PrivateOptions } from "../src/private/options.ts";
import { Records, recordBytes } from "../src/private/record.ts";
import { openDatabase } from "../src/private/sites/sql/open-database.ts";
import { createTables } from "../src/private/sites/sql/schema.ts";
import { SqlSite } from "../src/private/sites/sql/sql-site.ts";
import { databaseMs } from "./support/database-ms.ts";
import { fillSite, PrivateAnnounces } from "./support/private-announces.ts";
import { createScratchDirectory } from "./support/scratch.ts";

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "500" },
    minutes: { type: "string", default: "30" },
    interval: { type: "string", default: "1800" },
    users: { type: "string", default: "100000" },
    torrents: { type: "string", default: "1000000" },
    database: { type: "string" },
  },
});
const [rate, minutes, interval, users, torrents] = [
  ...[values.rate, values.minutes, values.interval, values.users, values.torrents],
].map(Number) as [number, number, number, number, number];
const directory = createScratchDirectory();
const database = values.database ?? join(directory, "private.sqlite");
if (values.database === undefined) writeFileSync(database, "");
const open = await openDatabase(database, "");
await createTables(open);
await fillSite(open, { users, torrents });
const options = {
  ...{ storeIps: "plain", maxRate: 1e12, peersTimeout: 7200, idleSessions: 21 * 86_400 },
} as unknown as PrivateOptions;
const clock = { seconds: 1000, unixSeconds: 1_800_000_000 };
const journalDirectory = join(directory, "journal");
const announces = new PrivateAnnounces({ users, torrents, rate, clients: rate * interval });

await append(rate * interval);
await catchUp();
const measured = rate * 60 * minutes;
await append(measured);
const { seconds, ownSeconds, serverSeconds } = await catchUp();
const cpu = ownSeconds + serverSeconds;
const times = (spent: number) => (measured / rate / spent).toFixed(1);
console.log(
  `${database.split(":")[0]}: ${measured} announces of ${rate} a second: ${times(seconds)} x real time by the clock ` +
    `(${Math.round(measured / seconds)}/s), ${times(cpu)} x by processor time: ${perAnnounce(ownSeconds)} µs of the accountant and ` +
    `${perAnnounce(serverSeconds)} µs of the server for each announce`,
);
process.exit(0);

function perAnnounce(spent: number): string {
  return ((1e6 * spent) / measured).toFixed(1);
}

/** Adds announces to the journal, as if the database were away. */
async function append(count: number): Promise<void> {
  const journal = new Journal({ directory: journalDirectory, segmentBytes: 1 << 26, keep: 1e9 });
  const most = 8192;
  const records = new Records(new ArrayBuffer(most * recordBytes), 0, most);
  for (let left = count; left > 0; left -= most) {
    const block = Math.min(most, left);
    announces.write(records, block);
    journal.write(records, block);
  }
  journal.close();
}

/** Applies all of the journal. @returns the time that it took by the clock, of this process, and of the server */
async function catchUp() {
  const journal = new Journal({ directory: journalDirectory, segmentBytes: 1 << 26, keep: 1e9 });
  const site = new SqlSite(await openDatabase(database, ""));
  const deps = { journal, site, sources: [], clock, logger: silentLogger, publish: () => undefined };
  const accountant = await Accountant.open(options, 4500, deps);
  await site.lastApplied(journal.instance);
  const [start, own, server] = [performance.now(), process.cpuUsage(), await databaseMs(database)];
  while (!(await accountant.flush()));
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(own);
  const serverSeconds = ((await databaseMs(database)) - server) / 1000;
  await accountant.checkpoint();
  await site.close();
  journal.close();
  return { seconds, ownSeconds: (user + system) / 1e6, serverSeconds };
}
