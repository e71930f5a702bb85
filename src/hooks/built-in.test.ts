import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTracker, useHook } from "../index.ts";
import { testHook } from "../testing.ts";
import * as hooks from "./index.ts";

const {
  clientApproval,
  intervalControl,
  intervalVariation,
  ipApproval,
  locality,
  rateLimit,
  torrentApproval,
} = hooks;

describe("built-in hooks as definitions", () => {
  for (const [definition, options, refusal] of [
    [clientApproval, { blacklist: ["XX0001"] }, "unapproved client"],
    [torrentApproval, { blacklist: ["aa".repeat(20)] }, "unapproved torrent"],
    [ipApproval, { blacklist: ["192.0.2.0/24"] }, "unapproved address"],
  ] as const) {
    test(`${definition.name} refuses`, async (t) => {
      const hook = await testHook<object>(definition as never, options);
      t.after(() => hook.stop());
      assert.equal((await hook.announce()).refusal?.message, refusal);
    });
  }

  test("what has a default may be left out", async (t) => {
    const limit = await testHook(rateLimit, { rate: 1, burst: 2 });
    const control = await testHook(intervalControl, { shortest: 60, longest: 120 });
    t.after(() => Promise.all([limit.stop(), control.stop()]));
    for (const message of [undefined, undefined, "rate limit exceeded"]) {
      assert.equal((await limit.announce()).refusal?.message, message);
    }
    assert.equal((await control.announce()).interval, 60);
    const near = await testHook(locality, { levels: [{ name: "rack", ipv4: 24, ipv6: 64 }] });
    t.after(() => near.stop());
    await near.announce({ address: "192.0.2.7" });
    assert.deepEqual((await near.announce({ address: "192.0.2.8" })).peers, ["192.0.2.7:6881"]);
  });

  test("they are given to a tracker, with their types", async (t) => {
    const variation = { modifyResponseProbability: 1, maxIncreaseDelta: 1 };
    const tracker = createTracker({
      udp: false,
      http: { listen: [{ host: "127.0.0.1", port: 0 }] },
      preHooks: [useHook(intervalVariation, variation), useHook(rateLimit, { rate: 1, burst: 1 })],
    });
    // @ts-expect-error a limit needs a rate
    useHook(rateLimit, { burst: 1 });
    await tracker.start();
    t.after(() => tracker.stop());
    const id = "a".repeat(20);
    const query = `info_hash=${id}&peer_id=${id}&port=1&uploaded=0&downloaded=0&left=1`;
    const announce = async () => (await fetch(`${tracker.urls()[0]}/announce?${query}`)).text();
    assert.match(await announce(), /8:intervali1801e/);
    assert.match(await announce(), /rate limit exceeded/);
  });
});
