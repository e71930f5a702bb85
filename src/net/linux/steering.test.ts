import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { type TestContext, test } from "node:test";
import { listEngines } from "../../../test/support/networks.ts";
import type { DatagramHandler } from "../datagram.ts";
import { Linux } from "./abi.ts";
import { bindDatagram } from "./datagram.ts";
import { EventLoop } from "./event-loop.ts";
import { type Libc, loadLibc } from "./libc.ts";
import { createBeats, Liveness } from "./liveness.ts";
import { Poller } from "./poller.ts";
import { Steering } from "./steering.ts";

const skip = (await listEngines()).find(({ name }) => name === "linux")!.skip;

/** Decides every quarter of a second about shares of time, and notes the programs for the kernel. */
class Decisions {
  readonly programs: ("first" | "all")[] = [];
  /** The seconds in which the threads last ran; the first is this thread. */
  readonly beats = createBeats(2);
  readonly #liveness = new Liveness(this.beats, 0);
  #share = 0;
  #now = 0;
  readonly #steering: Steering;

  constructor(threads: number) {
    let filter = new Uint8Array();
    const libc: Partial<Libc> = {
      address: (memory) => {
        filter = memory as Uint8Array<ArrayBuffer>;
        return 0n;
      },
      setsockopt: (_fd, _level, name) => {
        assert.equal(name, Linux.SO_ATTACH_REUSEPORT_CBPF);
        this.programs.push(new DataView(filter.buffer).getUint32(4, true) === 0 ? "first" : "all");
        return 0;
      },
    };
    this.#steering = new Steering(libc as Libc, 3, threads, this.#liveness, () => this.#share);
  }

  /** Lets a second pass in this thread. */
  beat(seconds: number): this {
    this.#liveness.beat(seconds);
    return this;
  }

  after(milliseconds: number, share: number): this {
    this.#now += milliseconds;
    this.#share = share;
    this.#steering.consider(this.#now);
    return this;
  }
}

test("one thread receives all while all threads together have little to do, and all while one has much", () => {
  assert.deepEqual(new Decisions(2).after(250, 0.14).programs, ["first"]);
  assert.deepEqual(new Decisions(2).after(250, 0.16).programs, []);
  assert.deepEqual(new Decisions(8).after(250, 0.05).programs, []);
  assert.deepEqual(new Decisions(2).after(250, 0.49).programs, []);
  assert.deepEqual(new Decisions(2).after(250, 0.51).programs, ["all"]);
  assert.deepEqual(new Decisions(2).after(250, 0.1).after(250, 0.9).after(250, 0.1).programs, [
    "first",
    "all",
    "first",
  ]);
});

test("the kernel gets a program at most four times a second, and seldom when nothing changes", () => {
  const busy = new Decisions(2);
  for (let i = 0; i < 10_000; i++) busy.after(1, 0.9);
  assert.equal(busy.programs.length, 40);
  const idle = new Decisions(2);
  for (let i = 0; i < 10_000; i++) idle.after(1, 0.1);
  assert.equal(idle.programs.length, 2);
});

test("while a thread hangs, all threads receive datagrams", () => {
  const decisions = new Decisions(2);
  decisions.beats[1] = 100;
  decisions.after(250, 0.1).beat(101).beat(102);
  assert.deepEqual(decisions.programs, ["first"]);
  decisions.beat(103).beat(104).after(250, 0.1);
  assert.deepEqual(decisions.programs, ["first", "all", "all"]);
  decisions.beats[1] = 105;
  decisions.beat(105).after(250, 0.1);
  assert.deepEqual(decisions.programs, ["first", "all", "all", "first"]);
});

test("a thread that has ended, or has not begun, does not hang", () => {
  const decisions = new Decisions(2);
  decisions.after(250, 0.1).beat(1000);
  assert.deepEqual(decisions.programs, ["first"]);
});

/** Binds an address twice, as two threads would. */
async function bindTwice(t: TestContext) {
  const libc = await loadLibc();
  let fd = -1;
  const own: Libc = {
    ...libc,
    socket: (...args) => {
      fd = libc.socket(...args);
      return fd;
    },
  };
  const poller = new Poller(own, new EventLoop(libc));
  const received = [0, 0];
  const handlers = received.map(
    (_, index): DatagramHandler => ({
      handleBatch: (_socket, _batch, count) => {
        received[index]! += count;
      },
      afterBatch() {},
    }),
  );
  const options = { host: "127.0.0.1", threads: 2, onError: assert.fail };
  const first = bindDatagram(poller, { ...options, port: 0, handler: handlers[0]! });
  const second = bindDatagram(poller, { ...options, port: first.port, handler: handlers[1]! });
  t.after(async () => {
    await first.close();
    await second.close();
    poller.close();
  });
  return { libc, fd, port: first.port, received };
}

test("the kernel follows the decision", { skip }, async (t) => {
  const { libc, fd, port, received } = await bindTwice(t);
  let share = 0.1;
  const steering = new Steering(libc, fd, 2, new Liveness(), () => share);
  const clients = Array.from({ length: 64 }, () => createSocket("udp4"));
  t.after(() => {
    for (const client of clients) client.close();
  });
  const sendAll = async () => {
    received.fill(0);
    for (const client of clients) client.send("x", port, "127.0.0.1");
    while (received[0]! + received[1]! < clients.length)
      await new Promise((resolve) => setImmediate(resolve));
    return [...received];
  };
  steering.consider(250);
  assert.deepEqual(await sendAll(), [64, 0]);
  share = 0.9;
  steering.consider(500);
  const spread = await sendAll();
  assert.ok(spread[0]! > 0 && spread[1]! > 0, `${spread}`); // all on one by chance: once in 2^63
});
