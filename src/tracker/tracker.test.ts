import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { findFreePort } from "../../test/e2e/ports.ts";
import { announceQuery, FakeStore, httpOptions, RawClient } from "../../test/fixtures/http-server.ts";
import { udpOptions } from "../../test/support/udp.ts";
import type { FrontendUse } from "../frontend/define-frontend.ts";
import { http } from "../frontend/http/index.ts";
import { udp } from "../frontend/udp/index.ts";
import type { Hook } from "../middleware/hook.ts";
import { type Logger, silentLogger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { useFrontend } from "./create-tracker.ts";
import { Tracker, type TrackerSettings } from "./tracker.ts";

const anyPort = [{ host: "127.0.0.1", port: 0 }];
const never = new AbortController().signal;

/** Uses both built-in frontends. */
function both(httpGiven = httpOptions, udpGiven = udpOptions): FrontendUse[] {
  return [useFrontend(http, httpGiven), useFrontend(udp, udpGiven)];
}

/** A tracker that writes down what is started and stopped, and how many listeners of HTTP are open then. */
class Recording {
  readonly events: string[] = [];
  readonly errors: string[] = [];
  readonly tracker: Tracker;

  constructor(settings: Partial<TrackerSettings> = {}, hooks: readonly string[] = []) {
    const store = Object.assign(new FakeStore(), this.#recorded("store"));
    const logger: Logger = {
      ...silentLogger,
      error: (fields, message) => this.errors.push(`${fields.part}: ${message}`),
    };
    const parts = { store, clock: { seconds: 1, unixSeconds: 1 }, metrics: new Metrics(), logger };
    this.tracker = new Tracker(
      this.settings({ preHooks: hooks.map((name) => this.hook(name)), ...settings }),
      parts,
    );
  }

  settings(changes: Partial<TrackerSettings> = {}): TrackerSettings {
    return {
      interval: 1800,
      minInterval: 900,
      preHooks: [],
      postHooks: [],
      frontends: both({ ...httpOptions, listen: anyPort }),
      ...changes,
    };
  }

  hook(name: string, more: Partial<Hook> = {}): Hook {
    return { name, ...this.#recorded(name), ...more };
  }

  #recorded(name: string): { start(): void; stop(): void } {
    const record = (event: string) => {
      const listening = this.tracker.urls().some((url) => url.startsWith("http:"));
      this.events.push(`${event} ${name}${listening ? " while listening" : ""}`);
    };
    return { start: () => record("start"), stop: () => record("stop") };
  }

  /** Starts it, and stops it with the test. @returns a client, connected */
  async serve(t: TestContext): Promise<RawClient> {
    await this.tracker.start();
    t.after(() => this.tracker.stop(AbortSignal.abort()));
    return new RawClient(t, this.port);
  }

  get port(): number {
    return Number(new URL(this.tracker.urls()[0] ?? "").port);
  }
}

const target = `/announce?${announceQuery()}`;

async function interval(client: RawClient): Promise<number> {
  return Number(/8:intervali(\d+)e/.exec((await client.get(target)).body)?.[1]);
}

const failing = (message: string) => () => Promise.reject(new Error(message));

test("the store starts first and stops last, and nothing is served without the hooks", async () => {
  const { tracker, events } = new Recording({}, ["first", "second"]);
  assert.equal(tracker.isServing, false);
  await tracker.start();
  assert.equal(tracker.isServing, true);
  assert.deepEqual(
    tracker.urls().map((url) => url.replace(/\d+$/, "PORT")),
    ["http://127.0.0.1:PORT", "udp://127.0.0.1:PORT"],
  );
  const stopped = tracker.stop(never);
  assert.equal(tracker.isServing, false);
  await stopped;
  assert.deepEqual(events, [
    "start store",
    "start first",
    "start second",
    "stop first",
    "stop second",
    "stop store",
  ]);
});

test("before its start a tracker cannot be reloaded", async () => {
  const recording = new Recording();
  const settings = recording.settings({ preHooks: [recording.hook("new")] });
  await assert.rejects(recording.tracker.reload(settings), { message: "the tracker is not running" });
  assert.deepEqual(recording.events, ["start new", "stop new"]);
});

test("stop is idempotent: who calls it again waits for the same end", async () => {
  const recording = new Recording({}, ["hook"]);
  await recording.tracker.stop(never);
  await recording.tracker.start();
  await Promise.all([recording.tracker.stop(never), recording.tracker.stop(never)]);
  await recording.tracker.stop(never);
  assert.deepEqual(recording.events, ["start store", "start hook", "stop hook", "stop store"]);
});

test("an address in use stops the frontend before it, the hooks and the store", async (t) => {
  const taken = new Recording();
  await taken.serve(t);
  const port = Number(new URL(taken.tracker.urls()[1] ?? "").port);
  const httpPort = await findFreePort();

  const recording = new Recording(
    {
      frontends: both(
        { ...httpOptions, listen: [{ host: "127.0.0.1", port: httpPort }] },
        { ...udpOptions, listen: [{ host: "127.0.0.1", port }] },
      ),
    },
    ["hook"],
  );
  await assert.rejects(recording.tracker.start(), {
    message: new RegExp(`^cannot listen on udp://127\\.0\\.0\\.1:${port}: the address is in use`),
  });
  assert.equal(recording.tracker.isServing, false);
  assert.deepEqual(recording.events, ["start store", "start hook", "stop hook", "stop store"]);
  await assert.rejects(new RawClient(t, httpPort).get(target), /ended/);
});

test("a hook that does not start stops all hooks, and nothing is served", async () => {
  const recording = new Recording();
  const hooks = [
    recording.hook("good"),
    recording.hook("bad", { start: failing("no such list") }),
    recording.hook("late"),
  ];
  const { tracker, events } = new Recording({ preHooks: hooks });
  await assert.rejects(tracker.start(), { message: "bad: no such list" });
  // Hooks that were not started stop too, because `create` may have opened something.
  assert.deepEqual(recording.events, ["start good", "stop good", "stop bad", "stop late"]);
  assert.deepEqual(events, ["start store", "stop store"]);
  assert.deepEqual(tracker.urls(), []);
});

test("a reload starts new hooks before it stops the old, and closes nothing", async (t) => {
  const recording = new Recording({}, ["old"]);
  const client = await recording.serve(t);
  assert.equal(await interval(client), 1800);
  const port = recording.port;
  const settings = recording.settings({ interval: 60, preHooks: [recording.hook("new")] });
  await recording.tracker.reload(settings);
  assert.equal(await interval(client), 60);
  assert.equal(recording.port, port);
  assert.deepEqual(recording.events.slice(2), ["start new while listening", "stop old while listening"]);
});

test("a hook that a reload keeps goes on: it is neither started again nor stopped", async (t) => {
  const recording = new Recording();
  const kept = recording.hook("kept");
  const both = { preHooks: [kept], postHooks: [kept] };
  await recording.serve(t);
  await recording.tracker.reload(recording.settings(both));
  await recording.tracker.reload(recording.settings({ ...both, interval: 60 }));
  assert.deepEqual(recording.events.slice(1), ["start kept while listening"]);
  await recording.tracker.stop(never);
  assert.deepEqual(recording.events.slice(2), ["stop kept", "stop store"]);
});

const notAround = () => {
  throw new Error("no");
};

for (const [what, change] of [
  ["a hook that does not start", { postHooks: [{ name: "bad", start: failing("refused") }] }],
  ["a route that cannot be used", { http: { announceRoutes: ["no slash"] } }],
  ["a route of UDP that cannot be used", { udp: { ...udpOptions, announceRoutes: ["no slash"] } }],
  ["a hook that cannot be put around the store", { more: { aroundAnnounce: notAround } }],
  ["a network that cannot be used", { http: { trustedProxies: ["nonsense"] } }],
] as const) {
  test(`${what} makes a reload change nothing`, async (t) => {
    const recording = new Recording({}, ["old"]);
    const client = await recording.serve(t);
    const given = { more: {}, http: {}, udp: udpOptions, ...change };
    const { more, http: httpChange, udp: udpChange, ...changed } = given;
    const frontends = both({ ...httpOptions, defaultNumWant: 1, ...httpChange }, udpChange);
    const preHooks = [recording.hook("new", more)];
    const settings = recording.settings({ interval: 60, preHooks, frontends, ...changed });
    await assert.rejects(recording.tracker.reload(settings));
    assert.deepEqual(recording.events.slice(2), ["start new while listening", "stop new while listening"]);
    assert.equal(await interval(client), 1800);
    await recording.tracker.reload(recording.settings({ interval: 70 }));
    assert.equal(await interval(client), 70);
    assert.equal(recording.events.at(-1), "stop old while listening");
  });
}

test("a request that waits finishes with the old hooks, which are stopped after it", async (t) => {
  const recording = new Recording();
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const stopped = Promise.withResolvers<void>();
  const waiting = recording.hook("waiting", {
    async handleAnnounce(_request, response) {
      entered.resolve();
      await gate.promise;
      response.interval += 7;
    },
    stop() {
      recording.events.push("stop waiting");
      stopped.resolve();
    },
  });
  const client = await recording.serve(t);
  await recording.tracker.reload(recording.settings({ preHooks: [waiting] }));
  const answer = interval(client);
  await entered.promise;
  const second = new RawClient(t, recording.port);

  await recording.tracker.reload(recording.settings({ interval: 60 }));
  assert.equal(await interval(second), 60);
  assert.ok(!recording.events.includes("stop waiting"));
  gate.resolve();
  assert.equal(await answer, 1807);
  await stopped.promise;
});

test("stop waits for requests under way, also for those in hooks before a reload, until the deadline", async (t) => {
  for (const isInTime of [true, false]) {
    const gate = Promise.withResolvers<void>();
    const entered = Promise.withResolvers<void>();
    const handleAnnounce = async () => {
      entered.resolve();
      await gate.promise;
    };
    const recording: Recording = new Recording({}, []);
    const client = await recording.serve(t);
    await recording.tracker.reload(
      recording.settings({ preHooks: [recording.hook("waiting", { handleAnnounce })] }),
    );
    const answer = interval(client).catch(() => "none");
    await entered.promise;
    await recording.tracker.reload(recording.settings({ preHooks: [recording.hook("new")] }));
    const deadline = new AbortController();
    const { port } = recording;
    const stopped = recording.tracker.stop(deadline.signal);
    await assert.rejects(new RawClient(t, port).get(target), /ended/);
    assert.ok(!recording.events.includes("stop store"));
    if (isInTime) gate.resolve();
    else deadline.abort();
    client.socket.end();
    await stopped;
    assert.equal(await answer, isInTime ? 1800 : "none");
    assert.deepEqual(recording.events.slice(3).sort(), ["stop new", "stop store", "stop waiting"]);
  }
});

test("a reload that is overtaken by stop starts nothing that is not stopped", async (t) => {
  const recording = new Recording({}, ["old"]);
  await recording.serve(t);
  const gate = Promise.withResolvers<void>();
  const slow = recording.hook("slow", { start: () => gate.promise });
  const reloaded = recording.tracker.reload(recording.settings({ preHooks: [slow] }));
  await recording.tracker.stop(never);
  gate.resolve();
  await assert.rejects(reloaded, { message: "the tracker is not running" });
  assert.deepEqual(recording.events.slice(2), ["stop old", "stop store", "stop slow"]);
});

test("a part that fails to stop is logged, and the other parts stop too", async () => {
  const recording: Recording = new Recording();
  const bad = recording.hook("bad", { stop: failing("stuck") });
  await recording.tracker.start();
  await recording.tracker.reload(
    recording.settings({ preHooks: [bad], postHooks: [recording.hook("good")] }),
  );
  await recording.tracker.stop(never);
  assert.deepEqual(recording.errors, ["bad: failed to stop"]);
  assert.deepEqual(recording.events.slice(-2), ["stop good", "stop store"]);
});

test("a hook that never ends its stop is given up at the deadline", async () => {
  const recording: Recording = new Recording();
  const entered = Promise.withResolvers<void>();
  const stuck: Hook = {
    name: "stuck",
    stop() {
      entered.resolve();
      return new Promise(() => {});
    },
  };
  await recording.tracker.start();
  await recording.tracker.reload(recording.settings({ preHooks: [stuck] }));
  const deadline = new AbortController();
  const stopped = recording.tracker.stop(deadline.signal);
  await entered.promise;
  assert.ok(!recording.events.includes("stop store"));
  deadline.abort();
  await stopped;
  assert.ok(recording.events.includes("stop store"));
});
