import { randomInt } from "node:crypto";
import { inspect } from "node:util";
import { parentPort, workerData } from "node:worker_threads";
import { createRandom } from "../lib/clock.ts";
import { registerLogMetrics } from "../observability/log-output.ts";
import type { Logger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { registerThreadMetrics } from "../observability/process-metrics.ts";
import { profileCpu } from "../operator/profiles.ts";
import { createStore } from "../tracker/create-store.ts";
import { WorkerHub } from "../tracker/share-hub.ts";
import { SystemClock } from "../tracker/system-clock.ts";
import { Bus, BusError, mainThread } from "./bus.ts";
import { LocalHost, openConfiguredNetwork } from "./host.ts";
import {
  hubService,
  type LogLine,
  supervisorService,
  topicService,
  type WorkerStart,
  workerService,
} from "./services.ts";

// One thread that serves clients, with its own sockets, hooks and counters, over the shared swarms.

const { config, memory, owner, number, workers, logsStartup, published, accounting } =
  workerData as WorkerStart;
const logOutput = { dropped: 0 };
const bus = new Bus({
  threads: [number],
  onError: (err) => logger.error({ err }, "a notification failed"),
});
bus.connect(mainThread, parentPort!);

/** Logs in the main thread. A line is dropped if the main thread is too far behind, or gone. */
function log(line: LogLine): void {
  if (!logsStartup && !hasStarted && line.level !== "error") return;
  const send = (fields: LogLine["fields"]): void =>
    bus.notify(mainThread, supervisorService, "log", { ...line, fields });
  try {
    send(line.fields);
  } catch (error) {
    if (error instanceof BusError) logOutput.dropped++;
    else send({ text: inspect(line.fields) }); // a field cannot be cloned
  }
}
let hasStarted = false;

const clock = new SystemClock();
clock.start();
const random = createRandom(randomInt(1, 2 ** 31));
const logger: Logger = {
  debug: (fields, message) => log({ level: "debug", fields, message }),
  info: (fields, message) => log({ level: "info", fields, message }),
  warn: (fields, message) => log({ level: "warn", fields, message }),
  error: (fields, message) => log({ level: "error", fields, message }),
};
const metrics = new Metrics();
registerLogMetrics(metrics, logOutput);
const isFirst = number === 1;
const store = await createStore(config.storage, { clock, random, metrics, logger, isFirst, memory, owner });
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
  workers,
);
await host.start();
hasStarted = true;
bus.serve(workerService, {
  reload: (next) => host.reload(next),
  scrape: () => host.scrape(),
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
