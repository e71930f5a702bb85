import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClientError, internalError } from "../bittorrent/client-error.ts";
import { composeChain } from "./chain.ts";
import { ContextKey, type HookResult, RequestContext } from "./hook.ts";

const refused = new ClientError("not today");

/** A log of the links that ran, as request. */
type Log = string[];

function link(name: string, handle: () => HookResult | Promise<HookResult> = () => undefined) {
  return {
    name,
    handle: (log: Log) => {
      log.push(name);
      return handle();
    },
  };
}

/** Runs a chain. Returns its result, the links that ran, whether it was synchronous, and the reported errors. */
async function run(...links: ReturnType<typeof link>[]) {
  const log: Log = [];
  const reports: [string, unknown][] = [];
  const chain = composeChain<Log, undefined>(links, (where, error) => reports.push([where, error]));
  const outcome = chain(log, undefined, new RequestContext());
  const isSync = !(outcome instanceof Promise);
  const ranAtOnce = [...log];
  return { outcome: await outcome, isSync, log, ranAtOnce, reports };
}

const later = (result?: ClientError) => () => Promise.resolve(result);
const fail = (error: unknown) => () => {
  throw error;
};

describe("chain", () => {
  test("nothing refuses nothing", async () => {
    const { outcome, isSync } = await run();
    assert.deepEqual([outcome, isSync], [undefined, true]);
  });

  test("links run in their order and stay synchronous", async () => {
    const { outcome, isSync, log, reports } = await run(link("a"), link("b"), link("c"));
    assert.deepEqual([outcome, isSync, log, reports], [undefined, true, ["a", "b", "c"], []]);
  });

  for (const [how, handle] of [
    ["returned", () => true],
    ["promised", () => Promise.resolve("no")],
  ] as const) {
    test(`a value that is no result is a failure of the hook: ${how}`, async () => {
      const { outcome, log, reports } = await run(
        link("a", handle as unknown as () => HookResult),
        link("b"),
      );
      assert.equal(outcome, internalError);
      assert.deepEqual(log, ["a"]);
      assert.deepEqual(
        reports.map(([where, error]) => [where, (error as Error).message]),
        [["a", "a hook must return a ClientError or nothing"]],
      );
    });
  }

  const refusals: [string, () => HookResult | Promise<HookResult>, boolean][] = [
    ["returned", () => refused, true],
    ["thrown", fail(refused), true],
    ["promised", later(refused), false],
    ["rejected with", () => Promise.reject(refused), false],
  ];
  for (const [how, handle, sync] of refusals) {
    test(`the first refusal ends it: ${how}`, async () => {
      const { outcome, isSync, log, reports } = await run(link("a"), link("b", handle), link("c"));
      assert.equal(outcome, refused);
      assert.deepEqual([isSync, log, reports], [sync, ["a", "b"], []]);
    });

    test(`after a link that waits, the first refusal ends it: ${how}`, async () => {
      const links = [link("a", later()), link("b", handle), link("c")];
      const { outcome, isSync, log, reports } = await run(...links);
      assert.equal(outcome, refused);
      assert.deepEqual([isSync, log, reports], [false, ["a", "b"], []]);
    });
  }

  test("it waits only from the first promise on", async () => {
    const links = [link("a"), link("b", later()), link("c"), link("d", later()), link("e")];
    const { outcome, isSync, log, ranAtOnce } = await run(...links);
    assert.deepEqual([outcome, isSync, ranAtOnce], [undefined, false, ["a", "b"]]);
    assert.deepEqual(log, ["a", "b", "c", "d", "e"]);
  });

  const bug = new Error("bug");
  const failures: [string, () => HookResult | Promise<HookResult>, boolean][] = [
    ["thrown", fail(bug), true],
    ["rejected with", () => Promise.reject(bug), false],
  ];
  for (const [how, handle, sync] of failures) {
    test(`anything else is an internal error, and reported: ${how}`, async () => {
      const { outcome, isSync, log, reports } = await run(link("a"), link("b", handle), link("c"));
      assert.equal(outcome, internalError);
      assert.deepEqual([isSync, log, reports], [sync, ["a", "b"], [["b", bug]]]);
    });

    test(`after a link that waits, the link that failed is named: ${how}`, async () => {
      const links = [link("a", later()), link("b"), link("c", handle), link("d")];
      const { outcome, log, reports } = await run(...links);
      assert.equal(outcome, internalError);
      assert.deepEqual([log, reports], [["a", "b", "c"], [["c", bug]]]);
    });
  }
});

describe("request context", () => {
  test("keys are themselves, not their names", () => {
    const [one, two] = [new ContextKey<number>("same"), new ContextKey<number>("same")];
    const context = new RequestContext();
    context.set(one, 1);
    assert.deepEqual([context.get(one), context.get(two)], [1, undefined]);
  });

  test("reset forgets values and skips", () => {
    const key = new ContextKey<string>("key");
    const context = new RequestContext();
    context.set(key, "value");
    context.skipResponse = context.skipSwarm = true;
    context.reset();
    assert.deepEqual([context.get(key), context.skipResponse, context.skipSwarm], [undefined, false, false]);
  });
});
