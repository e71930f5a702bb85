import assert from "node:assert/strict";
import { test } from "node:test";
import { testHook } from "chihaya/testing";
import noLowPorts from "./no-low-ports.ts";

test("a peer announces the port that it listens on, not that of a service", async (t) => {
  const hook = await testHook(noLowPorts);
  t.after(() => hook.stop());
  assert.equal((await hook.announce({ port: 80 })).refusal?.message, "choose a port above 1023");
  assert.equal((await hook.announce({ port: 6881 })).refusal, undefined);
});
