import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { listEngines } from "../../../test/support/networks.ts";
import { Linux } from "./abi.ts";
import { EventLoop } from "./event-loop.ts";
import { type Libc, loadLibc } from "./libc.ts";

const skip = (await listEngines()).find(({ name }) => name === "linux")!.skip;

/** Returns the ends of a pipe, the end to read first. */
function createPipe(libc: Libc): [number, number] {
  const ends = new Int32Array(2);
  assert.equal(libc.pipe2(new Uint8Array(ends.buffer), Linux.O_NONBLOCK), 0);
  return [ends[0]!, ends[1]!];
}

test("an event of an added descriptor ends libuv's wait", { skip }, async (t) => {
  const libc = await loadLibc();
  const loop = await EventLoop.open(libc);
  const [read, write] = createPipe(libc);
  t.after(() => {
    loop.close();
    libc.close(read);
  });
  loop.add(read, Linux.EPOLLIN | Linux.EPOLLONESHOT);
  const woken = new Promise<void>((resolve) => loop.afterWait(resolve));
  libc.close(write);
  await woken; // without the event, libuv would wait for ever
  loop.remove(read);
});

test("libuv wakes for a descriptor only once until it is added to the wait again", { skip }, async (t) => {
  const libc = await loadLibc();
  const loop = await EventLoop.open(libc);
  const [read, write] = createPipe(libc);
  t.after(() => {
    loop.close();
    libc.close(read);
  });
  libc.close(write);
  let turns = 0;
  loop.add(read, Linux.EPOLLIN | Linux.EPOLLONESHOT);
  const count = () => {
    turns++;
    loop.afterWait(count);
  };
  loop.afterWait(count);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(turns < 20, `${turns} turns`);
  loop.remove(read);
});

test("a thread that ends with an added descriptor ends cleanly", { skip }, async () => {
  const worker = new Worker(
    `const { workerData, parentPort } = require("node:worker_threads");
    (async () => {
      const { loadLibc } = await import(workerData.libc);
      const { EventLoop } = await import(workerData.loop);
      const { Poller } = await import(workerData.poller);
      const libc = await loadLibc();
      const poller = new Poller(libc, await EventLoop.open(libc));
      poller.coalesceMs = 1;
      parentPort.postMessage("ready");
    })();`,
    {
      eval: true,
      workerData: {
        libc: import.meta.resolve("./libc.ts"),
        loop: import.meta.resolve("./event-loop.ts"),
        poller: import.meta.resolve("./poller.ts"),
      },
    },
  );
  await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  assert.equal(await worker.terminate(), 1);
});

test("an event loop without an epoll descriptor is refused", { skip }, async () => {
  const libc = await loadLibc();
  const refusing: Libc = { ...libc, epoll_ctl: () => -1 };
  await assert.rejects(EventLoop.open(refusing), /does not wait on an epoll descriptor/);
});

test("the poller keeps a process alive until it is closed", { skip }, () => {
  const script = `
    const { loadLibc } = await import(${JSON.stringify(import.meta.resolve("./libc.ts"))});
    const { EventLoop } = await import(${JSON.stringify(import.meta.resolve("./event-loop.ts"))});
    const { Poller } = await import(${JSON.stringify(import.meta.resolve("./poller.ts"))});
    const libc = await loadLibc();
    const poller = new Poller(libc, await EventLoop.open(libc));
    setTimeout(() => { console.log("alive"); poller.close(); }, 50).unref();`;
  assert.equal(
    execFileSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" }),
    "alive\n",
  );
});
