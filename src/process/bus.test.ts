import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { MessageChannel, Worker } from "node:worker_threads";
import { demo, serveDemo } from "../../test/fixtures/bus-demo.ts";
import { Bus, defineService, isGone } from "./bus.ts";
import { maxWaiting, streamWindow } from "./bus-link.ts";

/** The buses of a main thread and of worker 1, in this thread, over a channel. `errors` are those of both. */
function setUp(t: TestContext, { opens = true } = {}) {
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const main = new Bus({ threads: [0], onError });
  const worker = new Bus({ threads: [1], onError });
  const { port1, port2 } = new MessageChannel();
  main.connect(1, port1);
  worker.connect(0, port2);
  t.after(() => {
    main.close();
    worker.close();
  });
  main.open();
  if (!opens) return { main, worker, errors, log: [], port: port2 };
  const log = serveDemo(worker);
  worker.open();
  return { main, worker, errors, log, port: port2 };
}

/** Resolves when the condition holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate();
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

test("a call has a reply, and values are copied", async (t) => {
  const { main } = setUp(t);
  const shared = new SharedArrayBuffer(4);
  const value = { list: [1, new Map([["a", 2n]])], bytes: new Uint8Array([1, 2]), shared };
  const reply = (await main.call(1, demo, "echo", value)) as typeof value;
  assert.deepEqual(reply, value);
  assert.notEqual(reply, value);
  new Int32Array(shared)[0] = 7;
  assert.equal(new Int32Array(reply.shared)[0], 7, "shared memory is shared");
  assert.equal(await main.call(1, demo, "echo", undefined), undefined);
});

test("the message, the name and the code of an error survive", async (t) => {
  const { main } = setUp(t);
  for (const code of ["E_DEMO", 42]) {
    await assert.rejects(main.call(1, demo, "fail", { message: "it is broken", code }), (error: Error) => {
      assert.deepEqual(
        { ...error, message: error.message, name: error.name },
        { code, message: "it is broken", name: "Error" },
      );
      assert.match(error.stack!, /bus-demo/);
      return true;
    });
  }
  await assert.rejects(main.call(1, demo, "fail", { message: "no code" }), (error: Error) => {
    assert.equal("code" in error, false);
    return error.message === "no code";
  });
  await assert.rejects(main.call(1, demo, "throwText", "text"), { message: "text" });
});

test("a value that cannot be copied is an error of that call alone", async (t) => {
  const { main } = setUp(t);
  await assert.rejects(
    main.call(1, demo, "echo", () => 1),
    { name: "DataCloneError" },
  );
  await assert.rejects(main.call(1, demo, "unclonable", undefined), { name: "DataCloneError" });
  assert.throws(() => main.notify(1, demo, "note", (() => 1) as never), { name: "DataCloneError" });
  assert.equal(await main.call(1, demo, "echo", 1), 1);
});

test("an unknown service, method or thread is named", async (t) => {
  const { main } = setUp(t);
  const other = defineService<{ a(): Promise<void> }>("other");
  await assert.rejects(main.call(1, other, "a", undefined), { code: "unknown", message: /service other/ });
  for (const method of ["nothing", "constructor", "__proto__"]) {
    const call = main.call(1, demo, method as "echo", 1);
    await assert.rejects(call, { code: "unknown", message: new RegExp(`demo\\.${method}`) });
  }
  await assert.rejects(main.call(9, demo, "echo", 1), { code: "gone", message: /^worker 9 is gone/ });
  assert.throws(() => main.notify(9, demo, "note", ""), { code: "gone" });
  await assert.rejects(main.stream(9, demo, "count", { to: 1 }).next(), isGone);
});

test("requests arrive in the order in which they are sent, and a slow one holds up none", async (t) => {
  const { main, log } = setUp(t);
  const abort = new AbortController();
  const slow = main.call(1, demo, "wait", undefined, { signal: abort.signal });
  for (let i = 0; i < 3; i++) {
    main.notify(1, demo, "note", `note ${i}`);
    assert.deepEqual((await main.call(1, demo, "log", undefined)).at(-1), `note ${i}`);
  }
  assert.deepEqual(log, ["waiting", "note 0", "note 1", "note 2"]);
  abort.abort();
  await assert.rejects(slow, { name: "AbortError" });
});

test("a notification that fails is reported where it was handled", async (t) => {
  const { main, errors } = setUp(t);
  main.notify(1, demo, "failNote", "bad note");
  main.notify(1, demo, "nothing" as "note", "");
  await main.call(1, demo, "echo", 1);
  await until(() => errors.length === 2);
  assert.deepEqual(
    errors.map((error) => (error as Error).message),
    ["bad note", "this thread has no service demo.nothing"],
  );
});

test("a request that arrives during the start waits until the service is served", async (t) => {
  const { main, worker } = setUp(t, { opens: false });
  main.notify(1, demo, "note", "first");
  const early = main.call(1, demo, "log", undefined);
  const other = main.call(1, defineService<{ a(): Promise<void> }>("other"), "a", undefined);
  const abort = new AbortController();
  const cancelled = main.call(1, demo, "wait", undefined, { signal: abort.signal });
  abort.abort();
  await assert.rejects(cancelled, { name: "AbortError" });
  const ready = defineService<{ ping(): Promise<void> }>("ready");
  worker.serve(ready, { ping() {} });
  await main.call(1, ready, "ping", undefined); // the cancellation has arrived
  const log = serveDemo(worker);
  assert.deepEqual(await early, ["first"]);
  worker.open();
  await assert.rejects(other, { code: "unknown" });
  assert.deepEqual(log, ["first"], "what was cancelled meanwhile does not begin");
});

test("a service can be served after the start, and anew", async (t) => {
  const { main, worker } = setUp(t);
  const late = defineService<{ version(): Promise<number> }>("late");
  await assert.rejects(main.call(1, late, "version", undefined), { code: "unknown" });
  worker.serve(late, { version: () => 1 });
  assert.equal(await main.call(1, late, "version", undefined), 1);
  worker.serve(late, { version: () => 2 });
  assert.equal(await main.call(1, late, "version", undefined), 2);
});

test("a call ends with its time, or its signal, and the handler learns of it", async (t) => {
  const { main, log } = setUp(t);
  await assert.rejects(main.call(1, demo, "wait", undefined, { timeoutMs: 1 }), {
    code: "timeout",
    message: "worker 1 did not reply within 1 ms",
  });
  await until(() => log.includes("cancelled"));
  const abort = new AbortController();
  const call = main.call(1, demo, "wait", undefined, { signal: abort.signal });
  await until(() => log.length === 3);
  abort.abort(new Error("changed my mind"));
  await assert.rejects(call, { message: "changed my mind" });
  await until(() => log.length === 4);
  await assert.rejects(main.call(1, demo, "wait", undefined, { signal: abort.signal }), {
    message: "changed my mind",
  });
  assert.equal((await main.call(1, demo, "log", undefined)).length, 4, "nothing was sent");
});

test("a stream yields the items, then ends or fails", async (t) => {
  const { main } = setUp(t);
  for (const to of [0, 1, streamWindow - 1, streamWindow, 3 * streamWindow + 1]) {
    const items = await collect(main.stream(1, demo, "count", { to }));
    assert.deepEqual(
      items,
      Array.from({ length: to }, (_, i) => i + 1),
    );
    const got: number[] = [];
    await assert.rejects(
      async () => {
        for await (const item of main.stream(1, demo, "count", { to, fails: true })) got.push(item);
      },
      { message: "no more", code: "E_EMPTY" },
    );
    assert.deepEqual(got, items);
  }
  const notStream = main.stream(1, demo, "echo" as "count", { to: 1 });
  await assert.rejects(notStream.next(), { name: "TypeError" });
});

test("a slow reader stops the producer", async (t) => {
  const { main, log } = setUp(t);
  const stream = main.stream(1, demo, "count", { to: 100 });
  for (let read = 0; read < 50; read++) {
    assert.equal((await stream.next()).value, read + 1);
    await main.call(1, demo, "echo", 1); // what was sent has arrived
    assert.ok(log.length <= read + 1 + streamWindow, `${log.length} items made, ${read + 1} read`);
    assert.ok(log.length > read);
  }
  await stream.return(undefined);
  await until(() => log.at(-1) === "count ended");
  assert.ok(log.length <= 51 + streamWindow);
});

test("a reader that leaves the loop, or aborts, stops a producer that waits", async (t) => {
  const { main, log } = setUp(t);
  for await (const item of main.stream(1, demo, "count", { to: 3, waits: true })) if (item === 2) break;
  await until(() => log.at(-1) === "count ended");
  log.length = 0;
  const abort = new AbortController();
  const stream = main.stream(1, demo, "count", { to: 1, waits: true }, { signal: abort.signal });
  await stream.next();
  const next = stream.next();
  abort.abort(new Error("enough"));
  await assert.rejects(next, { message: "enough" });
  await until(() => log.at(-1) === "count ended");
  const unread = main.stream(1, demo, "count", { to: 1 }, { signal: abort.signal });
  await assert.rejects(unread.next(), { message: "enough" });
  assert.deepEqual(log, ["item 1", "count ended"]);
});

test("more calls than may wait are refused; a reply makes room, giving up does not", async (t) => {
  const { main, log } = setUp(t);
  const aborts = Array.from({ length: maxWaiting }, () => new AbortController());
  const calls = aborts.map(({ signal }) => main.call(1, demo, "wait", undefined, { signal }));
  const busy = { code: "busy", message: `${maxWaiting} calls wait for worker 1 already` };
  await assert.rejects(main.call(1, demo, "echo", 1), busy);
  await assert.rejects(main.stream(1, demo, "count", { to: 1 }).next(), busy);
  aborts[0]!.abort();
  await assert.rejects(calls[0]!, { name: "AbortError" });
  await assert.rejects(main.call(1, demo, "echo", 1), busy);
  await until(() => log.includes("cancelled"));
  main.notify(1, demo, "note", "notifications have a bound of their own");
  await until(() => log.at(-1)!.startsWith("notifications"));
  await setImmediate();
  assert.equal(await main.call(1, demo, "echo", 1), 1);
  for (const abort of aborts) abort.abort();
  await Promise.allSettled(calls);
});

test("more notifications than may wait are refused, until they have been handled", async (t) => {
  const { main, errors, log } = setUp(t);
  for (let i = 0; i < maxWaiting; i++) main.notify(1, demo, "note", `${i}`);
  const busy = { code: "busy", message: `${maxWaiting} notifications wait for worker 1 already` };
  assert.throws(() => main.notify(1, demo, "note", "one too many"), busy);
  main.notifyAll(demo, "note", "one too many");
  assert.equal((errors[0] as { code: string }).code, "busy");
  await main.call(1, demo, "echo", 1);
  assert.equal(log.length, maxWaiting);
  for (let i = 0; i < 5 * maxWaiting; i++) {
    main.notify(1, demo, "note", "more");
    if (i % 100 === 0) await main.call(1, demo, "echo", 1);
  }
});

test("calls and streams end at once when the other thread is gone", async (t) => {
  const { main, worker, log } = setUp(t);
  const call = main.call(1, demo, "wait", undefined);
  const stream = main.stream(1, demo, "count", { to: 3, waits: true });
  await stream.next();
  await until(() => log.includes("item 3"));
  const open = worker.call(0, demo, "echo", 1);
  const gone = [
    assert.rejects(call, { code: "gone" }),
    assert.rejects(collect(stream), isGone),
    assert.rejects(open, (error: Error) => isGone(error) && /^the main thread is gone/.test(error.message)),
  ];
  worker.close();
  await Promise.all(gone);
  await until(() => main.workers.length === 0);
  await assert.rejects(main.call(1, demo, "echo", 1), isGone);
  assert.ok(log.includes("cancelled") && log.includes("count ended"), "the handlers have ended too");
});

test("the error of a service is not taken for one of the bus", async (t) => {
  const { main } = setUp(t);
  await assert.rejects(
    main.call(1, demo, "fail", { message: "my own", code: "gone" }),
    (error) => !isGone(error),
  );
});

test("a thread calls itself, and all workers include it if it is one", async (t) => {
  const { main, worker } = setUp(t);
  assert.deepEqual(main.workers, [1]);
  assert.deepEqual(worker.workers, [1]);
  assert.deepEqual(
    await worker.callAll(demo, "echo", "a"),
    new Map([[1, { status: "fulfilled", value: "a" }]]),
  );
  const only = new Bus({ threads: [0, 1], onError: assert.fail });
  t.after(() => only.close());
  serveDemo(only);
  only.open();
  assert.deepEqual(only.workers, [1]);
  assert.equal(await only.call(0, demo, "echo", "b"), "b");
  assert.deepEqual(await collect(only.stream(1, demo, "count", { to: 2 })), [1, 2]);
});

test("a thread with a name is called by it, and is none of the workers", async (t) => {
  const { main, worker } = setUp(t);
  const accountant = new Bus({ threads: ["accountant"], onError: assert.fail });
  const { port1, port2 } = new MessageChannel();
  accountant.connect(0, port2);
  main.addThread("accountant", port1);
  t.after(() => accountant.close());
  serveDemo(accountant);
  accountant.open();
  assert.equal(await main.call("accountant", demo, "echo", 1), 1);
  assert.deepEqual(main.workers, [1]);
  assert.equal(await main.call("accountant", demo, "relay", { to: 1, value: 2 }), 2);
  assert.equal(await worker.call("accountant", demo, "echo", 3), 3);
  accountant.close();
  await assert.rejects(worker.call("accountant", demo, "wait", undefined), {
    code: "gone",
    message: /^the accountant thread is gone/,
  });
});

test("messages that are not of the bus are ignored", async (t) => {
  const { main, port, errors } = setUp(t);
  for (const message of [null, undefined, 1, "text", [], {}, { kind: "other" }, { kind: "reply", id: 99 }])
    port.postMessage(message);
  port.postMessage({ kind: "item", id: 99, value: 1 });
  port.postMessage({ kind: "credit", id: 99, items: 1 });
  port.postMessage({ kind: "cancel", id: 99 });
  assert.equal(await main.call(1, demo, "echo", 1), 1);
  assert.deepEqual(errors, []);
});

/** A main thread and workers that serve the demo service. */
function startWorkers(t: TestContext, count: number) {
  const bus = new Bus({ threads: [0], onError: assert.fail });
  bus.open();
  const start = (number: number) => {
    const url = new URL("../../test/fixtures/bus-demo.ts", import.meta.url);
    const worker = new Worker(url, { workerData: { busWorker: number } });
    bus.addThread(number, worker);
    t.after(() => worker.terminate());
    return worker;
  };
  const workers = Array.from({ length: count }, (_, i) => start(i + 1));
  return { bus, workers, start };
}

/** Resolves when a worker knows these workers. */
async function untilKnown(bus: Bus, worker: number, workers: readonly number[]): Promise<void> {
  while ((await bus.call(worker, demo, "workers", undefined)).join() !== workers.join()) await setImmediate();
}

test("workers: all are called, also while they start, and each other without the main thread", async (t) => {
  const { bus } = startWorkers(t, 3);
  const all = await bus.callAll(demo, "echo", "x");
  assert.deepEqual([...all.keys()], [1, 2, 3]);
  for (const result of all.values()) assert.deepEqual(result, { status: "fulfilled", value: "x" });
  assert.equal(await bus.call(1, demo, "relay", { to: 3, value: "over" }), "over");
  await untilKnown(bus, 2, [1, 2, 3]);

  const memory = new Int32Array(new SharedArrayBuffer(4));
  const relayed = bus.call(2, demo, "relayToMemory", { to: 3, value: 5, memory });
  Atomics.wait(memory, 0, 0); // this thread is blocked, and the workers talk
  assert.equal(memory[0], 5);
  await relayed;
});

test("workers: a death ends calls and streams of the main thread and of workers; a new one has fresh ports", async (t) => {
  const { bus, workers, start } = startWorkers(t, 2);
  await bus.callAll(demo, "echo", 1);
  const [, second] = workers;
  const fromWorker = bus.call(1, demo, "relayWait", 2);
  const fromMain = assert.rejects(bus.call(2, demo, "wait", undefined), isGone);
  const stream = bus.stream(2, demo, "count", { to: 2, waits: true });
  await stream.next();
  while ((await bus.call(2, demo, "log", undefined)).filter((line) => line === "waiting").length < 2)
    await setImmediate();
  const streamed = assert.rejects(collect(stream), isGone);
  await second!.terminate();
  await Promise.all([fromMain, streamed]);
  assert.equal(await fromWorker, "gone");
  const all = await bus.callAll(demo, "echo", 1);
  assert.deepEqual([...all.keys()], [1]);
  await untilKnown(bus, 1, [1]);

  const third = start(2);
  const replies = await bus.callAll(demo, "echo", 2);
  assert.deepEqual([...replies.keys()], [1, 2]);
  assert.equal(await bus.call(1, demo, "relay", { to: 2, value: "fresh" }), "fresh");
  assert.equal(await bus.call(2, demo, "relay", { to: 1, value: "fresh" }), "fresh");
  const exited = once(third, "exit");
  const relayed = await bus.call(1, demo, "relayCount", 2);
  assert.deepEqual(relayed, { items: [1, 2, 3], error: "gone" });
  await exited;
});

test("workers: one that does not take its messages is refused more, and goes on when it does", async (t) => {
  const { bus } = startWorkers(t, 1);
  const memory = new Int32Array(new SharedArrayBuffer(4));
  await bus.call(1, demo, "echo", 1);
  bus.notify(1, demo, "block", memory);
  for (let i = 1; i < maxWaiting; i++) bus.notify(1, demo, "note", "");
  assert.throws(() => bus.notify(1, demo, "note", ""), { code: "busy" });
  await assert.rejects(bus.call(1, demo, "echo", 1, { timeoutMs: 1 }), { code: "timeout" });
  Atomics.store(memory, 0, 1);
  Atomics.notify(memory, 0);
  assert.equal(await bus.call(1, demo, "echo", 1), 1);
  bus.notify(1, demo, "note", "");
});

test("workers: ports do not keep a thread alive once it has closed its bus, and its heap can be read", async (t) => {
  const { bus, workers } = startWorkers(t, 2);
  await bus.callAll(demo, "echo", 1);
  await bus.call(1, demo, "relay", { to: 2, value: 1 });
  let bytes = 0;
  for await (const chunk of await workers[0]!.getHeapSnapshot()) bytes += (chunk as Buffer).length;
  assert.ok(bytes > 100_000);
  for (const [i, worker] of workers.entries()) {
    const exited = once(worker, "exit");
    bus.notify(i + 1, demo, "close", undefined);
    assert.deepEqual(await exited, [0]);
  }
});
