import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedRun } from "./shared-run.ts";

test("calls during a run share the next one, and a failure ends only its own run", async () => {
  const gates: PromiseWithResolvers<number>[] = [];
  const shared = new SharedRun(() => {
    const gate = Promise.withResolvers<number>();
    gates.push(gate);
    return gate.promise;
  });
  const first = shared.run();
  const second = shared.run();
  const third = shared.run();
  assert.equal(gates.length, 1);
  gates[0]!.reject(new Error("broken"));
  await assert.rejects(first, /broken/);
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(gates.length, 2);
  const fourth = shared.run();
  gates[1]!.resolve(2);
  assert.deepEqual(await Promise.all([second, third]), [2, 2]);
  await new Promise(setImmediate);
  assert.equal(gates.length, 3, "the run in progress may have passed the change of the fourth caller");
  gates[2]!.resolve(3);
  assert.equal(await fourth, 3);
  await shared.idle();
  const fifth = shared.run();
  assert.equal(gates.length, 4);
  gates[3]!.resolve(4);
  assert.equal(await fifth, 4);
});
