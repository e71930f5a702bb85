import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "./turns.ts";

test("work waits for the work before it, also if that fails", async () => {
  const turns = new Turns();
  const first = Promise.withResolvers<void>();
  const steps: string[] = [];
  const failing = turns.take(async () => {
    steps.push("first");
    await first.promise;
    throw new Error("refused");
  });
  const second = turns.take(async () => {
    steps.push("second");
    return 2;
  });
  const ended = turns.ended().then(() => steps.push("ended"));
  await new Promise(setImmediate);
  assert.deepEqual(steps, ["first"]);
  first.resolve();
  await assert.rejects(failing, /refused/);
  assert.equal(await second, 2);
  await ended;
  assert.deepEqual(steps, ["first", "second", "ended"]);
});
