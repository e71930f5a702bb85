import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { announceRequest, announceResponse } from "../../test/support/requests.ts";
import type { AnnounceRequest } from "../bittorrent/announce.ts";
import { ClientError, internalError } from "../bittorrent/client-error.ts";
import { AnnounceEvent } from "../bittorrent/event.ts";
import { ScrapeRequest, ScrapeResponse } from "../bittorrent/scrape.ts";
import { type PeerStore, Step } from "../storage/peer-store.ts";
import { ContextKey, type Hook, type HookResult, RequestContext } from "./hook.ts";
import { type LogicSettings, TrackerLogic } from "./logic.ts";

const refused = new ClientError("not today");
const bug = new Error("bug");

type Kind = "Announce" | "Scrape";
const kinds: readonly Kind[] = ["Announce", "Scrape"];

/** A logic over a store that only notes what it is asked. */
class Bench {
  readonly log: string[] = [];
  readonly reports: [string, unknown][] = [];
  readonly request = announceRequest("00000000000000000001", "-TEST01-6wfG2wk6wWLc");
  readonly response = announceResponse();
  readonly scrapeRequest = new ScrapeRequest(1);
  readonly scrapeResponse = new ScrapeResponse(1);
  readonly context = new RequestContext();
  readonly logic: TrackerLogic;

  constructor(settings: Partial<LogicSettings>, answer: () => void | Promise<void> = () => {}) {
    const store = {
      announce: (_: unknown, __: unknown, step: Step) => {
        this.log.push(`store ${step}`);
        return answer();
      },
      scrape: () => {
        this.log.push("store scrape");
        return answer();
      },
    } as unknown as PeerStore;
    const report = (where: string, error: unknown) => this.reports.push([where, error]);
    this.logic = new TrackerLogic(store, withDefaults(settings), report);
    this.scrapeRequest.add(this.request.infoHash, 0);
  }

  hook(name: string, handle: (context: RequestContext) => HookResult | Promise<HookResult> = () => {}): Hook {
    const run = (_: unknown, __: unknown, context: RequestContext) => {
      this.log.push(name);
      return handle(context);
    };
    return { name, handleAnnounce: run, handleScrape: run };
  }

  handle(kind: Kind) {
    return kind === "Announce"
      ? this.logic.handleAnnounce(this.request, this.response, this.context)
      : this.logic.handleScrape(this.scrapeRequest, this.scrapeResponse, this.context);
  }

  after(kind: Kind): void {
    if (kind === "Announce") this.logic.afterAnnounce(this.request, this.response, this.context);
    else this.logic.afterScrape(this.scrapeRequest, this.scrapeResponse, this.context);
  }

  use(settings: Partial<LogicSettings>): Promise<void> {
    return this.logic.update(withDefaults(settings));
  }
}

function withDefaults(settings: Partial<LogicSettings>): LogicSettings {
  return { interval: 1800, minInterval: 900, preHooks: [], postHooks: [], ...settings };
}

/** Whether a promise has settled by now, when everything that could run has run. */
async function hasSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => {
    settled = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

for (const kind of kinds) {
  const storeStep = kind === "Announce" ? `store ${Step.both}` : "store scrape";

  describe(kind.toLowerCase(), () => {
    test("prehooks run in order, then the store, at once", () => {
      const bench = new Bench({});
      void bench.use({ preHooks: [bench.hook("a"), bench.hook("b")] });
      assert.equal(bench.handle(kind), undefined);
      assert.deepEqual(bench.log, ["a", "b", storeStep]);
    });

    test("a hook that has no part in it is left out", () => {
      const bench = new Bench({ preHooks: [{ name: "idle" }], postHooks: [{ name: "idle" }] });
      assert.equal(bench.handle(kind), undefined);
      bench.after(kind);
      assert.deepEqual([bench.log, bench.reports], [[storeStep], []]);
    });

    test("a hook is called as a method of its own", () => {
      class Counting implements Hook {
        readonly name = "counting";
        count = 0;
        handleAnnounce(): void {
          this.count++;
        }
        handleScrape(): void {
          this.count++;
        }
      }
      const hook = new Counting();
      const bench = new Bench({ preHooks: [hook], postHooks: [hook] });
      void bench.handle(kind);
      bench.after(kind);
      assert.equal(hook.count, 2);
    });

    for (const [how, handle] of [
      ["returned", () => refused],
      ["thrown", () => assert.fail(refused)],
      ["promised", async () => refused],
    ] as const) {
      test(`a refusal keeps the request from the store: ${how}`, async () => {
        const bench = new Bench({});
        void bench.use({ preHooks: [bench.hook("a", handle), bench.hook("b")] });
        assert.equal(await bench.handle(kind), refused);
        assert.deepEqual([bench.log, bench.reports], [["a"], []]);
      });
    }

    test("a prehook that fails is named in the report", async () => {
      for (const handle of [() => assert.fail(bug), () => Promise.reject(bug)]) {
        const bench = new Bench({});
        void bench.use({ preHooks: [bench.hook("a"), bench.hook("b", handle)] });
        assert.equal(await bench.handle(kind), internalError);
        assert.deepEqual([bench.log, bench.reports], [["a", "b"], [["b", bug]]]);
      }
    });

    test("a store that fails is an internal error, and reported", async () => {
      const preHooks: ((bench: Bench) => Hook[])[] = [() => [], (bench) => [bench.hook("a", async () => {})]];
      for (const hooks of preHooks) {
        for (const answer of [() => assert.fail(bug), () => Promise.reject(bug)]) {
          const bench = new Bench({}, answer);
          void bench.use({ preHooks: hooks(bench) });
          assert.equal(await bench.handle(kind), internalError);
          assert.deepEqual(bench.reports, [["storage", bug]]);
        }
      }
    });

    test("a store that refuses with a client error says so to the client, and to nobody else", async () => {
      const throwing = (): never => {
        throw refused;
      };
      for (const answer of [() => Promise.reject(refused), throwing]) {
        const bench = new Bench({}, answer);
        void bench.use({});
        assert.equal(await bench.handle(kind), refused);
        assert.deepEqual(bench.reports, []);
      }
    });

    test("a hook that waits delays the rest", async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const bench = new Bench({});
      void bench.use({ preHooks: [bench.hook("a", () => promise), bench.hook("b")] });
      const outcome = bench.handle(kind);
      assert.ok(outcome instanceof Promise);
      assert.equal(await hasSettled(outcome), false);
      assert.deepEqual(bench.log, ["a"]);
      resolve();
      assert.equal(await outcome, undefined);
      assert.deepEqual(bench.log, ["a", "b", storeStep]);
    });

    test("a store that waits delays the response", async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const bench = new Bench({}, () => promise);
      const outcome = bench.handle(kind);
      assert.ok(outcome instanceof Promise);
      assert.equal(await hasSettled(outcome), false);
      resolve();
      assert.equal(await outcome, undefined);
    });

    test("skips are obeyed, and last for one request", () => {
      const bench = new Bench({});
      let [skipResponse, skipSwarm] = [false, false];
      const hook = bench.hook("a", (context) => {
        if (skipResponse) context.skipResponse = true;
        if (skipSwarm) context.skipSwarm = true;
      });
      void bench.use({ preHooks: [hook] });
      const steps: Record<Kind, string[][]> = {
        Announce: [[`store ${Step.both}`], [`store ${Step.select}`], [`store ${Step.apply}`], []],
        Scrape: [["store scrape"], ["store scrape"], [], []],
      };
      for (let round = 0; round < 8; round++) {
        skipResponse = (round & 2) !== 0;
        skipSwarm = (round & 1) !== 0;
        bench.log.length = 0;
        void bench.handle(kind);
        assert.deepEqual(
          bench.log.slice(1),
          steps[kind][round & 3],
          `response ${skipResponse}, swarm ${skipSwarm}`,
        );
      }
    });

    test("values go from prehook to posthook, and not to the next request", () => {
      const key = new ContextKey<number>("key");
      const seen: (number | undefined)[] = [];
      const bench = new Bench({});
      let value: number | undefined = 7;
      const set = bench.hook("a", (context) => {
        if (value !== undefined) context.set(key, value);
      });
      const get = bench.hook("b", (context) => {
        seen.push(context.get(key));
      });
      void bench.use({ preHooks: [set], postHooks: [get] });
      for (value of [7, undefined]) {
        void bench.handle(kind);
        bench.after(kind);
      }
      assert.deepEqual(seen, [7, undefined]);
    });

    test("posthooks run in order, and one that fails stops nothing else", async () => {
      const bench = new Bench({});
      const late = new Error("late");
      const postHooks = [
        bench.hook("a", () => assert.fail(bug)),
        bench.hook("b", () => Promise.reject(late)),
        bench.hook("c", () => refused),
        bench.hook("d"),
      ];
      void bench.use({ postHooks });
      assert.equal(bench.logic.hasPostHooks, true);
      void bench.handle(kind);
      assert.deepEqual(bench.log, [storeStep], "not before the response is out");
      bench.after(kind);
      assert.deepEqual(bench.log, [storeStep, "a", "b", "c", "d"]);
      await bench.logic.drained();
      assert.deepEqual(bench.reports, [
        ["a", bug],
        ["b", late],
      ]);
    });

    test("an update changes what comes, and drains what is under way", async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const bench = new Bench({});
      await bench.use({ preHooks: [bench.hook("old", () => promise), bench.hook("old end")] });
      const outcome = bench.handle(kind);
      const drained = bench.use({ preHooks: [bench.hook("new")] });
      const stopped = [bench.logic.drained(), bench.logic.drained()];
      assert.equal(bench.handle(kind), undefined);
      assert.deepEqual(bench.log, ["old", "new", storeStep]);
      for (const waiting of [drained, ...stopped]) assert.equal(await hasSettled(waiting), false);
      resolve();
      assert.equal(await outcome, undefined);
      assert.deepEqual(bench.log, ["old", "new", storeStep, "old end", storeStep]);
      await Promise.all([drained, ...stopped]);
    });

    test("a posthook that waits is drained too, by everyone who asks", async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const bench = new Bench({});
      await bench.use({ postHooks: [bench.hook("a", () => promise)] });
      void bench.handle(kind);
      bench.after(kind);
      const waits = [bench.logic.drained(), bench.logic.drained(), bench.use({})];
      for (const waiting of waits) assert.equal(await hasSettled(waiting), false);
      resolve();
      await Promise.all(waits);
      assert.equal(bench.logic.hasPostHooks, false);
    });
  });
}

for (const isAsynchronous of [false, true]) {
  test(`a peer that leaves the swarm still gets peers, with its own event${isAsynchronous ? ", from a store that waits" : ""}`, async () => {
    const steps: [number, AnnounceEvent][] = [];
    let failure: Error | undefined;
    const store = {
      announce({ event }: AnnounceRequest, _: unknown, step: Step) {
        steps.push([step, event]);
        if (failure !== undefined) throw failure;
        return isAsynchronous ? Promise.resolve() : undefined;
      },
    } as unknown as PeerStore;
    const leave: Hook = {
      name: "leave",
      handleAnnounce(_request, _response, context) {
        context.leaveSwarm = true;
      },
    };
    const logic = new TrackerLogic(store, withDefaults({ preHooks: [leave] }), () => undefined);
    const request = announceRequest("00000000000000000001", "-TEST01-6wfG2wk6wWLc");
    request.event = AnnounceEvent.completed;
    const announce = () => logic.handleAnnounce(request, announceResponse(), new RequestContext());
    assert.equal(await announce(), undefined);
    assert.deepEqual(steps, [
      [Step.apply, AnnounceEvent.stopped],
      [Step.select, AnnounceEvent.completed],
    ]);
    failure = new Error("the store is away");
    assert.equal(await announce(), internalError);
    assert.equal(request.event, AnnounceEvent.completed);
  });
}

test("an announce begins with the intervals of the settings and without counts", () => {
  const bench = new Bench({ interval: 60, minInterval: 30 });
  Object.assign(bench.response, { interval: 1, complete: 5, incomplete: 6, snatches: 7, warning: "old" });
  bench.response.peers4.count = bench.response.peers6.count = 1;
  bench.handle("Announce");
  const { interval, minInterval, complete, incomplete, snatches, warning, peers4, peers6 } = bench.response;
  assert.deepEqual(
    { interval, minInterval, complete, incomplete, snatches, warning },
    { interval: 60, minInterval: 30, complete: 0, incomplete: 0, snatches: 0, warning: undefined },
  );
  assert.deepEqual([peers4.count, peers6.count], [0, 0]);
  void bench.use({ interval: 61 });
  bench.handle("Announce");
  assert.equal(bench.response.interval, 61);
});

test("a scrape begins with zeros", () => {
  const bench = new Bench({});
  bench.scrapeResponse.set(0, 1, 2, 3, 4);
  bench.handle("Scrape");
  const rows = bench.scrapeResponse;
  assert.deepEqual([rows.complete(0), rows.incomplete(0), rows.snatches(0), rows.partial(0)], [0, 0, 0, 0]);
});
