import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { announceRequest, announceResponse } from "../../test/support/requests.ts";
import { createRandom } from "../lib/clock.ts";
import { type PeerStore, Step } from "../storage/peer-store.ts";
import { createSharedState, LocalHub, type ProcessHub, WorkerHub } from "./share-hub.ts";

const clock = { seconds: 0, unixSeconds: 0 };
const random = createRandom(1);
const storeOptions = { maxPeers: 100, peerLifetime: 60, gcInterval: 10 };

/** The hub of a process and those of two workers, whose requests arrive when `deliver` is called. */
function setUp() {
  const hub = new LocalHub({ clock, random });
  const requests: (() => void)[] = [];
  const arrive = () => new Promise<void>((resolve) => requests.push(resolve));
  const process: ProcessHub = {
    buffer: ({ name, bytes }) => arrive().then(() => hub.buffer(name, bytes)),
    memory: ({ name, options }) => arrive().then(() => hub.memory(name, options)),
    publish(publication) {
      requests.push(() => {
        hub.publish(publication.topic, publication.value);
        for (const worker of workers) worker.deliver(publication);
      });
    },
  };
  const workers: WorkerHub[] = [];
  const start = (isFirst: boolean) => {
    const worker = new WorkerHub(isFirst, hub.topics.last, process);
    workers.push(worker);
    return worker;
  };
  const deliver = async () => {
    for (const request of requests.splice(0)) {
      request();
      await setImmediate();
    }
  };
  start(true);
  start(false);
  return { hub, workers, start, deliver };
}

function share(hub: WorkerHub, name = "hook", turned = clock, owner = 1) {
  return createSharedState(hub, name, { clock: turned, random, owner });
}

describe("what hooks share", () => {
  test("a name is the same memory in every worker, another for another hook or size", async () => {
    const { workers, deliver } = setUp();
    const [first, second] = workers.map((worker) => share(worker));
    const asked = [
      first!.buffer("a", 8),
      second!.buffer("a", 8),
      second!.buffer("b", 8),
      share(workers[1]!, "other").buffer("a", 8),
    ];
    await deliver();
    const [a, same, b, others] = await Promise.all(asked);
    assert.equal(a, same);
    assert.equal(new Set([a, b, others]).size, 3);
    const bigger = second!.buffer("a", 16);
    await deliver();
    assert.equal((await bigger).byteLength, 16);
  });

  test("a secondary store has the same peers in every worker, and the first expires them", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const turned = { ...clock };
    const { workers, deliver } = setUp();
    const asked = workers.map((worker, i) =>
      share(worker, "hook", turned, i + 1).store("near", storeOptions),
    );
    await deliver();
    const [first, second] = (await Promise.all(asked)) as [PeerStore, PeerStore];
    const countPeers = async () => {
      const counts = await Promise.all([first.statistics(), second.statistics()]);
      return counts.map(({ seeders }) => seeders);
    };
    first.announce(announceRequest("i".repeat(20), "p".repeat(20)), announceResponse(), Step.apply);
    assert.deepEqual(await countPeers(), [1, 1]);
    turned.seconds += storeOptions.peerLifetime + 1;
    second.start();
    t.mock.timers.tick(storeOptions.gcInterval * 1000);
    assert.deepEqual(await countPeers(), [1, 1]);
    first.start();
    t.mock.timers.tick(storeOptions.gcInterval * 1000);
    assert.deepEqual(await countPeers(), [0, 0]);
    for (const store of [first, second]) store.stop();
  });

  test("memory of another size takes the place of the old when the reload is over, unless that fails", async () => {
    const { hub } = setUp();
    const of = (maxPeers: number) => hub.memory("near", { ...storeOptions, maxPeers });
    const old = await of(100);
    const failed = hub.reload(async () => {
      await of(200);
      assert.ok(hub.memories.includes(old), "threads may still hold its locks");
      throw new Error("no");
    });
    await assert.rejects(failed, { message: "no" });
    assert.deepEqual(hub.memories, [old]);
    assert.equal(await of(100), old);
    const next = await hub.reload(() => of(200));
    assert.deepEqual(hub.memories, [next]);
    assert.notEqual(await hub.reload(() => of(100)), old, "its peers have not been expired since");
  });

  test("memory that cannot be had is refused with the reason", async () => {
    const { workers, deliver } = setUp();
    const asked = share(workers[0]!).store("near", { ...storeOptions, maxPeers: 1e12 });
    const rejected = assert.rejects(asked, /at most \d+ peers/);
    await deliver();
    await rejected;
  });

  test("all workers receive publications in one order, and later workers receive the last one", async () => {
    const { workers, start, deliver } = setUp();
    const received: unknown[][] = [[], []];
    const stops = workers.map((worker, i) =>
      share(worker).subscribe("list", (value) => received[i]!.push(value)),
    );
    share(workers[1]!).publish("list", 1);
    share(workers[0]!).publish("list", 2);
    share(workers[0]!, "other").publish("list", 3);
    await deliver();
    assert.deepEqual(received, [
      [1, 2],
      [1, 2],
    ]);
    stops[0]!();
    share(workers[0]!).publish("list", 4);
    await deliver();
    assert.deepEqual(received, [
      [1, 2],
      [1, 2, 4],
    ]);
    const late: unknown[] = [];
    share(start(false)).subscribe("list", (value) => late.push(value));
    assert.deepEqual(late, [4]);
  });

  test("in one thread a value is copied too, and one that cannot be is refused", () => {
    const shared = createSharedState(new LocalHub({ clock, random }), "hook", { clock, random, owner: 1 });
    const value = { count: 1 };
    let received: unknown;
    shared.subscribe("topic", (copy) => {
      received = copy;
    });
    shared.publish("topic", value);
    value.count = 2;
    assert.deepEqual(received, { count: 1 });
    assert.throws(() => shared.publish("topic", () => 1), { name: "DataCloneError" });
  });

  test("the first worker knows that it is the first", () => {
    const { workers } = setUp();
    assert.deepEqual(
      workers.map((worker) => share(worker).isFirst),
      [true, false],
    );
  });
});
