import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { closeGate, createLoadGate, loadBehind } from "./load-gate.ts";

test("a thread is not ended while it loads native code", async () => {
  const gate = createLoadGate();
  const library = Promise.withResolvers<string>();
  const loaded = loadBehind(gate, () => library.promise);
  let isClosed = false;
  const closed = closeGate(gate).then(() => {
    isClosed = true;
  });
  await new Promise(setImmediate);
  assert.equal(isClosed, false);
  library.resolve("libc");
  assert.equal(await loaded, "libc");
  await closed;
});

test("native code that cannot be loaded holds nobody up", async () => {
  const gate = createLoadGate();
  await assert.rejects(
    loadBehind(gate, () => Promise.reject(new Error("missing"))),
    /missing/,
  );
  await closeGate(gate);
});

test("a thread that is about to be ended begins to load nothing", async () => {
  const gate = createLoadGate();
  await closeGate(gate);
  const worker = new Worker(
    `const { workerData, parentPort } = require("node:worker_threads");
    import(workerData.module).then(({ loadBehind }) => {
      parentPort.postMessage("begins");
      return loadBehind(workerData.gate, async () => parentPort.postMessage("loads"));
    });`,
    { eval: true, workerData: { gate, module: import.meta.resolve("./load-gate.ts") } },
  );
  const messages: string[] = [];
  worker.on("message", (message: string) => messages.push(message));
  await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  assert.equal(await worker.terminate(), 1);
  assert.deepEqual(messages, ["begins"]);
});
