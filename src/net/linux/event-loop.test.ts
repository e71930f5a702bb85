import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { MessageChannel, Worker } from "node:worker_threads";
import { listEngines } from "../../../test/support/networks.ts";
import { EventLoop } from "./event-loop.ts";
import { type Libc, loadLibc } from "./libc.ts";

const skip = (await listEngines()).find(({ name }) => name === "linux")!.skip;

test("an event of libuv ends a sleep", { skip }, async (t) => {
  const libc = await loadLibc();
  let ready = -1;
  const own: Libc = {
    ...libc,
    ppoll: (...args) => {
      ready = libc.ppoll(...args);
      return ready;
    },
  };
  const loop = new EventLoop(own);
  const { port1, port2 } = new MessageChannel();
  port2.on("message", () => {});
  t.after(() => {
    loop.close();
    port1.close();
  });
  await nextTurn();
  port1.postMessage("");
  loop.sleep(999);
  assert.equal(ready, 1);
});

test("a sleep ends before the next timer, and does not begin before an immediate", { skip }, async (t) => {
  const loop = new EventLoop(await loadLibc());
  const timer = setTimeout(() => {}, 30_000);
  t.after(() => {
    loop.close();
    clearTimeout(timer);
  });
  const timeout = await new Promise<number>((resolve) => {
    let sleep = 0;
    const turn = () => {
      if (sleep !== 0) return resolve(sleep);
      sleep = loop.schedule(turn);
      loop.hurry();
    };
    loop.schedule(turn);
    loop.hurry();
  });
  assert.ok(timeout > 0 && timeout <= 30_000, `${timeout}`);
  const immediate = nextTurn();
  assert.equal(
    loop.schedule(() => {}),
    0,
  );
  await immediate;
});

test("the work of a turn shortens the sleep after it", { skip }, async (t) => {
  const loop = new EventLoop(await loadLibc());
  t.after(() => loop.close());
  const timeout = await new Promise<number>((resolve) => {
    let isOver = false;
    const turn = () => {
      if (isOver) return;
      if (loop.schedule(turn) === 0) return loop.hurry();
      isOver = true;
      const timer = setTimeout(() => {}, 5);
      const dueAt = performance.now() + 10;
      while (performance.now() < dueAt);
      resolve(loop.schedule(() => {}));
      clearTimeout(timer);
    };
    loop.schedule(turn);
    loop.hurry();
  });
  assert.equal(timeout, 0);
});

test("ticks and promises run within a turn, and an immediate ends the turn", { skip }, async (t) => {
  const loop = new EventLoop(await loadLibc());
  t.after(() => loop.close());
  const settle = () =>
    new Promise<{ ran: string[]; sleep: number; withImmediate: number }>((resolve) => {
      setImmediate(() => {
        const ticks: string[] = [];
        process.nextTick(() => ticks.push("tick"));
        void Promise.resolve().then(() => ticks.push("promise"));
        loop.schedule(() => {});
        const sleep = loop.settle();
        const result = { ran: [...ticks], sleep, withImmediate: -1 };
        setImmediate(() => resolve(result));
        result.withImmediate = loop.settle();
      });
    });
  let result = await settle();
  while (result.sleep === 0) result = await settle(); // other handles may have work in a turn
  assert.deepEqual(result.ran, ["tick", "promise"]);
  assert.equal(result.withImmediate, 0);
});

/** Opens a poller in another thread or process. */
const openPoller = `
  const { loadLibc } = await import(${JSON.stringify(import.meta.resolve("./libc.ts"))});
  const { EventLoop } = await import(${JSON.stringify(import.meta.resolve("./event-loop.ts"))});
  const { Poller } = await import(${JSON.stringify(import.meta.resolve("./poller.ts"))});
  const libc = await loadLibc();
  const poller = new Poller(libc, new EventLoop(libc));`;

test("a thread ends while its poller sleeps", { skip }, async () => {
  const worker = new Worker(
    `(async () => {${openPoller}
      require("node:worker_threads").parentPort.postMessage("ready");
    })();`,
    { eval: true },
  );
  await once(worker, "message");
  assert.equal(await worker.terminate(), 1);
});

test("the poller keeps a process alive until it is closed", { skip }, () => {
  const script = `${openPoller}
    setTimeout(() => { console.log("alive"); poller.close(); }, 50).unref();`;
  assert.equal(
    execFileSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" }),
    "alive\n",
  );
});

test("an error of a tick does not end the poller", { skip }, () => {
  const script = `${openPoller}
    let served = 0;
    process.on("uncaughtException", ({ message }) => console.log(message, served));
    const ready = () => {
      if (++served === 2) poller.close();
      process.nextTick(() => { throw new Error("served"); });
      return 1;
    };
    poller.add(libc.socket(2, 1, 0), 4, { ready }); // a TCP socket without a connection can be written to, to fail`;
  assert.equal(
    execFileSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" }),
    "served 1\nserved 2\n",
  );
});

for (const [name, broken] of [
  ["without libuv's functions", "uvLoop() { throw new Error('missing'); }"],
  ["without room for a descriptor", "epoll_create1: () => -1"],
  ["without room for an event", "epoll_ctl: () => -1"],
] as const)
  test(`a poller that cannot be opened keeps no process alive: ${name}`, { skip }, () => {
    const script = openPoller
      .replace("await loadLibc()", `{ ...(await loadLibc()), ${broken} }`)
      .replace(/const poller = (.*);/, "try { $1 } catch { console.log('refused'); }");
    assert.equal(
      execFileSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" }),
      "refused\n",
    );
  });
