import { parentPort, workerData } from "node:worker_threads";
import { version } from "../lib/version.ts";
import { Accountant } from "../private/accounting/accountant.ts";
import { Journal } from "../private/accounting/journal.ts";
import type { DirectoryMemory } from "../private/directory.ts";
import type { DirectoryChange } from "../private/directory-records.ts";
import { type RecordSource, Ring, untilCommitted, wake } from "../private/ring.ts";
import type { Site } from "../private/site.ts";
import { callRecords } from "../private/site-records.ts";
import { type CreatedSite, createSite } from "../private/sites/create-site.ts";
import { renderBatch } from "../private/sites/http/batch-json.ts";
import { Forwarder } from "../private/trackers/forwarder.ts";
import { parseTracker } from "../private/trackers/tracker-address.ts";
import { TrackerServer } from "../private/trackers/tracker-server.ts";
import { SystemClock } from "../tracker/system-clock.ts";
import { type AccountantStart, accountantService, accountsService } from "./accountant-thread.ts";
import { Bus, mainThread } from "./bus.ts";
import { createThreadLogger } from "./thread-logger.ts";

// The thread that accounts for the announces of all workers.

/** Milliseconds that records wait for others, so that one write to the disk serves all of them. */
const groupMs = 20;
/** Milliseconds between two queries for changes of the site. */
const followMs = 500;
/** Milliseconds after which a site that waits for traffic gets what has come. */
const journalPollMs = 100;
/** Milliseconds to wait for the numbers of the other threads. */
const timeoutMs = 5000;

const { options, maxGap, announceInterval, memory } = workerData as AccountantStart;
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
const segmentBytes = 64 * 1024 * 1024;
const journal = new Journal({ directory: options.journal.dir, keep: options.journal.keep, segmentBytes });
const rings = memory.rings.map((ring) => new Ring({ ring, signal: memory.signal }));
const { addr, secret } = options.trackers;
const signal = new Int32Array(memory.signal);
const server = addr.length > 0 ? new TrackerServer({ secret, logger, wake: () => wake(signal) }) : undefined;
/** The rings of the workers, and the connections of further trackers. */
const sources: Iterable<RecordSource> = {
  *[Symbol.iterator]() {
    yield* rings;
    if (server !== undefined) yield* server.sources;
  },
};
const deps = {
  ...{ journal, sources, clock, logger },
  publish(directory: DirectoryMemory): void {
    bus.notify(mainThread, accountsService, "publish", directory);
    server?.publish(directory);
  },
  onChange: (change: DirectoryChange) => server?.change(change),
};
/** Where the site is on a further tracker. */
const address = parseTracker(options.database);
const { site, listener, call }: Partial<CreatedSite> = address === undefined ? await open() : {};
const accountant =
  site === undefined ? await Forwarder.open({ ...address!, secret }, deps) : await openAccounts(site);

function open(): ReturnType<typeof createSite> {
  const numbers = () => ({
    ...{ version, announceInterval, uptime: Math.floor(process.uptime()) },
    ...{ announces: journal.last, lag: journal.last - accountant.state.applied },
  });
  const traffic = () => bus.call(mainThread, accountsService, "traffic", undefined, { timeoutMs });
  return createSite(options, { clock, logger, numbers, traffic });
}

async function openAccounts(site: Site): Promise<Accountant> {
  const accounts = await Accountant.open(options, maxGap, { ...deps, site });
  for (const url of (await server?.listen(accounts, addr)) ?? [])
    logger.info({ url }, "waiting for further trackers of the site");
  return accounts;
}

await listener?.start();
if (listener !== undefined) logger.info({ url: listener.url }, "serving the calls of the site");
let deadline: number | undefined;
const ended = Promise.withResolvers<void>();
bus.serve(accountantService, {
  state: async () => accountant.state,
  records: async (call) => site?.records && callRecords(site.records, call),
  siteCall: async (target) => call?.(target),
  journal: async ({ after, waitMs }) => {
    if (site?.acknowledge === undefined || !(accountant instanceof Accountant)) return undefined;
    const end = performance.now() + waitMs;
    while (accountant.state.recorded <= after && deadline === undefined && performance.now() < end)
      await new Promise((resolve) => setTimeout(resolve, journalPollMs));
    return renderBatch(journal.instance, await accountant.offer(after));
  },
  stop: (seconds) => {
    deadline = performance.now() + 1000 * seconds;
    return ended.promise;
  },
});
bus.open();
bus.notify(mainThread, accountsService, "started", undefined);

/** The work that is under way: a site may take long, and records are taken meanwhile. */
const working = new Map<() => Promise<void>, Promise<void>>();
const tasks: (() => Promise<void>)[] =
  accountant instanceof Accountant
    ? [() => accountant.tickSite(), () => accountant.tickCheckpoint()]
    : [() => accountant.tick()];
const isEmpty = (): boolean => [...sources].every(({ waiting }) => waiting === 0);
while (deadline === undefined) {
  const taken = accountant.drain();
  for (const task of tasks)
    if (!working.has(task))
      working.set(
        task,
        task().finally(() => working.delete(task)),
      );
  // Rings that are not empty have more records, or the disk did not take them.
  if (taken > 0 || !isEmpty()) await new Promise((resolve) => setTimeout(resolve, groupMs));
  else await untilCommitted(memory.signal, () => deadline === undefined && isEmpty(), followMs);
}
await listener?.stop();
await Promise.all(working.values());
await accountant.close(() => performance.now() < deadline!);
await server?.close();
ended.resolve();
clock.stop();
setImmediate(() => bus.close());
