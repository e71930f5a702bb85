import assert from "node:assert/strict";
import { test } from "node:test";
import { Kept } from "./kept.ts";

/** A source of numbers that fails while `isBroken`. */
function createSource() {
  const source = {
    calls: 0,
    isBroken: false,
    async get(): Promise<number> {
      source.calls++;
      if (source.isBroken) throw new Error("on purpose");
      return source.calls;
    },
  };
  return source;
}

test("callers share one attempt, and the value is kept", async () => {
  const source = createSource();
  const kept = new Kept(source.get);
  assert.deepEqual(await Promise.all([kept.read(), kept.read()]), [1, 1]);
  assert.equal(await kept.read(), 1);
});

test("an error is not kept", async () => {
  const source = createSource();
  const kept = new Kept(source.get);
  source.isBroken = true;
  const [first, second] = await Promise.allSettled([kept.read(), kept.read()]);
  assert.deepEqual([first.status, second.status, source.calls], ["rejected", "rejected", 1]);
  source.isBroken = false;
  assert.equal(await kept.read(), 2);
});

test("a value is kept for its seconds, which begin when it has come", async () => {
  const source = createSource();
  const clock = { seconds: 100, unixSeconds: 0 };
  const kept = new Kept(source.get, { seconds: 10, clock });
  const first = kept.read();
  clock.seconds = 105;
  assert.equal(await first, 1);
  clock.seconds = 114;
  assert.equal(await kept.read(), 1);
  clock.seconds = 115;
  assert.equal(await kept.read(), 2);
});
