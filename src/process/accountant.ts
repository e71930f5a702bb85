import { parentPort, workerData } from "node:worker_threads";
import { Accountant } from "../private/accounting/accountant.ts";
import { Journal } from "../private/accounting/journal.ts";
import { databasePath } from "../private/options.ts";
import { Ring, untilCommitted } from "../private/ring.ts";
import type { Site } from "../private/site.ts";
import { callRecords } from "../private/site-records.ts";
import { openDatabase } from "../private/sites/sql/open-database.ts";
import { SqlSite } from "../private/sites/sql/sql-site.ts";
import { SystemClock } from "../tracker/system-clock.ts";
import { type AccountantStart, accountantService, accountsService } from "./accountant-thread.ts";
import { Bus, mainThread } from "./bus.ts";
import { createThreadLogger } from "./thread-logger.ts";

// The thread that accounts for the announces of all workers.

/** Milliseconds that records wait for others, so that one write to the disk serves all of them. */
const groupMs = 20;
/** Milliseconds between two queries for changes of the site. */
const followMs = 500;

const { options, maxGap, memory } = workerData as AccountantStart;
const bus = new Bus({
  threads: ["accountant"],
  onError: (err) => logger.error({ err }, "a notification failed"),
});
bus.connect(mainThread, parentPort!);

const logger = createThreadLogger(
  (line) => bus.notify(mainThread, accountsService, "log", line),
  () => undefined,
);
const clock = new SystemClock();
clock.start();
const site: Site = new SqlSite(openDatabase(databasePath(options.database)));
const segmentBytes = 64 * 1024 * 1024;
const journal = new Journal({ directory: options.journal.dir, keep: options.journal.keep, segmentBytes });
const rings = memory.rings.map((ring) => new Ring({ ring, signal: memory.signal }));
const accountant = await Accountant.open(options, maxGap, {
  ...{ journal, site, rings, clock, logger },
  publish: (directory) => bus.notify(mainThread, accountsService, "publish", directory),
});
let deadline: number | undefined;
const ended = Promise.withResolvers<void>();
bus.serve(accountantService, {
  state: async () => accountant.state,
  records: async (call) => site.records && callRecords(site.records, call),
  stop: (seconds) => {
    deadline = performance.now() + 1000 * seconds;
    return ended.promise;
  },
});
bus.open();
bus.notify(mainThread, accountsService, "started", undefined);

/** The tick under way: a site may take long, and records are taken meanwhile. */
let ticking: Promise<void> | undefined;
const isEmpty = (): boolean => rings.every(({ waiting }) => waiting === 0);
while (deadline === undefined) {
  const taken = accountant.drain();
  ticking ??= accountant.tick().finally(() => {
    ticking = undefined;
  });
  // Rings that are not empty have more records, or the disk did not take them.
  if (taken > 0 || !isEmpty()) await new Promise((resolve) => setTimeout(resolve, groupMs));
  else await untilCommitted(memory.signal, () => deadline === undefined && isEmpty(), followMs);
}
await ticking;
await accountant.close(() => performance.now() < deadline!);
ended.resolve();
clock.stop();
setImmediate(() => bus.close());
