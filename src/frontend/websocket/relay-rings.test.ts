import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { RelayWorkerStart } from "../../../test/fixtures/relay-worker.ts";
import { RelayEntry, RelayKind } from "./relay-entry.ts";
import { RelayRings, relayMemoryBytes } from "./relay-rings.ts";

function createMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(relayMemoryBytes(workers));
}

/** Sends a frame of `size` bytes. @returns whether there was room */
function send(rings: RelayRings, to: number, kind: RelayKind, size: number, number = 0): boolean {
  const entry = new RelayEntry();
  Object.assign(entry, {
    kind,
    handle: 0xfc000001,
    generation: 65_535,
    originHandle: number,
    originGeneration: 7,
  });
  entry.infoHash.fill(0xab);
  entry.offerId.fill(0xcd);
  const at = rings.begin(to, entry, size);
  if (at < 0) return false;
  rings.bytes.fill(number & 0xff, at, at + size);
  rings.commit(at, at + size);
  return true;
}

/** Receives until nothing is left, then returns what has come. */
async function receiveAll(
  rings: RelayRings,
): Promise<{ number: number; kind: RelayKind; frame: Uint8Array }[]> {
  const all: { number: number; kind: RelayKind; frame: Uint8Array }[] = [];
  const running = rings.start(({ originHandle: number, kind, bytes, start, end }) => {
    all.push({ number, kind, frame: bytes.slice(start, end) });
  });
  for (let turns = 0; turns < 4; turns++) await setImmediate();
  rings.stop();
  await running;
  return all;
}

test("an entry arrives with all its fields", async () => {
  const memory = createMemory(2);
  const receiver = new RelayRings(memory, 1, 2);
  assert.ok(send(new RelayRings(memory, 0, 2), 1, RelayKind.answer, 5, 9));
  const found: object[] = [];
  const running = receiver.start(({ infoHash, infoHashWords, offerId, bytes, start, end, ...rest }) => {
    assert.deepEqual([...infoHash], new Array(20).fill(0xab));
    assert.equal(infoHashWords[4], 0xabababab | 0);
    assert.deepEqual([...offerId], new Array(20).fill(0xcd));
    found.push({ ...rest, frame: [...bytes.subarray(start, end)] });
  });
  await setImmediate();
  receiver.stop();
  await running;
  const sockets = { handle: 0xfc000001, generation: 65_535, originHandle: 9, originGeneration: 7 };
  assert.deepEqual(found, [
    { kind: RelayKind.answer, ...sockets, originTracker: 0, targetTracker: 0, frame: [9, 9, 9, 9, 9] },
  ]);
});

test("a full ring takes no offers, keeps an eighth for answers, and serves again", async () => {
  const memory = createMemory(2);
  const sender = new RelayRings(memory, 0, 2);
  const count = (kind: RelayKind) => {
    let sent = 0;
    while (send(sender, 1, kind, 920)) sent++; // 1000 bytes each
    return sent;
  };
  const [offers, answers] = [count(RelayKind.offer), count(RelayKind.answer)];
  assert.ok(offers >= 227 && offers <= 230, `${offers} offers in seven eighths of 256 KiB`);
  assert.ok(answers >= 31 && answers <= 33, `${answers} answers in the last eighth`);
  assert.equal(count(RelayKind.offer), 0, "an offer does not take the place of an answer");
  const received = await receiveAll(new RelayRings(memory, 1, 2));
  assert.equal(received.length, 0, "a successor drops what was sent to its predecessor");
  assert.equal(count(RelayKind.offer), offers, "and there is room again");
});

test("entries of all lengths pass the end of the ring whole and in order", async () => {
  const memory = createMemory(2);
  const [sender, receiver] = [new RelayRings(memory, 0, 2), new RelayRings(memory, 1, 2)];
  const received: number[] = [];
  const running = receiver.start(({ originHandle, bytes, start, end }) => {
    received.push(originHandle);
    assert.equal(end - start, 1 + ((originHandle * 31) % 60_000));
    assert.ok(
      bytes.subarray(start, end).every((byte) => byte === (originHandle & 0xff)),
      `frame ${originHandle}`,
    );
  });
  for (let number = 0; number < 500; number++) {
    while (!send(sender, 1, RelayKind.answer, 1 + ((number * 31) % 60_000), number)) await setImmediate();
  }
  while (received.length < 500) await setImmediate();
  receiver.stop();
  await running;
  assert.deepEqual(
    received,
    Array.from({ length: 500 }, (_, number) => number),
  );
});

test("a receiver that sleeps is woken", async () => {
  const memory = createMemory(2);
  const [sender, receiver] = [new RelayRings(memory, 0, 2), new RelayRings(memory, 1, 2)];
  let woken = Promise.withResolvers<void>();
  const running = receiver.start(() => woken.resolve());
  const keepAlive = setInterval(() => undefined, 1000); // as a listener does
  for (let time = 0; time < 3; time++) {
    woken = Promise.withResolvers();
    for (let turns = 0; turns < 3; turns++) await setImmediate();
    send(sender, 1, RelayKind.offer, 100);
    await woken.promise;
  }
  clearInterval(keepAlive);
  receiver.stop();
  await running;
});

const fixture = new URL("../../../test/fixtures/relay-worker.ts", import.meta.url);

/** Starts threads that exchange entries. @returns the threads, which send once they get a message */
async function begin(starts: readonly Omit<RelayWorkerStart, "memory">[]): Promise<Worker[]> {
  const memory = createMemory(3);
  const workers = starts.map((start) => new Worker(fixture, { workerData: { ...start, memory } }));
  await Promise.all(workers.map((worker) => once(worker, "message")));
  return workers;
}

/** Returns the report of a worker: how many entries of each other one it got. */
async function reportOf(worker: Worker): Promise<number[]> {
  for (;;) {
    const [message] = (await once(worker, "message")) as [number[] | "running"];
    if (message !== "running") return message;
  }
}

test("three workers exchange entries, each in order and whole", async () => {
  const workers = await begin(
    [
      [1, 2],
      [0, 2],
      [0, 1],
    ].map((expects, own) => ({ own, workers: 3, sends: 3000, expects })),
  );
  for (const worker of workers) worker.postMessage("go");
  const reports = await Promise.all(workers.map(reportOf));
  assert.deepEqual(reports, [
    [0, 3000, 3000],
    [3000, 0, 3000],
    [3000, 3000, 0],
  ]);
  await Promise.all(workers.map((worker) => worker.terminate()));
});

test("a worker that is killed holds up nobody", async () => {
  const [first, second, dying] = (await begin([
    { own: 0, workers: 3, sends: 4000, expects: [1] },
    { own: 1, workers: 3, sends: 4000, expects: [0] },
    { own: 2, workers: 3, sends: 1_000_000, expects: [0] },
  ])) as [Worker, Worker, Worker];
  dying.postMessage("go");
  await once(dying, "message");
  const reports = Promise.all([first, second].map(reportOf)); // they may come while the third is ended
  first.postMessage("go");
  second.postMessage("go");
  await once(first, "message");
  await dying.terminate();
  const [ofFirst, ofSecond] = await reports;
  assert.deepEqual([ofFirst![1], ofSecond![0]], [4000, 4000]);
  await Promise.all([first.terminate(), second.terminate()]);
});
