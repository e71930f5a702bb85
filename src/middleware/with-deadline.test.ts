import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import { ClientError, overloadedError } from "../bittorrent/client-error.ts";
import { PeerList } from "../bittorrent/peer-list.ts";
import { Metrics } from "../observability/metrics.ts";
import { type Hook, type HookResult, RequestContext } from "./hook.ts";
import { withDeadline } from "./with-deadline.ts";

const refused = new ClientError("not today");

/** A hook with limits of 2 s and 3 requests, whose results the test supplies. */
function setUp(metrics = new Metrics(), timeout = 2) {
  const asked: { context: RequestContext; answer: PromiseWithResolvers<HookResult> }[] = [];
  const hook: Hook = {
    name: "slow",
    handleAnnounce(_request, _response, context) {
      const answer = Promise.withResolvers<HookResult>();
      asked.push({ context, answer });
      return answer.promise;
    },
  };
  const limited = withDeadline(hook, { timeout, maxInFlight: 3 }, metrics);
  const request = new AnnounceRequest();
  const response = new AnnounceResponse(
    new PeerList(4, new Uint8Array(0)),
    new PeerList(6, new Uint8Array(0)),
  );
  const announce = (context = new RequestContext()) => limited.handleAnnounce!(request, response, context);
  const metric = (name: string, reason?: string) => {
    const family = metrics.snapshot().find((one) => one.name === name);
    return family?.series.find(({ labels }) => labels.reason === reason)?.values[0];
  };
  return { announce, asked, metric };
}

describe("a hook with limits", () => {
  test("a result within the deadline is passed on", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { announce, asked, metric } = setUp();
    const answers = [announce(), announce(), announce()];
    assert.equal(metric("chihaya_hook_requests_in_flight"), 3);
    asked[0]!.answer.resolve(undefined);
    asked[1]!.answer.resolve(refused);
    asked[2]!.answer.reject(new TypeError("broken"));
    assert.equal(await answers[0], undefined);
    assert.equal(await answers[1], refused);
    await assert.rejects(answers[2] as Promise<HookResult>, /broken/);
    assert.equal(metric("chihaya_hook_requests_in_flight"), 0);
  });

  test("past its deadline a request is refused, its signal aborted, and it stays the hook's", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { announce, asked, metric } = setUp();
    const context = new RequestContext();
    const answer = announce(context) as Promise<HookResult>;
    const { signal } = asked[0]!.context;
    t.mock.timers.tick(1999);
    assert.equal(signal.aborted, false);
    t.mock.timers.tick(1);
    assert.equal((await answer)!.code, "hook-timeout");
    assert.equal(signal.aborted, true);
    assert.equal(context.isKept, true);
    assert.equal(metric("chihaya_hook_refusals_total", "timeout"), 1);
    asked[0]!.answer.reject(new Error("too late for anybody"));
  });

  test("a deadline that is longer than a timer can be does not pass at once", async (t) => {
    const timer = t.mock.method(globalThis, "setTimeout");
    const { announce, asked } = setUp(new Metrics(), Number.POSITIVE_INFINITY);
    const answer = announce();
    assert.equal(timer.mock.calls[0]!.arguments[1], 2 ** 31 - 1);
    asked[0]!.answer.resolve(undefined);
    assert.equal(await answer, undefined);
  });

  test("a hook that asks for its signal past the deadline gets one that is aborted", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { announce, asked } = setUp();
    const answer = announce() as Promise<HookResult>;
    t.mock.timers.tick(2000);
    await answer;
    assert.equal(asked[0]!.context.signal.aborted, true);
  });

  test("while as many wait as may, the next are refused without being shown to the hook", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { announce, asked, metric } = setUp();
    const waiting = [announce(), announce(), announce()];
    assert.equal(announce(), overloadedError);
    assert.equal(asked.length, 3);
    assert.equal(metric("chihaya_hook_refusals_total", "overloaded"), 1);
    asked[1]!.answer.resolve(undefined);
    await waiting[1];
    assert.ok(announce() instanceof Promise);
  });

  test("requests that wait for hooks of one name are counted together, also after one that was never used", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const metrics = new Metrics();
    const [one, other] = [setUp(metrics), setUp(metrics)];
    setUp(metrics);
    void one.announce();
    void other.announce();
    assert.equal(one.metric("chihaya_hook_requests_in_flight"), 2);
  });

  test("100,000 requests that hang, fail or end too late leave nothing behind", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { announce, asked, metric } = setUp();
    let refusals = 0;
    for (let round = 0; round < 25_000; round++) {
      const answers = [announce(), announce(), announce(), announce()];
      assert.equal(answers[3], overloadedError);
      const [failing, late, hanging] = asked.splice(0);
      failing!.answer.reject(new Error("on purpose"));
      await assert.rejects(answers[0] as Promise<HookResult>, /on purpose/);
      t.mock.timers.tick(2000);
      for (const settled of await Promise.allSettled(answers)) {
        if (settled.status === "rejected" || settled.value instanceof ClientError) refusals++;
      }
      late!.answer.resolve(undefined);
      assert.ok(hanging);
    }
    assert.equal(refusals, 100_000);
    assert.equal(metric("chihaya_hook_requests_in_flight"), 0);
    assert.equal(metric("chihaya_hook_refusals_total", "timeout"), 50_000);
    assert.equal(metric("chihaya_hook_refusals_total", "overloaded"), 25_000);
  });
});
