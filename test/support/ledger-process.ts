import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLogger } from "../../src/observability/logger.ts";
import { Accountant } from "../../src/private/accounting/accountant.ts";
import { Journal } from "../../src/private/accounting/journal.ts";
import type { PrivateOptions } from "../../src/private/options.ts";
import { Field } from "../../src/private/record.ts";
import { createAccountingMemory, Ring } from "../../src/private/ring.ts";
import type { Site } from "../../src/private/site.ts";
import { openDatabase } from "../../src/private/sites/sql/open-database.ts";
import { SqlSite } from "../../src/private/sites/sql/sql-site.ts";
import type { LedgerBatch, LedgerReply } from "./ledger.ts";

// A tracker's accountant in a process of its own, which a test may kill at any moment. Time passes by the messages of the test.

const [database, directory, mode] = process.argv.slice(2) as [string, string, "ledger" | "none"];
const options: PrivateOptions = {
  ...{
    site: "sql",
    database,
    password: "",
    url: "",
    ...{ rules: "chihaya", serveOnTracker: false },
    ...{ secretFile: "", reportSecretFile: "", ledger: "chihaya", listen: "" },
    announceUrl: "",
    storeIps: "plain",
    announceMin: 0,
  },
  ...{
    trackers: { addr: [], secret: "" },
    journal: { dir: directory, keep: 1e9 },
    maxRate: 1e15,
    peersTimeout: 1e9,
    idleSessions: 1e9,
  },
};
const clock = { seconds: 1000, unixSeconds: 1_800_000_000 };
const memory = createAccountingMemory(1);
const ring = new Ring({ ring: memory.rings[0]!, signal: memory.signal });
const journal = new Journal({ directory, keep: 1e9, segmentBytes: 1024 * 1024 });
let losesReply = false;

/** Lets the result of a transaction get lost, for databases without a connection that a test can cut. */
function unreliable(site: Site): Site {
  const apply = site.apply.bind(site);
  site.apply = async (instance, batch) => {
    const result = await apply(instance, batch);
    if (losesReply) throw new Error("the result was lost");
    return result;
  };
  return site;
}

/** Switches the ledger off: the tracker itself remembers what the site has confirmed, and the site takes each batch. */
async function withoutLedger(site: Site): Promise<Site> {
  const file = join(directory, "confirmed");
  const confirmed = () => (existsSync(file) ? Number(readFileSync(file, "utf8")) : 0);
  const { database: own } = await openDatabase(database, "");
  const apply = site.apply.bind(site);
  site.lastApplied = async () => confirmed();
  site.apply = async (instance, batch) => {
    await own.rows(`UPDATE applied SET seq = ${batch.from}`);
    const result = await apply(instance, batch);
    writeFileSync(file, `${batch.to}`);
    return result;
  };
  return site;
}

const reliable = unreliable(new SqlSite(await openDatabase(database, "", { isExclusive: true })));
const accountant = await Accountant.open(options, 3900, {
  ...{ journal, sources: [ring], clock, logger: silentLogger, publish: () => undefined },
  site: mode === "none" ? await withoutLedger(reliable) : reliable,
});
const reply = (message: LedgerReply) => process.send!(message);

process.on("message", async (batch: LedgerBatch) => {
  losesReply = batch.losesReply;
  for (const [user, torrent, uploaded] of batch.announces) announce(user, torrent, uploaded);
  while (ring.waiting > 0) accountant.drain();
  reply({ step: "recorded" });
  clock.seconds += 60; // a transaction is due, also after a failure
  clock.unixSeconds += 60;
  await accountant.tick();
  const { recorded, applied, problem } = accountant.state;
  reply({ step: "applied", isDone: recorded === applied && problem === undefined });
});
reply({ step: "ready" });

function announce(user: number, torrent: number, uploaded: number): void {
  const at = ring.reserve();
  if (at < 0) throw new Error("the ring is full");
  const { words, bytes } = ring.records;
  words.fill(0, at, at + Field.uploaded);
  words[at + Field.seconds] = clock.unixSeconds;
  words[at + Field.user] = user;
  words[at + Field.torrent] = torrent;
  words[at + Field.what] = (4 << 8) | (6881 << 16);
  words[at + Field.counters] = uploaded;
  words[at + Field.factors] = 100 | (100 << 16);
  bytes.set(Buffer.from(`-XX0001-${user}`.padEnd(20, "x")), 4 * (at + Field.peerId));
  ring.commit();
}
