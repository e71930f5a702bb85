import assert from "node:assert/strict";
import { test } from "node:test";
import { Field, Records, recordBytes, recordWords } from "./record.ts";
import { createAccountingMemory, Ring, untilCommitted } from "./ring.ts";

const capacity = 16_384;

function open(): { worker: Ring; accountant: Ring; signal: SharedArrayBuffer } {
  const { rings, signal } = createAccountingMemory(1);
  const memory = { ring: rings[0]!, signal };
  return { worker: new Ring(memory), accountant: new Ring(memory), signal };
}

/** Hands over a record of a user. @returns its position; -1 if the ring is full */
function hand(ring: Ring, user: number): number {
  const at = ring.reserve();
  if (at < 0) return -1;
  ring.records.words[at + Field.user] = user;
  return ring.commit();
}

const block = () => new Records(new ArrayBuffer(capacity * recordBytes), 0, capacity);
const users = (records: Records, count: number) =>
  Array.from({ length: count }, (_, i) => records.words[i * recordWords + Field.user]);

test("records come in their order, and stay until they are released", () => {
  const { worker, accountant } = open();
  const positions = [7, 8, 9].map((user) => hand(worker, user));
  const out = block();
  assert.equal(accountant.copy(out, 0, 2), 2);
  assert.equal(accountant.copy(out, 0, capacity), 3, "not released, so copied again");
  assert.deepEqual(users(out, 3), [7, 8, 9]);
  accountant.release(2);
  assert.deepEqual(
    positions.map((position) => worker.isOnDisk(position)),
    [true, true, false],
  );
  assert.equal(accountant.copy(out, 0, capacity), 1);
  assert.deepEqual(users(out, 1), [9]);
});

test("a full ring takes no record, and takes one again after a release", () => {
  const { worker, accountant } = open();
  for (let n = 0; n < capacity; n++) assert.ok(hand(worker, n) > 0);
  assert.equal(hand(worker, 1), -1);
  accountant.release(1);
  assert.ok(hand(worker, capacity) > 0);
  assert.equal(hand(worker, 1), -1);
  const out = block();
  assert.equal(accountant.copy(out, 0, capacity), capacity, "around the end of the memory");
  assert.deepEqual(users(out, capacity).at(0), 1);
  assert.deepEqual(users(out, capacity).at(-1), capacity);
});

test("a release wakes a worker that waits", async () => {
  const { worker, accountant } = open();
  const position = hand(worker, 1);
  const released = worker.untilReleased(60_000);
  accountant.release(1);
  await released;
  assert.ok(worker.isOnDisk(position));
});

test("a record wakes an accountant that sleeps, and one that is about to sleep", async () => {
  const { worker, accountant, signal } = open();
  const isIdle = () => accountant.waiting === 0;
  const woken = untilCommitted(signal, isIdle, 60_000);
  hand(worker, 1);
  await woken;
  await untilCommitted(signal, isIdle, 60_000); // the record still waits
  accountant.release(1);
  const isIdleAtFirst = () => {
    const idle = isIdle();
    hand(worker, 2);
    return idle;
  };
  await untilCommitted(signal, isIdleAtFirst, 60_000);
});
