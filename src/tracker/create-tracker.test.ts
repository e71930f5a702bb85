import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { announceQuery, RawClient } from "../../test/fixtures/http-server.ts";
import type { Hook } from "../middleware/hook.ts";
import { createTracker, type EmbeddedTracker } from "./create-tracker.ts";

const http = { listen: [{ host: "127.0.0.1", port: 0 }] };

/** A hook whose start waits for `gate`, with a record of its calls. */
class Gated implements Hook {
  readonly name = "gated";
  readonly events: string[] = [];
  readonly #gate = Promise.withResolvers<void>();
  readonly #entered = Promise.withResolvers<void>();

  /** Resolves when it is being started. */
  readonly entered: Promise<void> = this.#entered.promise;

  start(): Promise<void> {
    this.events.push("start");
    this.#entered.resolve();
    return this.#gate.promise;
  }

  stop(): void {
    this.events.push("stop");
  }

  open(): void {
    this.#gate.resolve();
  }
}

async function announce(t: TestContext, tracker: EmbeddedTracker): Promise<string> {
  const client = new RawClient(t, Number(new URL(tracker.urls()[0]!).port));
  return (await client.get(`/announce?${announceQuery()}`)).body;
}

test("reloads that are not awaited run one after the other, and none loses the changes of another", async (t) => {
  const tracker = createTracker({ http, udp: false });
  await tracker.start();
  t.after(() => tracker.stop());
  const hook = new Gated();
  const reloads = [
    tracker.reload({ interval: 60, preHooks: [hook] }),
    tracker.reload({ minInterval: 30, preHooks: [hook] }),
  ];
  hook.open();
  await Promise.all(reloads);
  assert.match(await announce(t, tracker), /8:intervali60e12:min intervali30e/);
  assert.deepEqual(hook.events, ["start"]);
});

test("what a reload cannot change is named, time and again, and goes on as it is", async (t) => {
  const tracker = createTracker({ http, udp: { listen: [{ host: "127.0.0.1", port: 0 }] } });
  await tracker.start();
  t.after(() => tracker.stop());
  const urls = tracker.urls();
  const listen = [{ host: "127.0.0.1", port: 1 }];
  const moved = { http: { ...http, listen }, udp: { listen, privateKey: "x", receiveBuffer: 65_536 } };
  for (let time = 0; time < 2; time++) {
    assert.deepEqual(await tracker.reload({ http: false, udp: false }), ["http", "udp"]);
    const later = ["http.addr", "udp.addr", "udp.private_key", "udp.receive_buffer"];
    assert.deepEqual(await tracker.reload({ ...moved, interval: 60 }), later);
  }
  assert.deepEqual(tracker.urls(), urls);
  assert.match(await announce(t, tracker), /8:intervali60e/);
  assert.deepEqual(await tracker.reload({ http, udp: {} }), ["udp.addr"]);
});

test("a reload that is refused does not stand in the way of the next", async (t) => {
  const tracker = createTracker({ http, udp: false });
  await tracker.start();
  t.after(() => tracker.stop());
  const refused = tracker.reload({ interval: 60, http: { ...http, announceRoutes: ["no slash"] } });
  const taken = tracker.reload({ minInterval: 30 });
  await assert.rejects(refused);
  await taken;
  assert.match(await announce(t, tracker), /8:intervali1800e12:min intervali30e/);
});

test("stop waits for a start under way, and then nothing is served", async () => {
  const hook = new Gated();
  const tracker = createTracker({ http, udp: false, preHooks: [hook] });
  const started = tracker.start();
  await hook.entered;
  const stopped = tracker.stop();
  hook.open();
  await Promise.all([started, stopped]);
  assert.equal(tracker.isServing, false);
  assert.deepEqual(hook.events, ["start", "stop"]);
});

test("a tracker is started once, also where two ask at once", async (t) => {
  const tracker = createTracker({ http, udp: false });
  const asked = [tracker.start(), tracker.start()];
  t.after(() => tracker.stop());
  await assert.rejects(asked[1]!, { message: "the tracker has been started before" });
  await asked[0];
  assert.equal(tracker.isServing, true);
});

for (const option of ["fifoAdd", "fifoDelete"] as const)
  test(`${option} of http.opentracker is refused, at the start and in a reload`, async (t) => {
    const piped = { ...http, opentracker: { [option]: "/nowhere/pipe" } };
    const refusal = {
      message: "http.opentracker: only the program chihaya can read the pipes of fifoAdd and fifoDelete",
    };
    await assert.rejects(createTracker({ http: piped, udp: false }).start(), refusal);
    const tracker = createTracker({ http, udp: false });
    await tracker.start();
    t.after(() => tracker.stop());
    await assert.rejects(tracker.reload({ http: piped }), refusal);
    await tracker.reload({ http: { ...http, opentracker: { [option]: "" } } });
  });
