import { randomInt } from "node:crypto";
import { inspect } from "node:util";
import { parentPort, workerData } from "node:worker_threads";
import { createRandom } from "../lib/clock.ts";
import type { Logger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { registerThreadMetrics } from "../observability/process-metrics.ts";
import { profileCpu } from "../operator/profiles.ts";
import { createStore } from "../tracker/create-store.ts";
import { type ShareGive, WorkerHub } from "../tracker/share-hub.ts";
import { SystemClock } from "../tracker/system-clock.ts";
import { LocalHost, openConfiguredNetwork } from "./host.ts";
import type { Ask, Tell, WorkerStart } from "./worker-messages.ts";

// One thread that serves clients: sockets, hooks and counters of its own over the shared swarms.

const { config, memory, owner, number, speaks, published, descriptors } = workerData as WorkerStart;
const port = parentPort!;
const tell = (message: Tell): void => port.postMessage(message);
const log =
  (level: keyof Logger): Logger["info"] =>
  (fields, message) => {
    if (!speaks && !hasStarted && level !== "error") return;
    try {
      tell({ tell: "log", level, fields, message });
    } catch {
      tell({ tell: "log", level, fields: { text: inspect(fields) }, message }); // what cannot be cloned
    }
  };
let hasStarted = false;

const clock = new SystemClock();
clock.start();
const random = createRandom(randomInt(1, 2 ** 31));
const logger: Logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
const metrics = new Metrics();
const isFirst = number === 1;
const store = await createStore(config.storage, { clock, random, metrics, logger, isFirst, memory, owner });
const stopMetrics = registerThreadMetrics(metrics, { worker: `${number}` });
const hub = new WorkerHub(isFirst, published, tell);
const network = await openConfiguredNetwork(config, logger, descriptors);
const host = new LocalHost({ config, store, clock, random, metrics, logger, hub, owner }, network, true);

let profile = new AbortController();

async function answer(message: Ask): Promise<unknown> {
  switch (message.ask) {
    case "reload":
      return host.reload(message.config);
    case "scrape":
      return host.scrape();
    case "readiness":
      return host.readiness();
    case "profile":
      profile = new AbortController();
      return profileCpu(message.seconds, profile.signal);
    case "end profile":
      profile.abort();
      return undefined;
    case "stop":
      profile.abort();
      await host.stop(message.deadline);
      network.close();
      stopMetrics();
      clock.stop();
      return undefined;
  }
}

port.on("message", async (message: Ask | ShareGive) => {
  if ("give" in message) {
    hub.take(message);
    return;
  }
  const { id } = message;
  try {
    tell({ tell: "reply", id, value: await answer(message) });
  } catch (error) {
    tell({ tell: "reply", id, error: (error as Error).message });
  }
  if (message.ask === "stop") port.close();
});

await host.start();
hasStarted = true;
tell({ tell: "started", urls: host.urls() });
