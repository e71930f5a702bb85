import { randomInt } from "node:crypto";
import { parentPort, workerData } from "node:worker_threads";
import { createRandom } from "../lib/clock.ts";
import { registerLogMetrics } from "../observability/log-output.ts";
import { Metrics } from "../observability/metrics.ts";
import { registerThreadMetrics } from "../observability/process-metrics.ts";
import { profileCpu } from "../operator/profiles.ts";
import { createStore } from "../tracker/create-store.ts";
import { WorkerHub } from "../tracker/share-hub.ts";
import { SystemClock } from "../tracker/system-clock.ts";
import { Bus, mainThread } from "./bus.ts";
import { LocalHost, openConfiguredNetwork } from "./host.ts";
import { hubService, supervisorService, topicService, type WorkerStart, workerService } from "./services.ts";
import { createThreadLogger } from "./thread-logger.ts";

// One thread that serves clients, with its own sockets, hooks and counters, over the shared swarms.

const { config, memory, owner, number, workers, logsStartup, isReplacement, tracker, published, accounting } =
  workerData as WorkerStart;
const logOutput = { dropped: 0 };
const bus = new Bus({
  threads: [number],
  onError: (err) => logger.error({ err }, "a notification failed"),
});
bus.connect(mainThread, parentPort!);

let hasStarted = false;

const clock = new SystemClock();
clock.start();
const random = createRandom(randomInt(1, 2 ** 31));
/** Logs in the main thread. */
const logger = createThreadLogger(
  (line) => {
    if (!logsStartup && !hasStarted && line.level !== "error") return;
    bus.notify(mainThread, supervisorService, "log", line);
  },
  () => logOutput.dropped++,
);
const metrics = new Metrics();
registerLogMetrics(metrics, logOutput);
const isFirst = number === 1;
const isPrivate = config.private !== undefined;
const storeDeps = { clock, random, metrics, logger, isFirst, memory, owner, isPrivate, tracker };
const store = await createStore(config.storage, storeDeps);
const stopMetrics = registerThreadMetrics(metrics, { worker: `${number}` });
const hub = new WorkerHub(isFirst, published, {
  buffer: (args) => bus.call(mainThread, hubService, "buffer", args),
  memory: (args) => bus.call(mainThread, hubService, "memory", args),
  publish: (publication) => bus.notify(mainThread, hubService, "publish", publication),
});
bus.serve(topicService, { deliver: (publication) => hub.deliver(publication) });
const network = await openConfiguredNetwork(config, logger, (workerData as WorkerStart).network);
network.beat(clock.seconds);
clock.onTick = (seconds) => network.beat(seconds);
const scrapeAll = () => bus.call(mainThread, supervisorService, "scrape", undefined);
const host = new LocalHost(
  { config, store, clock, random, metrics, logger, hub, owner, bus, scrapeAll, accounting },
  network,
  { number, count: workers, isReplacement },
);
await host.start();
hasStarted = true;
bus.serve(workerService, {
  reload: (next) => host.reload(next),
  scrape: (limitMs) => host.scrape(limitMs),
  readiness: () => host.readiness(),
  describe: () => host.describe(),
  profileCpu: (seconds, { signal }) => profileCpu(seconds, signal),
  async stop(deadline) {
    await host.stop(deadline);
    network.close();
    stopMetrics();
    clock.stop();
    bus.close();
  },
});
bus.open();
bus.notify(mainThread, supervisorService, "started", host.urls());
