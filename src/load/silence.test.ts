import assert from "node:assert/strict";
import { test } from "node:test";
import { Silence } from "./silence.ts";

test("silence is the time since something arrived", () => {
  const silence = new Silence(1000);
  assert.equal(silence.look(1010), 10);
  assert.equal(silence.look(1030), 30);
  silence.end(1040);
  assert.equal(silence.look(1041), 1);
});

test("a pause of the machine hardly counts, so that the sockets are looked at again", () => {
  const silence = new Silence(0);
  assert.equal(silence.look(60_000), 50);
  silence.end(120_000);
  assert.equal(silence.look(120_001), 1);
  let looks = 1;
  for (let now = 180_000; silence.look(now) < 1000; now += 60_000) looks++;
  assert.equal(looks, 20);
});
