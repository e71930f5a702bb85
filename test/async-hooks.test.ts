/**
 * An asynchronous hook that hangs, fails, or answers when nobody waits any more, behind the real frontends: 100,000
 * requests leave nothing behind, the bounds hold, and a late answer touches no other request.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { AnnounceResponse } from "../src/bittorrent/announce.ts";
import { overloadedError } from "../src/bittorrent/client-error.ts";
import { Address } from "../src/ip/address.ts";
import type { Hook, HookResult, RequestContext } from "../src/middleware/hook.ts";
import type { LogicSettings } from "../src/middleware/logic.ts";
import { TrackerLogic } from "../src/middleware/logic.ts";
import { withDeadline } from "../src/middleware/with-deadline.ts";
import type { Connection, StreamHandler } from "../src/net/stream.ts";
import { Metrics } from "../src/observability/metrics.ts";
import { createAnnounceRequest, createConnectRequest, parseResponse } from "../src/protocol/udp/client.ts";
import { announceQuery, createHttpServer, FakeStore } from "./fixtures/http-server.ts";
import { heapInUse } from "./support/heap-growth.ts";
import { UdpInProcess } from "./support/udp-in-process.ts";

const requestsPerRound = 6;
const rounds = 17_000;
const warmUp = 2000;
const timeoutMs = 2000;

/** One announce that a hook holds. */
interface Held {
  response: AnnounceResponse;
  context: RequestContext;
  answer: PromiseWithResolvers<HookResult>;
}

/** A hook that does what the query says. */
function createHook() {
  const held: Held[] = [];
  const hook: Hook = {
    name: "slow",
    handleAnnounce({ params }, response, context) {
      if (params.get("do") === "fail") return Promise.reject(new Error("on purpose"));
      if (params.get("do") === "hang") return new Promise(() => undefined);
      const answer = Promise.withResolvers<HookResult>();
      held.push({ response, context, answer });
      return answer.promise;
    },
  };
  const metrics = new Metrics();
  const limited = withDeadline(hook, { timeout: timeoutMs / 1000, maxInFlight: 2 }, metrics);
  const metric = (name: string, reason?: string) =>
    metrics
      .snapshot()
      .find((family) => family.name === name)
      ?.series.find(({ labels }) => labels.reason === reason)?.values[0];
  return { held, limited, metric };
}

/** A frontend, as the test sees it. */
interface Driver {
  /** Announces; resolves with the interval, or why there is none. The client may be gone before the answer. */
  announce(what: string, isGone?: boolean): Promise<string>;
  /** Forgets what the test's own parts have written down. */
  clear(): void;
}

type Settings = Partial<LogicSettings>;

async function startHttp(_t: TestContext, settings: Settings): Promise<Driver> {
  let handler!: StreamHandler<unknown>;
  const listen = (options: { handler: unknown }) => {
    handler = options.handler as StreamHandler<unknown>;
    return Promise.resolve({ port: 1, prepareTls: () => () => undefined, close: () => Promise.resolve() });
  };
  const server = createHttpServer({ listen: [{ host: "127.0.0.1", port: 0 }] }, settings, listen);
  await server.frontend.start();
  return {
    announce(what, isGone = false) {
      const { promise, resolve } = Promise.withResolvers<string>();
      const connection: Connection = {
        remote: Address.parse("192.0.2.1"),
        remotePort: 1,
        pending: 0,
        write: (bytes, start, end) => {
          const text = Buffer.from(bytes.subarray(start, end)).toString("latin1");
          const refusal = /failure reason\d+:(.*?)(?:\d+:|e$)/.exec(text);
          resolve((refusal ?? /8:intervali(\d+)e/.exec(text))![1]!);
        },
        pause() {},
        resume() {},
        end() {},
        destroy() {},
      };
      const state = handler.opened(connection);
      const bytes = Buffer.from(`GET /announce?${announceQuery()}&do=${what} HTTP/1.1\r\nHost: x\r\n\r\n`);
      handler.received(state, bytes, 0, bytes.length);
      if (isGone) resolve("gone");
      if (isGone) handler.closed(state);
      else void promise.then(() => handler.closed(state));
      return promise;
    },
    clear() {
      server.errors.length = server.store.announces.length = 0;
    },
  };
}

async function startUdp(_t: TestContext, settings: Settings): Promise<Driver> {
  const store = new FakeStore();
  const errors: unknown[] = [];
  const all = { interval: 1800, minInterval: 900, preHooks: [], postHooks: [], ...settings };
  const logic = new TrackerLogic(store, all, (_where, error) => errors.push(error));
  const udp = await UdpInProcess.start(1, logic, { seconds: 1000, unixSeconds: 1000 });
  const { batch } = udp;
  udp.put(0, createConnectRequest(1));
  udp.handle(1);
  const connectionId = batch.view.getBigUint64(batch.outAt(0) + 8);
  const waiting = new Map<number, (answer: string) => void>();
  const take = (packet: Uint8Array) => {
    const answer = parseResponse(packet, 4)!;
    const text = answer.action === "error" ? answer.message : `${(answer as { interval: number }).interval}`;
    waiting.get(answer.transactionId)!(text);
    waiting.delete(answer.transactionId);
  };
  udp.onSend = take;
  const infoHash = new Uint8Array(20).fill(7);
  const peerId = new Uint8Array(20).fill(1);
  let transactionId = 0;
  return {
    announce(what, isGone = false) {
      const { promise, resolve } = Promise.withResolvers<string>();
      transactionId++;
      waiting.set(transactionId, resolve);
      const urlData = `/announce?do=${what}`;
      const ids = { connectionId, transactionId };
      udp.put(0, createAnnounceRequest({ ...ids, infoHash, peerId, left: 1n, port: 6881, urlData }));
      udp.handle(1);
      if (batch.outLength[0]! > 0)
        take(batch.bytes.slice(batch.outAt(0), batch.outAt(0) + batch.outLength[0]!));
      if (isGone) resolve("gone");
      return promise;
    },
    clear() {
      errors.length = store.announces.length = 0;
    },
  };
}

/** Six requests: one fails, one hangs, one is answered too late, one finds no room; the last two wait meanwhile. */
async function runRound(t: TestContext, driver: Driver, held: Held[], isGone: boolean): Promise<void> {
  assert.equal(await driver.announce("fail"), "internal server error");
  const hanging = driver.announce("hang");
  const late = driver.announce("wait", isGone);
  assert.equal(await driver.announce("wait"), overloadedError.message);
  const signal = isGone ? undefined : held[0]!.context.signal;
  t.mock.timers.tick(timeoutMs);
  assert.equal(await hanging, "request timed out");
  assert.equal(await late, isGone ? "gone" : "request timed out");
  if (signal !== undefined) assert.equal(signal.aborted, true);
  await new Promise(setImmediate); // the frontend has put away what it can use again

  const others = [driver.announce("wait"), driver.announce("wait")];
  const [lateOne, ...otherOnes] = held.splice(0);
  lateOne!.response.interval = 666;
  lateOne!.context.skipResponse = true;
  lateOne!.answer.resolve(undefined);
  for (const { answer } of otherOnes) answer.resolve(undefined);
  for (const other of others) assert.equal(await other, "1800");
  driver.clear();
}

for (const [protocol, start] of [
  ["http", startHttp],
  ["udp", startUdp],
] as const) {
  test(`${(rounds * requestsPerRound) / 1000},000 requests over ${protocol} that fail, hang or are answered too late`, async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { held, limited, metric } = createHook();
    const driver = await start(t, { preHooks: [limited] });
    for (let round = 0; round < warmUp; round++) await runRound(t, driver, held, round % 2 === 1);
    const before = heapInUse();
    for (let round = 0; round < rounds; round++) await runRound(t, driver, held, round % 2 === 1);
    const grown = heapInUse() - before;
    t.diagnostic(`the heap has grown by ${grown} bytes`);
    assert.ok(grown < 20 * rounds * requestsPerRound, `${grown} bytes`);
    assert.equal(metric("chihaya_hook_requests_in_flight"), 0);
    assert.equal(metric("chihaya_hook_refusals_total", "overloaded"), rounds + warmUp);
    assert.equal(metric("chihaya_hook_refusals_total", "timeout"), 2 * (rounds + warmUp));
  });
}
