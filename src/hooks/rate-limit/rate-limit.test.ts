import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { announceRequest, announceResponse } from "../../../test/support/requests.ts";
import { seededKeys } from "../../../test/support/seeded-keys.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { Address, networkKeys } from "../../ip/address.ts";
import { createRandom } from "../../lib/clock.ts";
import { Buckets, bucketBytes } from "../../middleware/buckets.ts";
import { RequestContext } from "../../middleware/hook.ts";
import type { SharedState } from "../../middleware/shared-state.ts";
import { rateLimited } from "./errors.ts";
import { createRateLimit, type RateLimitOptions } from "./rate-limit.ts";

const plain: RateLimitOptions = { rate: 1, burst: 5, addresses: 1024, exempt: [] };

/** Two hooks over the same memory, as two workers have them. */
async function workers(options: Partial<RateLimitOptions> = {}) {
  const clock = { seconds: 1000, unixSeconds: 0 };
  const memory = new SharedArrayBuffer(bucketBytes(options.addresses ?? plain.addresses));
  const shared = { buffer: async () => memory } as unknown as SharedState;
  const make = () => createRateLimit({ ...plain, ...options }, { clock, shared });
  const hooks = [await make(), await make()] as const;
  let turn = 0;
  /** Tells whether an announce of the address passes, at either worker in turn. */
  const passes = (text: string) => {
    const request = announceRequest("00".repeat(20), "00".repeat(20));
    request.address.copyFrom(Address.parse(text));
    const result = hooks[turn++ % 2]!.handleAnnounce!(request, announceResponse(), new RequestContext());
    assert.ok(result === undefined || result === rateLimited);
    return result === undefined;
  };
  const passing = (address: string, requests: number) => {
    let count = 0;
    for (let i = 0; i < requests; i++) if (passes(address)) count++;
    return count;
  };
  return { clock, hooks, passing };
}

describe("rate limit", () => {
  test("a burst, then the rate, for all workers together", async () => {
    const { clock, passing } = await workers();
    assert.equal(passing("192.0.2.1", 20), 5);
    assert.equal(passing("192.0.2.2", 20), 5, "another address has its own");
    clock.seconds += 2;
    assert.equal(passing("192.0.2.1", 20), 2);
    clock.seconds += 1_000_000;
    assert.equal(passing("192.0.2.1", 20), 5, "never more than a burst");
  });

  test("less and more than one a second", async () => {
    const slow = await workers({ rate: 0.1, burst: 1 });
    assert.equal(slow.passing("192.0.2.1", 3), 1);
    slow.clock.seconds += 9;
    assert.equal(slow.passing("192.0.2.1", 3), 0);
    slow.clock.seconds += 1;
    assert.equal(slow.passing("192.0.2.1", 3), 1);
    const fast = await workers({ rate: 300, burst: 300 });
    for (let second = 0; second < 100; second++) {
      assert.equal(fast.passing("192.0.2.1", 400), 300, `second ${second}`);
      fast.clock.seconds += 1;
    }
  });

  test("another rate after a reload counts at once, whatever is owed by the one before", async () => {
    const memory = new SharedArrayBuffer(bucketBytes(8));
    const address = Address.parse("192.0.2.1");
    const slow = new Buckets(memory, 0.01, 100);
    for (let i = 0; i < 100; i++) assert.ok(slow.take(address, 1000));
    const fast = new Buckets(memory, 10, 20);
    assert.ok(!fast.take(address, 1000));
    assert.ok(fast.take(address, 1001));
  });

  test("a thread whose clock is a second behind forgives nothing", () => {
    const buckets = new Buckets(new SharedArrayBuffer(bucketBytes(8)), 1, 5);
    const address = Address.parse("192.0.2.1");
    let passed = 0;
    for (let i = 0; i < 20; i++) if (buckets.take(address, 1001 - (i % 2))) passed++;
    assert.equal(passed, 5);
  });

  test("an IPv6 network of 64 bits is one address, and none of IPv4", async () => {
    const { passing } = await workers();
    assert.equal(passing("2001:db8::1", 3) + passing("2001:db8::ffff:2", 3), 5);
    assert.equal(passing("2001:db8:0:1::1", 9), 5);
    assert.equal(passing("32.1.13.184", 9), 5);
  });

  test("nobody can choose a network that shares the bucket of another", () => {
    // Under any seed of hashes that turn the bits of the second word for IPv6, or that only XOR and multiply.
    const pairs = [
      ["2001:db8:ffff:ffff::1", "32.1.13.184"],
      ["2001:db8:1::1", "2081:d38:1:80::1"],
    ] as const;
    for (const [one, other] of pairs) {
      const buckets = new Buckets(new SharedArrayBuffer(bucketBytes(8)), 1, 5);
      for (let i = 0; i < 9; i++) buckets.take(Address.parse(one), 1000);
      assert.equal(buckets.take(Address.parse(other), 1000), true, `${other} after ${one}`);
    }
  });

  test("scrapes take from the same bucket", async () => {
    const { hooks, passing } = await workers();
    const request = new ScrapeRequest(1);
    request.address.copyFrom(Address.parse("192.0.2.1"));
    const scrape = () => hooks[0].handleScrape!(request, new ScrapeResponse(1), new RequestContext());
    for (let i = 0; i < 3; i++) assert.equal(scrape(), undefined);
    assert.equal(passing("192.0.2.1", 9), 2);
    assert.equal(scrape(), rateLimited);
  });

  test("exempt networks are not limited", async () => {
    const { passing } = await workers({ exempt: ["192.0.2.0/24", "2001:db8::/32"] });
    assert.equal(passing("192.0.2.1", 100), 100);
    assert.equal(passing("2001:db8::1", 100), 100);
    assert.equal(passing("198.51.100.1", 100), 5);
  });

  test("a flood of addresses takes nothing from anybody", () => {
    const buckets = new Buckets(new SharedArrayBuffer(bucketBytes(1024)), 1, 5);
    const random = createRandom(3);
    const address = new Address();
    const stranger = (n: number) => {
      address.words[0] = random.next();
      assert.equal(buckets.take(address, 1000), true, `stranger ${n}, who has come for the first time`);
    };
    for (let n = 0; n < 200_000; n++) stranger(n);
    assert.equal(buckets.take(Address.parse("192.0.2.1"), 1000), true);
  });

  test("each address has its own bucket, up to the configured number", () => {
    const memory = new SharedArrayBuffer(bucketBytes(65_536));
    // Fixed keys: for some draws, two of the addresses are one for the table.
    new Int32Array(memory).set(seededKeys(2 * networkKeys, createRandom(1)));
    const buckets = new Buckets(memory, 0.001, 1);
    const address = new Address();
    let forgotten = 0;
    for (const pass of [1, 2]) {
      for (let n = 0; n < 32_768; n++) {
        address.words[0] = n * 65_537;
        const taken = buckets.take(address, 1000);
        if (pass === 1) assert.equal(taken, true);
        else if (taken) forgotten++;
      }
    }
    assert.ok(forgotten < 32_768 * 0.05, `${forgotten} of a table that is half full`);
  });
});
