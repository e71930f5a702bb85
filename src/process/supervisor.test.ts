import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { load, Supervised } from "../../test/support/supervised.ts";

/** A worker that starts and then ignores all messages. */
const deaf = `const { parentPort } = require("node:worker_threads");
  parentPort.on("message", () => {});
  parentPort.postMessage({ kind: "notification", service: "supervisor", method: "started", args: [] });`;

test("a worker that dies in the middle of a reload: its replacement starts with the new configuration", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const intervals: number[] = [];
  const supervised = new Supervised(2, load(), ({ config }) => {
    intervals.push(config.announceInterval);
    return new Worker(deaf, { eval: true });
  });
  const { supervisor } = supervised;
  await supervisor.start();
  const reloaded = supervised.reload(load("announce_interval=7m"));
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
  await assert.rejects(supervised.reload(broken), /:a/);
  for (let port = 1; port <= 8; port++) assert.match(await supervised.announce(t, port), /8:intervali1800e/);
});

test("each worker reports its own event loop and heap", async (t) => {
  const supervised = new Supervised(2);
  await supervised.start(t);
  const families = await supervised.supervisor.scrape();
  const heap = families.find(({ name }) => name === "nodejs_heap_size_used_bytes");
  assert.deepEqual(
    heap?.series.map(({ labels }) => labels),
    [{ worker: "1" }, { worker: "2" }],
  );
});

test("profiles a worker, until the request is aborted or the worker stops", async (t) => {
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

test("names the keys that need a restart", async (t) => {
  const supervised = new Supervised(2);
  await supervised.start(t);
  const config = load("storage.config.max_peers=5000", "udp.addr=127.0.0.1:1");
  assert.deepEqual(await supervised.reload(config), ["udp.addr", "storage.config.max_peers"]);
});

test("does not start if another process has the address, and leaves no thread", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const supervised = new Supervised(2, load(`http.addr=127.0.0.1:${port}`));
  await assert.rejects(supervised.supervisor.start(), new RegExp(`127\\.0\\.0\\.1:${port}`));
  assert.deepEqual(supervised.workers, []);
});

test("metrics do not wait for a worker that does not respond", async (t) => {
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
