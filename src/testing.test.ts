import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClientError } from "./bittorrent/client-error.ts";
import { defineHook } from "./middleware/define-hook.ts";
import { testHook } from "./testing.ts";

const full = new ClientError("too many members");
const unknown = new ClientError("unknown passkey");

interface Options {
  passkeys: string[];
}

const passkeys = defineHook<Options>({
  name: "passkeys",
  options: {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) => {
        const { passkeys } = value as Options;
        return Array.isArray(passkeys)
          ? { value: { passkeys } }
          : { issues: [{ message: "expected a list", path: ["passkeys"] }] };
      },
    },
  },
  create({ passkeys }, { metrics, logger, clock }) {
    if (passkeys.length > 2) throw full;
    const refused = metrics.counter("refused_total", "Refused");
    return {
      start: () => logger.info({ count: passkeys.length }, "ready"),
      handleAnnounce({ params }, response) {
        if (!passkeys.includes(params.get("passkey") ?? params.route("passkey") ?? "")) {
          refused.inc();
          return unknown;
        }
        response.interval = clock.seconds;
        return undefined;
      },
      handleScrape({ params }) {
        return passkeys.includes(params.get("passkey") ?? "") ? undefined : unknown;
      },
    };
  },
});

describe("a hook under test", () => {
  test("is made as in a tracker, with what it is given", async (t) => {
    const hook = await testHook(passkeys, { passkeys: ["x"] });
    t.after(() => hook.stop());
    assert.deepEqual(hook.log, [{ level: "info", message: "ready", fields: { hook: "passkeys", count: 1 } }]);
    hook.clock.seconds = 7;
    const answer = await hook.announce({ url: "/announce?passkey=x" });
    assert.equal(answer.refusal, undefined);
    assert.equal(answer.interval, 7);
    assert.equal((await hook.announce({ route: { passkey: "x" } })).refusal, undefined);
    assert.equal((await hook.announce()).refusal, unknown);
    assert.equal(hook.metric("refused_total"), 1);
    assert.throws(() => hook.metric("nothing_total"), /no metric nothing_total/);
  });

  test("has a store behind it", async (t) => {
    const hook = await testHook(passkeys, { passkeys: ["x"] });
    t.after(() => hook.stop());
    const url = "/announce?passkey=x";
    await hook.announce({ url, address: "192.0.2.1", port: 1, left: 0n });
    await hook.announce({ url, address: "2001:db8::1", port: 3 });
    const { peers, complete, incomplete } = await hook.announce({ url, address: "192.0.2.2", port: 2 });
    assert.deepEqual(peers, ["192.0.2.1:1", "[2001:db8::1]:3"]);
    assert.deepEqual([complete, incomplete], [1, 2]);
    const { torrents } = await hook.scrape(["aa".repeat(20), "bb".repeat(20)], { url: "/scrape?passkey=x" });
    assert.deepEqual(torrents, [
      { complete: 1, incomplete: 2, snatches: 0 },
      { complete: 0, incomplete: 0, snatches: 0 },
    ]);
    assert.equal((await hook.scrape()).refusal, unknown);
  });

  test("refuses wrong options, and what cannot be made", async () => {
    await assert.rejects(
      testHook(passkeys, { passkeys: 3 }),
      /^Error: passkeys: options\.passkeys: expected a list$/,
    );
    await assert.rejects(testHook(passkeys, { passkeys: ["a", "b", "c"] }), {
      message: "passkeys: too many members",
      cause: full,
    });
  });

  test("as a posthook it sees announces after their response, and its failure counts as one of the tracker", async () => {
    const seen: string[] = [];
    const broken = new Error("broken");
    const posthook = {
      name: "listener",
      async handleAnnounce({ port }: { port: number }) {
        await Promise.resolve();
        seen.push(`${port}`);
        throw broken;
      },
    };
    const gate = {
      name: "gate",
      start: () => void seen.push("gate starts"),
      stop: () => void seen.push("gate stops"),
      handleAnnounce: ({ port }: { port: number }) => (port === 1 ? full : undefined),
    };
    const hook = await testHook(posthook, undefined, { as: "posthook", before: [gate] });
    await hook.announce({ port: 1 });
    await hook.announce({ port: 2 });
    await hook.drained();
    assert.deepEqual(seen, ["gate starts", "2"]);
    assert.deepEqual(hook.failures, [{ where: "listener", error: broken }]);
    await hook.stop();
    assert.deepEqual(seen.slice(2), ["gate stops"]);
  });
});
