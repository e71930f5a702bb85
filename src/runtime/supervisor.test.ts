import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { announceQuery, RawClient } from "../../test/fixtures/http-server.ts";
import { createRandom } from "../bittorrent/clock.ts";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { type Logger, silentLogger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { renderPrometheus } from "../observability/prometheus.ts";
import { MemoryStore } from "../storage/memory/memory-store.ts";
import { LocalHub } from "./share-hub.ts";
import { Supervisor } from "./supervisor.ts";
import { type CreateWorker, createWorker } from "./worker-thread.ts";

function load(...set: string[]): Config {
  const loaded = loadConfig({
    env: {},
    set: [
      "http.addr=127.0.0.1:0",
      "udp.addr=127.0.0.1:0",
      "network=portable",
      "storage.config.max_peers=1000",
      ...set,
    ],
  });
  assert.ok(loaded.ok);
  return loaded.config;
}

/** A supervisor in this process whose threads the test can reach. */
class Supervised {
  readonly workers: Worker[] = [];
  readonly lines: string[] = [];
  readonly supervisor: Supervisor;
  readonly #wake: (() => void)[] = [];

  constructor(count: number, config: Config = load(), create: CreateWorker = createWorker) {
    const clock = { seconds: 1000, unixSeconds: 1000 };
    assert.ok(config.storage.name === "memory");
    const store = new MemoryStore({ config: config.storage.config, clock, random: createRandom(1) });
    const logger: Logger = {
      ...silentLogger,
      error: (_, message) => this.#record(message),
    };
    const random = createRandom(2);
    const hub = new LocalHub({ clock, random });
    const parts = { config, store, clock, random, metrics: new Metrics(), logger, hub };
    this.supervisor = new Supervisor(parts, count, (start) => {
      const worker = create(start);
      this.workers.push(worker);
      this.#record(`worker ${this.workers.length}`);
      return worker;
    });
  }

  async start(t: TestContext): Promise<void> {
    t.after(() => this.supervisor.stop(0));
    await this.supervisor.start();
  }

  #record(line: string): void {
    this.lines.push(line);
    for (const wake of this.#wake.splice(0)) wake();
  }

  async until(line: string): Promise<void> {
    while (!this.lines.includes(line)) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  async untilReady(): Promise<void> {
    while (Object.values(await this.supervisor.readiness()).some((state) => state !== true)) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  get port(): number {
    return Number(new URL(this.supervisor.urls().find((url) => url.startsWith("http:"))!).port);
  }

  /** Announces over a connection of its own. */
  async announce(t: TestContext, port: number): Promise<string> {
    const client = new RawClient(t, this.port);
    const { body } = await client.get(`/announce?${announceQuery({ port: `${port}`, compact: "1" })}`);
    return body;
  }

  async metric(line: RegExp): Promise<number> {
    const text = renderPrometheus(await this.supervisor.scrape());
    return [...text.matchAll(line)].reduce((sum, [, value]) => sum + Number(value), 0);
  }
}

/** A worker that starts and answers nothing. */
const deaf = `const { parentPort } = require("node:worker_threads");
  parentPort.on("message", () => {});
  parentPort.postMessage({ tell: "started", urls: [] });`;

const announces = /^chihaya_announces_by_client_total\{.*\} (\d+)$/gm;
const restarts = /^chihaya_worker_restarts_total (\d+)$/gm;

test("a worker that dies is replaced: the service goes on, with the same peers and counts", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const supervised = new Supervised(2);
  await supervised.start(t);
  for (let port = 1; port <= 10; port++) await supervised.announce(t, port);
  assert.equal(await supervised.metric(announces), 10);

  await supervised.workers[0]!.terminate();
  await supervised.until("a worker died; starting another");
  assert.deepEqual(await supervised.supervisor.readiness(), { "worker 1": "restarting", "worker 2": true });
  assert.equal(await supervised.metric(announces), 10);
  assert.match(await supervised.announce(t, 11), /^d8:complete/);

  t.mock.timers.tick(1000);
  await supervised.until("worker 3");
  await supervised.untilReady();
  assert.match(await supervised.announce(t, 12), /10:incompletei12e/);
  assert.equal(await supervised.metric(announces), 12);
  assert.equal(await supervised.metric(restarts), 1);
});

test("a reload reaches a worker that is still starting", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const supervised = new Supervised(1);
  await supervised.start(t);
  const { port } = supervised;
  await supervised.workers[0]!.terminate();
  await supervised.until("a worker died; starting another");
  t.mock.timers.tick(1000);
  await supervised.until("worker 2");
  assert.deepEqual(await supervised.supervisor.reload(load("announce_interval=7m")), []);
  await supervised.untilReady();
  assert.equal(supervised.port, port);
  assert.match(await supervised.announce(t, 1), /8:intervali420e/);
});

test("a reload while a worker is dead is what its successor starts with", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const supervised = new Supervised(1);
  await supervised.start(t);
  await supervised.workers[0]!.terminate();
  await supervised.until("a worker died; starting another");
  await supervised.supervisor.reload(load("announce_interval=7m"));
  t.mock.timers.tick(1000);
  await supervised.until("worker 2");
  await supervised.untilReady();
  assert.match(await supervised.announce(t, 1), /8:intervali420e/);
});

test("a worker that dies in the middle of a reload: its successor starts with what the others are told", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const intervals: number[] = [];
  const supervised = new Supervised(2, load(), ({ config }) => {
    intervals.push(config.announceInterval);
    return new Worker(deaf, { eval: true });
  });
  const { supervisor } = supervised;
  await supervisor.start();
  const reloaded = supervisor.reload(load("announce_interval=7m"));
  await supervised.workers[1]!.terminate();
  await supervised.until("a worker died; starting another");
  t.mock.timers.tick(1000);
  await supervised.until("worker 3");
  assert.deepEqual(intervals, [1800, 1800, 420]);
  const stopped = supervisor.stop(5);
  t.mock.timers.tick(6000);
  await stopped; // by force
  await reloaded;
});

test("a configuration that a worker refuses changes nothing", async (t) => {
  const supervised = new Supervised(2);
  await supervised.start(t);
  const config = load("announce_interval=7m");
  const broken = { ...config, http: { ...config.http!, announceRoutes: ["/:a/:a"] } };
  await assert.rejects(supervised.supervisor.reload(broken), /:a/);
  for (let port = 1; port <= 8; port++) assert.match(await supervised.announce(t, port), /8:intervali1800e/);
});

test("each worker tells of its own event loop and heap", async (t) => {
  const supervised = new Supervised(2);
  await supervised.start(t);
  const families = await supervised.supervisor.scrape();
  const heap = families.find(({ name }) => name === "nodejs_heap_size_used_bytes");
  assert.deepEqual(
    heap?.series.map(({ labels }) => labels),
    [{ worker: "1" }, { worker: "2" }],
  );
});

test("profiles a worker, until nobody wants the profile any more, or it stops", async (t) => {
  const supervised = new Supervised(2);
  await supervised.start(t);
  const { supervisor } = supervised;
  const never = new AbortController().signal;
  const { nodes } = JSON.parse(await supervisor.profileCpu(2, 0.01, never));
  assert.ok(nodes.some(({ callFrame }: { callFrame: { functionName: string } }) => callFrame.functionName));
  assert.ok((await (await supervisor.snapshotHeap(2)).toArray()).length > 0);

  const gone = new AbortController();
  const unwanted = supervisor.profileCpu(1, 60, gone.signal);
  gone.abort();
  await assert.rejects(unwanted, /abort/);

  const stopped = assert.rejects(supervisor.profileCpu(1, 60, never), /abort|died/);
  await supervisor.stop(3600);
  await stopped;
});

test("says what needs a restart", async (t) => {
  const supervised = new Supervised(2);
  await supervised.start(t);
  const config = load("storage.config.max_peers=5000", "udp.addr=127.0.0.1:1");
  assert.deepEqual(await supervised.supervisor.reload(config), ["udp.addr", "storage.config.max_peers"]);
});

test("stops without waiting for its deadline, also while a worker is starting", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const supervised = new Supervised(2);
  await supervised.start(t);
  await supervised.workers[1]!.terminate();
  await supervised.until("a worker died; starting another");
  t.mock.timers.tick(1000);
  await supervised.until("worker 3");
  await supervised.supervisor.stop(3600);
  assert.deepEqual(await supervised.supervisor.readiness(), { tracker: "not serving" });
  assert.deepEqual(
    supervised.workers.map(({ threadId }) => threadId),
    [-1, -1, -1],
  );
});

test("does not start where somebody else has the address, and leaves no thread", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const supervised = new Supervised(2, load(`http.addr=127.0.0.1:${port}`));
  await assert.rejects(supervised.supervisor.start(), new RegExp(`127\\.0\\.0\\.1:${port}`));
  assert.deepEqual(supervised.workers, []);
});

test("metrics do not wait for a worker that does not answer", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const worker = new Worker(deaf, { eval: true });
  t.after(() => worker.terminate());
  const supervised = new Supervised(1, load(), () => worker);
  await supervised.supervisor.start();
  const scrape = supervised.supervisor.scrape();
  await new Promise((resolve) => setImmediate(resolve));
  t.mock.timers.tick(2000);
  assert.deepEqual(
    (await scrape).map(({ name }) => name),
    ["chihaya_worker_restarts_total"],
  );
  const stopped = supervised.supervisor.stop(5);
  t.mock.timers.tick(6000);
  await stopped; // by force
});
