import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { silentLogger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import type { DirectoryMemory } from "../private/directory.ts";
import type { PrivateOptions } from "../private/options.ts";
import { Field } from "../private/record.ts";
import { Ring } from "../private/ring.ts";
import { SiteAdministration } from "../private/sites/sql/administration.ts";
import { openDatabase } from "../private/sites/sql/open-database.ts";
import { createTables } from "../private/sites/sql/schema.ts";
import { AccountantThread, createAccountingMemory } from "./accountant-thread.ts";
import { Bus, mainThread } from "./bus.ts";

/** A site with an accountant in a thread. */
async function open(t: TestContext, { maxRate = 1e9 } = {}) {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-accountant-"));
  const database = join(directory, "site.sqlite");
  writeFileSync(database, "");
  const site = await openDatabase(database, "");
  await createTables(site);
  const administration = new SiteAdministration(site);
  await administration.addUser("ann");
  await administration.addTorrent({ v1: new Uint8Array(20) });
  const options: PrivateOptions = {
    ...{
      site: "sql",
      database,
      journal: { dir: join(directory, "journal"), keep: 0 },
      password: "",
      url: "",
      secretFile: "",
      announceUrl: "",
      trackers: { addr: [], secret: "" },
    },
    ...{ ledger: "chihaya", listen: "", reportSecretFile: "" },
    ...{ rules: "chihaya", serveOnTracker: false },
    ...{ storeIps: "plain", maxRate, announceMin: 0, peersTimeout: 7200, idleSessions: 86_400 },
  };
  const memory = createAccountingMemory(1);
  const bus = new Bus({ threads: [mainThread, 1], onError: () => undefined });
  bus.open();
  const published: DirectoryMemory[] = [];
  const threads: Worker[] = [];
  const publish = (next: DirectoryMemory) => void published.push(next);
  const lines: string[] = [];
  const note = (_: object, message: string) => void lines.push(message);
  const logger = { ...silentLogger, warn: note, error: note };
  const metrics = new Metrics();
  const deps = { bus, logger, metrics, publish, scrape: () => metrics.scrape() };
  const create = (workerData: unknown) => {
    const thread = new Worker(new URL("./accountant.ts", import.meta.url), { workerData });
    threads.push(thread);
    return thread;
  };
  const accountant = new AccountantThread(
    { options, maxGap: 3900, announceInterval: 1800, memory },
    deps,
    create,
  );
  t.after(async () => {
    await accountant.stop(5);
    await site.database.close();
    bus.close();
    rmSync(directory, { recursive: true });
  });
  const ring = new Ring({ ring: memory.rings[0]!, signal: memory.signal });
  const announce = (uploaded: number) => {
    const at = ring.reserve();
    const { words } = ring.records;
    words.fill(0, at, at + 20);
    words[at + Field.seconds] = 1_800_000_000;
    words[at + Field.user] = words[at + Field.torrent] = 1;
    words[at + Field.counters] = uploaded;
    words[at + Field.factors] = 100 | (100 << 16);
    return ring.commit();
  };
  const untilOnDisk = async (position: number) => {
    while (!ring.isOnDisk(position)) await ring.untilReleased(100);
  };
  const credit = async () => Number((await administration.user("ann")).uploaded);
  const isReady = async () => {
    const scraped = await metrics.scrape();
    return scraped.find(({ name }) => name === "chihaya_private_ready")!.series[0]!.values[0];
  };
  return { accountant, announce, untilOnDisk, credit, published, threads, options, lines, isReady };
}

test("an accountant that dies is replaced, and takes up what it left in the ring", async (t) => {
  const { accountant, announce, untilOnDisk, credit, published, threads, isReady } = await open(t);
  assert.equal(await isReady(), 0);
  await accountant.start();
  assert.equal(await isReady(), 1);
  assert.equal(published.length, 1);
  assert.equal(await accountant.readiness(), true);
  await untilOnDisk(announce(0));
  await threads[0]!.terminate();
  assert.equal(await accountant.readiness(), "the accountant is restarting");
  assert.equal(await isReady(), 0);
  await untilOnDisk(announce(500));
  assert.equal(threads.length, 2);
  while (published.length < 2) await new Promise(setImmediate); // the workers get the directory of the new one
  await accountant.stop(5);
  assert.equal(await credit(), 500);
});

test("more excessive announces in one turn than the bus takes log lines do not end the accountant", async (t) => {
  const { accountant, announce, untilOnDisk, threads, lines } = await open(t, { maxRate: 1 });
  let last = 0;
  for (let n = 0; n < 2000; n++) last = announce(10 * n);
  await accountant.start();
  await untilOnDisk(last);
  assert.equal(threads.length, 1);
  await accountant.stop(5);
  assert.deepEqual(new Set(lines), new Set(["a client claims more than max_rate; not credited"]));
  assert.equal(lines.length, 5, "the same warning is limited");
});

test("an accountant that cannot open its accounts fails the start, with the reason", async (t) => {
  const { accountant, options } = await open(t);
  rmSync(options.database);
  await assert.rejects(
    accountant.start(),
    /private: .*no such file; "chihaya private init DIR" makes a database/,
  );
});
