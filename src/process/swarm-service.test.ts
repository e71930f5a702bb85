import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bus, BusError } from "./bus.ts";
import { createSwarms } from "./swarm-service.ts";

/** A bus whose workers respond as given. */
function busOf(workers: Record<number, () => Promise<unknown>>): Bus {
  return {
    workers: Object.keys(workers).map(Number),
    call: (worker: number) => workers[worker]!(),
  } as unknown as Bus;
}

const gone = () => Promise.reject(new BusError("gone", "worker 1 is gone"));

test("the next worker responds where one has died", async () => {
  const asked: number[] = [];
  const bus = busOf({ 1: gone, 2: async () => void asked.push(2), 3: async () => void asked.push(3) });
  await createSwarms(bus).find([]);
  assert.deepEqual(asked, [2]);
});

test("another error is not tried again, and without workers there is an error", async () => {
  let asked = 0;
  const bus = busOf({ 1: () => Promise.reject(new Error("no")), 2: async () => asked++ });
  await assert.rejects(createSwarms(bus).find([]), /no/);
  assert.equal(asked, 0);
  for (const none of [busOf({}), busOf({ 1: gone, 2: gone })])
    await assert.rejects(createSwarms(none).find([]), { code: "gone" });
});
