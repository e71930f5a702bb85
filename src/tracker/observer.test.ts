import assert from "node:assert/strict";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { announceQuery, RawClient } from "../../test/fixtures/http-server.ts";
import { listEngines } from "../../test/support/networks.ts";
import { RecordingObserver } from "../../test/support/observed.ts";
import { UdpClient } from "../../test/support/udp.ts";
import { AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import { ClientError } from "../bittorrent/client-error.ts";
import { PeerList } from "../bittorrent/peer-list.ts";
import { defineFrontend } from "../frontend/define-frontend.ts";
import { defineHook } from "../middleware/define-hook.ts";
import { type Hook, RequestContext } from "../middleware/hook.ts";
import type { EndedRequest, Observer } from "../observability/observer.ts";
import { type AnnouncePacket, createAnnounceRequest, createScrapeRequest } from "../protocol/udp/client.ts";
import { type CreateTrackerOptions, createTracker, useFrontend, useHook } from "./create-tracker.ts";

const engines = await listEngines();
const listen = [{ host: "127.0.0.1", port: 0 }];
const refused = new ClientError("not here");
/** What the hook below does with announces of these ports. */
const port = { refused: 1, failing: 2, waiting: 3 } as const;

/** A hook whose requests wait until the gate opens. */
function createGate(): { hook: Hook; open(): void; entered(): Promise<void> } {
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const hook: Hook = {
    name: "gate",
    handleAnnounce(request) {
      if (request.port === port.refused) return refused;
      if (request.port === port.failing) throw new Error("on purpose");
      if (request.port !== port.waiting) return undefined;
      entered.resolve();
      return gate.promise;
    },
  };
  return { hook, open: () => gate.resolve(), entered: () => entered.promise };
}

/** Starts a tracker with an observer, on an engine. */
async function start<O extends Observer = RecordingObserver>(
  t: TestContext,
  { observer = new RecordingObserver() as never, ...options }: CreateTrackerOptions & { observer?: O },
) {
  const gate = createGate();
  const tracker = createTracker({
    http: { listen },
    udp: { listen, privateKey: "a secret" },
    preHooks: [gate.hook],
    observer,
    ...options,
  });
  await tracker.start();
  t.after(() => tracker.stop(0));
  const portOf = (scheme: string) =>
    Number(new URL(tracker.urls().find((url) => url.startsWith(scheme))!).port);
  const udp = async () => {
    const client = await UdpClient.open(4, portOf("udp:"));
    t.after(() => client.close());
    return client;
  };
  const http = () => new RawClient(t, portOf("http:"));
  return { tracker, observer, gate, udp, http, portOf };
}

const announce = (connectionId: bigint, packet: Partial<AnnouncePacket> = {}) =>
  createAnnounceRequest({
    ...{ connectionId, transactionId: 7, infoHash: Buffer.alloc(20, 1), peerId: Buffer.alloc(20, 2) },
    ...{ port: 6881, ...packet },
  });

/** A UDP announce with another action. */
function withAction(packet: Uint8Array, action: number): Uint8Array {
  new DataView(packet.buffer).setUint32(8, action);
  return packet;
}

for (const { name, skip } of engines) {
  test(`each request over UDP begins and ends once (${name})`, { skip }, async (t) => {
    const { udp, observer, gate } = await start(t, { network: name });
    const client = await udp();
    const id = await client.connect();
    assert.deepEqual(observer.take(), ["udp connect 4 - -"]);

    const answered: [Uint8Array, string][] = [
      [announce(id), "udp announce 4 - -"],
      [announce(id, { port: port.refused }), "udp announce 4 hook -"],
      [announce(id, { port: port.failing }), "udp announce 4 internal -"],
      [announce(id, { port: 0 }), "udp announce - invalid-port -"],
      [announce(id).subarray(0, 40), "udp announce - malformed-packet -"],
      [withAction(announce(id), 9), "udp - - unknown-action -"],
      [announce(1n), "udp - - bad-connection-id -"],
      [createScrapeRequest(id, 7, [Buffer.alloc(20, 1)]), "udp scrape 4 - -"],
      [createScrapeRequest(id, 7, []), "udp scrape - malformed-packet -"],
    ];
    for (const [packet, expected] of answered) {
      await client.exchange(packet);
      assert.deepEqual(observer.take(), [expected]);
    }

    const silent: [Uint8Array, string][] = [
      [new Uint8Array(5), "udp - - malformed-packet short"],
      [new Uint8Array(16), "udp connect - malformed-packet magic"],
      [announce(1n).subarray(0, 16), "udp - - bad-connection-id unverified"],
    ];
    for (const [packet, expected] of silent) {
      await client.expectSilence(packet);
      assert.deepEqual(observer.take(), [expected, "udp connect 4 - -"]);
    }

    client.send(announce(id, { port: port.waiting }));
    await gate.entered();
    assert.deepEqual([observer.began, observer.ended], [1, []]);
    const late = client.receive();
    gate.open();
    await late;
    assert.deepEqual(observer.take(), ["udp announce 4 - -"]);
  });

  test(`each request over HTTP begins and ends once (${name})`, { skip }, async (t) => {
    const { http, observer, gate } = await start(t, { network: name });
    const get = (target: string) => `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const announce = (changes?: Record<string, string | null>) => get(`/announce?${announceQuery(changes)}`);
    const requests: [string, number, string][] = [
      [announce(), 200, "http announce 4 - -"],
      [announce({ port: `${port.refused}` }), 200, "http announce 4 hook -"],
      [announce({ port: `${port.failing}` }), 200, "http announce 4 internal -"],
      [announce({ info_hash: null }), 200, "http announce - missing-infohash -"],
      [announce({ port: "0" }), 200, "http announce - invalid-port -"],
      [get(`/scrape?info_hash=${"a".repeat(20)}`), 200, "http scrape 4 - -"],
      [get("/scrape"), 200, "http scrape - missing-infohash -"],
      [get("/nothing"), 404, "http - - - not_found"],
      [get("/"), 200, "http - - - -"],
      ["OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", 200, "http - - - -"],
      ["POST /announce HTTP/1.1\r\nHost: x\r\n\r\n", 405, "http - - - method"],
      ["GET /announce HTTP/1.1\r\n\r\n", 400, "http - - - malformed"],
      ["GET /announce HTTP/3.0\r\n\r\n", 505, "http - - - version"],
      [get(`/${"a".repeat(20_000)}`), 431, "http - - - too_large"],
    ];
    for (const [request, status, expected] of requests) {
      const client = http();
      client.send(request);
      assert.equal((await client.read()).status, status);
      assert.deepEqual(observer.take(), [expected]);
    }

    const client = http();
    client.send(announce({ port: `${port.waiting}` }) + get("/nothing"));
    await gate.entered();
    assert.deepEqual([observer.began, observer.ended], [1, []]);
    gate.open();
    await client.read();
    await client.read();
    assert.deepEqual(observer.take(), ["http announce 4 - -", "http - - - not_found"]);
  });

  test(`a request that is too slow for its hook ends with that error (${name})`, { skip }, async (t) => {
    const stuck = defineHook({
      name: "stuck",
      create: () => ({ name: "stuck", handleAnnounce: () => new Promise(() => undefined) }),
    });
    const preHooks = [useHook(stuck, undefined, { timeout: 0.001 })];
    const { udp, http, observer } = await start(t, { network: name, preHooks });
    await http().get(`/announce?${announceQuery()}`);
    assert.deepEqual(observer.take(), ["http announce 4 hook-timeout -"]);
    const client = await udp();
    const id = await client.connect();
    await client.exchange(announce(id));
    assert.deepEqual(observer.take(), ["udp connect 4 - -", "udp announce 4 hook-timeout -"]);
  });

  test(`requests that wait when the time to stop is over end then, and only then (${name})`, {
    skip,
  }, async (t) => {
    const [one, other] = [createGate(), createGate()];
    const observer = new RecordingObserver();
    const udpTracker = await start(t, { network: name, preHooks: [one.hook], observer });
    const client = await udpTracker.udp();
    const id = await client.connect();
    client.send(announce(id, { port: port.waiting }));
    await one.entered();
    await udpTracker.tracker.stop(0);
    assert.deepEqual(observer.take(), ["udp connect 4 - -", "udp announce 4 - stopping"]);

    const httpTracker = await start(t, { network: name, preHooks: [other.hook], observer });
    httpTracker
      .http()
      .send(`GET /announce?${announceQuery({ port: `${port.waiting}` })} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await other.entered();
    await httpTracker.tracker.stop(0);
    assert.deepEqual(observer.take(), ["http announce 4 - stopping"]);

    one.open();
    other.open();
    await new Promise(setImmediate);
    assert.deepEqual(observer.take(), []);
  });

  test(`a request ends with its response, also if its client has gone away (${name})`, {
    skip,
  }, async (t) => {
    const { http, tracker, observer, gate } = await start(t, { network: name });
    const client = http();
    client.send(`GET /announce?${announceQuery({ port: `${port.waiting}` })} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await gate.entered();
    client.socket.resetAndDestroy();
    const stopped = tracker.stop(10);
    gate.open();
    await stopped;
    assert.deepEqual(observer.take(), ["http announce 4 - -"]);
  });
}

test("a frontend that a program brings reports its requests, also to metrics", async (t) => {
  const { observer, portOf, tracker } = await start(t, {
    http: false,
    udp: false,
    frontends: [useFrontend(words)],
  });
  const ask = (text: string) =>
    new Promise<string>((resolve) => {
      const socket = connect(portOf("words:"), "127.0.0.1", () => socket.end(text));
      socket.once("data", (bytes) => resolve(`${bytes}`));
    });
  assert.equal(await ask("announce"), "1 seeders");
  assert.equal(await ask("what?"), "no");
  assert.deepEqual(observer.take(), ["words announce 4 - -", "words - - - unknown_word"]);
  const text = await tracker.renderMetrics();
  assert.match(
    text,
    /^chihaya_words_response_duration_milliseconds_count\{action="announce",address_family="IPv4",error=""\} 1$/m,
  );
  assert.match(text, /^chihaya_words_rejected_total\{reason="unknown_word"\} 1$/m);
});

/** Serves the words that a client sends, over TCP. */
const words = defineFrontend({
  name: "words",
  create(_options, { network, requests, logic, onError }) {
    const urls: string[] = [];
    let close = (): Promise<unknown> => Promise.resolve();
    return {
      name: "words",
      async start() {
        const listener = await network.listenStream({
          ...{ host: "127.0.0.1", port: 0, onError },
          handler: {
            opened: (connection) => connection,
            received(connection, bytes, start, end) {
              const startedMs = requests.begin();
              if (Buffer.from(bytes.subarray(start, end)).toString() !== "announce") {
                connection.write(Buffer.from("no"), 0, 2);
                requests.end(startedMs, "", undefined, undefined, "unknown_word");
                return;
              }
              const request = new AnnounceRequest();
              request.port = 1024;
              const room = new Uint8Array(0);
              const response = new AnnounceResponse(new PeerList(4, room), new PeerList(6, room));
              const refusal = logic.handleAnnounce(request, response, new RequestContext());
              assert.equal(refusal, undefined);
              const text = Buffer.from(`${response.complete} seeders`);
              connection.write(text, 0, text.length);
              requests.end(startedMs, "announce", request.address.family);
            },
            ended: (connection) => connection.end(false),
            drained: () => undefined,
            closed: () => undefined,
          },
        });
        urls.push(`words://127.0.0.1:${listener.port}`);
        close = () => listener.close();
      },
      urls: () => urls,
      prepare: () => () => undefined,
      stop: async () => void (await close()),
    };
  },
});

/** Counts the requests that fail, by frontend, action and cause. */
class Failures implements Observer {
  readonly counts = new Map<string, number>();

  requestEnded({ frontend, action, error, reason }: EndedRequest): void {
    const cause = error?.code ?? reason;
    if (cause === undefined) return;
    const key = `${frontend} ${action} ${cause}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }
}

test("a program counts what fails", async (t) => {
  const observer = new Failures();
  const { http, udp } = await start(t, { observer });
  await http().get("/nothing");
  await (await udp()).exchange(announce(1n));
  assert.deepEqual(
    [...observer.counts],
    [
      ["http  not_found", 1],
      ["udp  bad-connection-id", 1],
    ],
  );
});

test("an observer that fails harms no request", async (t) => {
  const fail = () => {
    throw new Error("on purpose");
  };
  const errors: unknown[] = [];
  const logger = { debug() {}, info() {}, warn() {}, error: (fields: object) => void errors.push(fields) };
  const { http, udp, tracker } = await start(t, {
    observer: { requestBegan: fail, requestEnded: fail },
    logger: logger as never,
  });
  assert.equal((await http().get(`/announce?${announceQuery()}`)).status, 200);
  await (await udp()).connect();
  assert.equal(errors.length, 4);
  assert.match(await tracker.renderMetrics(), /^chihaya_failures_total\{where="observer"\} 4$/m);
});

test("times are taken for an observer that wants them, whatever the options say", async (t) => {
  for (const isTimed of [false, true]) {
    const { udp, http, observer, tracker } = await start(t, {
      observer: new RecordingObserver(isTimed),
      http: { listen, requestTiming: false },
      udp: { listen, requestTiming: false },
    });
    const client = await udp();
    await http().get("/");
    const before = performance.now();
    const id = await client.connect();
    await client.exchange(announce(id));
    const times = observer.times.slice(-2);
    for (const { startedMs, milliseconds } of times) {
      assert.equal(startedMs >= before, isTimed);
      assert.equal(milliseconds > 0, isTimed);
    }
    const sum =
      /^chihaya_udp_response_duration_milliseconds_sum\{action="connect",address_family="IPv4".*\} (.+)$/m;
    assert.equal(Number(sum.exec(await tracker.renderMetrics())![1]) > 0, isTimed);
  }
});

test("over UDP the clock is not read for a request that nobody times", async (t) => {
  const { udp } = await start(t, { udp: { listen, requestTiming: false } });
  const client = await udp();
  const id = await client.connect();
  const now = t.mock.method(performance, "now");
  await client.exchange(announce(id));
  assert.equal(now.mock.callCount(), 0);
});
