import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTracker, useHook } from "../index.ts";
import type { OptionsSchema } from "../options/schema.ts";
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

const listed = "0123456789abcdef0123456789abcdef01234567";
const both = "using both whitelist and blacklist is invalid; remove one of the two";

/** Options that make no sense, and what is said of the first. */
const senseless: [definition: { options?: OptionsSchema<unknown> }, options: object, message: string][] = [
  ...["AZ303", "-AZ3034", "ÄZ3034"].map((id): (typeof senseless)[0] => [
    clientApproval,
    { blacklist: ["AZ3034", id] },
    `client ID ${id} must be 6 bytes, not ${Buffer.byteLength(id)}`,
  ]),
  [clientApproval, { whitelist: ["AZ3034"], blacklist: ["TR4060"] }, both],
  ...["whitelist", "blacklist"].flatMap((list) =>
    [
      ["nonsense", "invalid hash nonsense"],
      [listed.slice(1), `invalid hash ${listed.slice(1)}`],
      [listed.slice(2), `hash ${listed.slice(2)} is not 20 bytes`],
      ["", "hash  is not 20 bytes"],
    ].map(([item, wrong]): (typeof senseless)[0] => [
      torrentApproval,
      { [list]: [listed, item] },
      `${wrong}; expected 40 hexadecimal digits`,
    ]),
  ),
  [torrentApproval, { whitelist: [listed], blacklist: [`${listed.slice(1)}8`] }, both],
  [torrentApproval, { whitelist: [listed], blacklistFrom: ["file"] }, both],
  [ipApproval, { whitelist: ["10.0.0.1/8"] }, '"10.0.0.1/8" has bits beyond its prefix; write 10.0.0.0/8'],
  [intervalControl, { shortest: 600, longest: 599 }, "must not be below shortest"],
  [intervalControl, { shortest: 600, longest: 3600, fewPeers: 10, manyPeers: 10 }, "must be above few_peers"],
  [intervalControl, { shortest: 600, longest: 3600, jitter: -1 }, "must be at least 0s, got -1"],
  ...[0, -0.1, 1.1, Number.NaN, Number.POSITIVE_INFINITY].map((probability): (typeof senseless)[0] => [
    intervalVariation,
    { modifyResponseProbability: probability, maxIncreaseDelta: 60 },
    `invalid modify_response_probability; expected a number above 0 and at most 1, got ${probability}`,
  ]),
  [
    intervalVariation,
    { modifyResponseProbability: 1e-60, maxIncreaseDelta: 60 },
    "invalid modify_response_probability; expected 1e-45 or more",
  ],
  ...[0, -10, 0.5, Number.NaN, 2 ** 31].map((delta): (typeof senseless)[0] => [
    intervalVariation,
    { modifyResponseProbability: 0.5, maxIncreaseDelta: delta },
    `invalid max_increase_delta; expected a whole number from 1 to 86400, got ${delta}`,
  ]),
  [rateLimit, { rate: 0, burst: 1 }, "expected a number above 0, got 0"],
  [rateLimit, { rate: 1, burst: 0 }, "expected a whole number from 1 to 1000000000, got 0"],
  [rateLimit, { rate: 9, burst: 8 }, "must not be below rate"],
];

describe("built-in hooks as definitions", () => {
  test("options that make no sense are refused before a hook is created", async () => {
    for (const [{ options }, given, message] of senseless) {
      const { issues } = await options!["~standard"].validate(given);
      assert.equal(issues?.[0]?.message, message);
    }
  });

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
      clock: { seconds: 1000, unixSeconds: 1_700_000_000 },
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
