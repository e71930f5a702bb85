import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { reporterOf } from "../../../test/support/observed.ts";
import { EndlessStore, UdpClient, udpOptions } from "../../../test/support/udp.ts";
import { ClientError } from "../../bittorrent/client-error.ts";
import { Address, type Family } from "../../ip/address.ts";
import type { Hook } from "../../middleware/hook.ts";
import { TrackerLogic } from "../../middleware/logic.ts";
import { bindError } from "../../net/bind-error.ts";
import type { DatagramOptions, DatagramSocket } from "../../net/datagram.ts";
import { bindDatagram } from "../../net/portable/datagram.ts";
import { Metrics } from "../../observability/metrics.ts";
import {
  type AnnouncePacket,
  createAnnounceRequest,
  createConnectRequest,
  createScrapeRequest,
} from "../../protocol/udp/client.ts";
import { Action } from "../../protocol/udp/packet.ts";
import { udp } from "./index.ts";
import type { UdpOptions } from "./options.ts";
import { UdpFrontend } from "./udp-frontend.ts";

const hosts = { 4: "127.0.0.1", 6: "::1" } as const;
const wrongId = 0x0102_0304_0506_0708n;
const infoHash = Uint8Array.from({ length: 20 }, (_, i) => i + 1);
const peerId = new TextEncoder().encode("-TT0001-abcdefghijkl");
const now = AbortSignal.abort();

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing.close();
});

interface Setup {
  options?: Partial<UdpOptions>;
  preHooks?: Hook[];
  postHooks?: Hook[];
  bind?: (options: DatagramOptions) => Promise<DatagramSocket>;
  onMissing?: (error: Error) => void;
}

async function start(family: Family, setup: Setup = {}) {
  const store = new EndlessStore();
  const errors: unknown[] = [];
  const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
  const settings = {
    interval: 1800,
    minInterval: 900,
    preHooks: setup.preHooks ?? [],
    postHooks: setup.postHooks ?? [],
  };
  const logic = new TrackerLogic(store, settings, (_where, error) => errors.push(error));
  const options = { ...udpOptions, listen: [{ host: hosts[family], port: 0 }], ...setup.options };
  const metrics = new Metrics();
  const frontend = new UdpFrontend(options, {
    logic,
    clock,
    requests: reporterOf(udp, metrics),
    onError: (error) => errors.push(error),
    ...(setup.bind && { bind: setup.bind }),
    ...(setup.onMissing && { onMissing: setup.onMissing }),
  });
  await frontend.start();
  opened.push({ close: () => frontend.stop(now) });
  const port = Number(new URL(frontend.urls()[0]!).port);
  const client = await UdpClient.open(family, port);
  opened.push(client);
  return { frontend, store, client, clock, errors, options, port, logic };
}

function announce(connectionId: bigint, packet: Partial<AnnouncePacket> = {}): Uint8Array {
  return createAnnounceRequest({ connectionId, transactionId: 7, infoHash, peerId, port: 6881, ...packet });
}

/** A request with any action. */
function request(connectionId: bigint, action: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, connectionId);
  view.setUint32(8, action);
  view.setUint32(12, 7);
  return bytes;
}

for (const family of [4, 6] as const) {
  describe(`UDP over IPv${family}`, () => {
    test("connect gets a connection id: exactly 16 bytes, extra bytes ignored", async () => {
      const { client } = await start(family);
      for (const extra of [0, 1, 100]) {
        const answer = await client.exchange(
          Buffer.concat([createConnectRequest(9), Buffer.alloc(extra, 1)]),
        );
        assert.equal(answer.length, 16);
        assert.equal(Buffer.from(answer.subarray(0, 8)).toString("hex"), "0000000000000009");
        assert.notDeepEqual(answer.subarray(8), new Uint8Array(8));
      }
    });

    test("announce gets intervals, counts and peers of the socket's family", async () => {
      const { client, store } = await start(family);
      const answer = await client.ask(announce(await client.connect(), { left: 1n, event: 2, numWant: 2 }));
      assert.deepEqual(answer, {
        action: "announce",
        transactionId: 7,
        interval: 1800,
        leechers: 5,
        seeders: 3,
        peers: new Uint8Array(2 * (family === 4 ? 6 : 18)).fill(0xab),
      });
      const host = family === 4 ? "127.0.0.1" : "[::1]";
      const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
      assert.deepEqual(store.announces, [
        `${hex(infoHash)} ${hex(peerId)}@${host}:6881 event 2 numwant 2 seeder false`,
      ]);
    });

    test("announce with action 4 is answered with action 4", async () => {
      const { client } = await start(family);
      const packet = announce(await client.connect(), { action: Action.announceIPv6, numWant: 1 });
      const answer = await client.exchange(packet);
      assert.equal(answer[3], 4);
      assert.equal(answer.length, 20 + (family === 4 ? 6 : 18));
    });

    test("announce gets no more peers than fit into a packet that is not cut", async () => {
      const { client } = await start(family, { options: { maxNumWant: 1_000_000 } });
      const answer = await client.exchange(announce(await client.connect(), { numWant: 1_000_000 }));
      assert.equal(answer.length, family === 4 ? 20 + 242 * 6 : 20 + 67 * 18);
      assert.ok(answer.length <= (family === 4 ? 1472 : 1232));
    });

    test("scrape gets a row for each infohash in order", async () => {
      const { client } = await start(family);
      const answer = await client.ask(
        createScrapeRequest(await client.connect(), 8, [infoHash, peerId, infoHash]),
      );
      assert.deepEqual(answer, {
        action: "scrape",
        transactionId: 8,
        rows: [
          { seeders: 0, completed: 3, leechers: 2 },
          { seeders: 1, completed: 3, leechers: 2 },
          { seeders: 2, completed: 3, leechers: 2 },
        ],
      });
    });

    // Chihaya's order of checks and its texts (frontend/udp/frontend.go, parser.go), with the differences that
    // are decided: unknown options and events are no errors.
    const errors: { name: string; packet: (id: bigint) => Uint8Array; message: string; hook?: boolean }[] = [
      {
        name: "an announce with a wrong connection id",
        packet: () => announce(wrongId),
        message: "bad connection ID",
      },
      {
        name: "a scrape with a wrong connection id",
        packet: () => createScrapeRequest(wrongId, 7, [infoHash]),
        message: "bad connection ID",
      },
      {
        name: "connection id before action",
        packet: () => request(wrongId, 9, 98),
        message: "bad connection ID",
      },
      {
        name: "connection id before length",
        packet: () => request(wrongId, 1, 97),
        message: "bad connection ID",
      },
      {
        name: "connection id before port",
        packet: () => announce(wrongId, { port: 0 }),
        message: "bad connection ID",
      },
      { name: "action 3", packet: (id) => request(id, 3, 98), message: "unknown action ID" },
      { name: "action 5", packet: (id) => request(id, 5, 16), message: "unknown action ID" },
      { name: "action 2^32-1", packet: (id) => request(id, 0xffff_ffff, 16), message: "unknown action ID" },
      {
        name: "an announce of 97 bytes",
        packet: (id) => announce(id).subarray(0, 97),
        message: "malformed packet",
      },
      { name: "an announce of 16 bytes", packet: (id) => request(id, 1, 16), message: "malformed packet" },
      {
        name: "an announce with action 4 of 109 bytes",
        packet: (id) => announce(id, { action: 4 }).subarray(0, 109),
        message: "malformed packet",
      },
      {
        name: "a scrape without infohashes",
        packet: (id) => request(id, 2, 16),
        message: "malformed packet",
      },
      {
        name: "a scrape with a part of an infohash",
        packet: (id) => request(id, 2, 35),
        message: "malformed packet",
      },
      { name: "length before port", packet: (id) => request(id, 1, 90), message: "malformed packet" },
      { name: "port 0", packet: (id) => announce(id, { port: 0 }), message: "invalid port" },
      {
        name: "port before hooks",
        packet: (id) => announce(id, { port: 0 }),
        message: "invalid port",
        hook: true,
      },
      {
        name: "an announce that a hook refuses",
        packet: (id) => announce(id),
        message: "unapproved torrent",
        hook: true,
      },
      {
        name: "a scrape that a hook refuses",
        packet: (id) => createScrapeRequest(id, 7, [infoHash]),
        message: "unapproved torrent",
        hook: true,
      },
    ];
    for (const { name, packet, message, hook } of errors) {
      test(`error: ${name}: ${message}`, async () => {
        const refusal = new ClientError("unapproved torrent", "unapproved-torrent");
        const refuse: Hook = { name: "no", handleAnnounce: () => refusal, handleScrape: () => refusal };
        const { client, store } = await start(family, hook ? { preHooks: [refuse] } : {});
        const answer = await client.exchange(packet(await client.connect()));
        const text = Buffer.from(`${message}\0`).toString("hex");
        assert.equal(Buffer.from(answer).toString("hex"), `0000000300000007${text}`);
        assert.deepEqual([store.announces, store.scrapes], [[], []]);
      });
    }

    test("error: an internal failure gives an internal server error", async () => {
      const broken: Hook = {
        name: "broken",
        handleAnnounce: () => {
          throw new Error("secret");
        },
      };
      const { client, errors } = await start(family, { preHooks: [broken] });
      const answer = await client.ask(announce(await client.connect()));
      assert.deepEqual(answer, { action: "error", transactionId: 7, message: "internal server error" });
      assert.equal(errors.length, 1);
    });

    const tolerated: { name: string; packet: (id: bigint) => Uint8Array }[] = [
      { name: "event 4 (paused)", packet: (id) => announce(id, { event: 4 }) },
      { name: "event 5", packet: (id) => announce(id, { event: 5 }) },
      { name: "an unknown option", packet: (id) => Buffer.concat([announce(id), Buffer.from([9, 1, 1])]) },
      { name: "an option cut short", packet: (id) => Buffer.concat([announce(id), Buffer.from([2, 9, 1])]) },
      {
        name: "two more bytes, as from aria2",
        packet: (id) => Buffer.concat([announce(id), Buffer.alloc(2)]),
      },
    ];
    for (const { name, packet } of tolerated) {
      test(`no error: ${name}`, async () => {
        const { client } = await start(family);
        assert.equal((await client.ask(packet(await client.connect()))).action, "announce");
      });
    }

    const silent: { name: string; packet: Uint8Array }[] = [
      { name: "an empty datagram", packet: new Uint8Array(0) },
      { name: "15 bytes", packet: createConnectRequest(7).subarray(0, 15) },
      { name: "a connect with another constant", packet: request(0x41727101981n, 0, 16) },
      {
        name: "a connect with a wrong upper half",
        packet: request(0x1_0000_0417_2710_1980n & 0xffff_ffffn, 0, 98),
      },
      { name: "a wrong connection id in 16 bytes", packet: request(wrongId, 1, 16) },
      {
        name: "a wrong connection id in 26 bytes, as many as the error has",
        packet: request(wrongId, 2, 26),
      },
    ];
    for (const { name, packet } of silent) {
      test(`silence: ${name}`, async () => {
        const { client } = await start(family);
        await client.expectSilence(packet);
      });
    }

    test("the connection id is good for any port of the address, for ten minutes", async () => {
      const { client, clock, port } = await start(family);
      const id = await client.connect();
      const other = await UdpClient.open(family, port);
      opened.push(other);
      clock.unixSeconds += 600;
      assert.equal((await other.ask(announce(id))).action, "announce");
      clock.unixSeconds += 40;
      assert.deepEqual(await client.ask(announce(id)), {
        action: "error",
        transactionId: 7,
        message: "bad connection ID",
      });
    });

    test("URL data reaches hooks as the query of an HTTP announce", async () => {
      const seen: (string | undefined)[] = [];
      const spy: Hook = {
        name: "spy",
        handleAnnounce: (request) => {
          seen.push(request.params.path, request.params.get("jwt"));
        },
      };
      const { client } = await start(family, { preHooks: [spy] });
      await client.ask(
        announce(await client.connect(), { urlData: `/announce?jwt=${"x".repeat(1900)}%20y` }),
      );
      assert.deepEqual(seen, ["/announce", `${"x".repeat(1900)} y`]);
    });

    test("routes name parts of the URL data's path, and every path is answered", async () => {
      const seen: (string | undefined)[] = [];
      const spy: Hook = {
        name: "spy",
        handleAnnounce: (request) => {
          seen.push(request.params.route("jwt"));
        },
      };
      const announceRoutes = ["/announce", "/announce/:jwt"];
      const { client } = await start(family, { preHooks: [spy], options: { announceRoutes } });
      const id = await client.connect();
      for (const urlData of ["/announce/a%20b?x=1", "/announce/", "/elsewhere/x", undefined, "?jwt=x"]) {
        const options = urlData === undefined ? {} : { urlData };
        assert.equal((await client.ask(announce(id, options))).action, "announce");
      }
      assert.deepEqual(seen, ["a b", undefined, undefined, undefined, undefined]);
    });

    test("a store that answers later does not mix up what comes meanwhile", async () => {
      const { client, store } = await start(family);
      const id = await client.connect();
      const gate = Promise.withResolvers<void>();
      store.gate = gate.promise;
      client.send(announce(id, { transactionId: 100, numWant: 3 }));
      client.send(createScrapeRequest(id, 101, [infoHash, peerId]));
      await client.connect();
      store.gate = undefined;
      assert.equal((await client.ask(announce(id, { transactionId: 102, numWant: 1 }))).transactionId, 102);
      const first = client.receive();
      gate.resolve();
      const stride = family === 4 ? 6 : 18;
      const one = (await first).bytes;
      assert.equal(new DataView(one.buffer, one.byteOffset).getUint32(4), 100);
      assert.equal(one.length, 20 + 3 * stride);
      assert.ok(one.subarray(20).every((byte) => byte === 0xab));
    });

    test("a hook that answers later keeps its request, URL data included", async () => {
      const gate = Promise.withResolvers<void>();
      const seen: string[] = [];
      const refusal = new ClientError("not you");
      const slow: Hook = {
        name: "slow",
        handleAnnounce: async (request) => {
          await gate.promise;
          seen.push(`${request.port} ${request.params.path}`);
          return request.port === 2 ? refusal : undefined;
        },
      };
      const { client, store } = await start(family, { preHooks: [slow] });
      const id = await client.connect();
      for (const port of [1, 2, 3])
        client.send(announce(id, { port, transactionId: port, urlData: `/announce/${port}` }));
      await client.connect();
      assert.deepEqual(store.announces, []);
      const answers = receiveMany(client, 3);
      gate.resolve();
      assert.deepEqual(seen.length, 0);
      assert.deepEqual((await answers).map((bytes) => `${bytes[7]}: action ${bytes[3]}`).sort(), [
        "1: action 1",
        "2: action 3",
        "3: action 1",
      ]);
      assert.deepEqual(seen, ["1 /announce/1", "2 /announce/2", "3 /announce/3"]);
    });

    test("posthooks run after the answer, with what the prehook left for them", async () => {
      const seen: string[] = [];
      const post: Hook = {
        name: "post",
        handleAnnounce: (request, response) => {
          const { peers4, peers6 } = response;
          const peers = family === 4 ? peers4 : peers6;
          seen.push(
            `announce ${request.port} ${request.params.path} ${peers.count} ${peers.bytes[peers.at]}`,
          );
        },
        handleScrape: (request, response) => {
          seen.push(`scrape ${request.count} ${response.snatches(0)}`);
        },
      };
      const { client } = await start(family, { postHooks: [post] });
      const id = await client.connect();
      await client.ask(announce(id, { numWant: 1, urlData: "/x" }));
      await client.ask(createScrapeRequest(id, 1, [infoHash]));
      await client.ask(announce(id, { port: 0 }));
      await client.connect();
      assert.deepEqual(seen, ["announce 6881 /x 1 171", "scrape 1 3"]);
    });
  });
}

async function receiveMany(client: UdpClient, count: number): Promise<Uint8Array[]> {
  const answers = [];
  for (let i = 0; i < count; i++) answers.push((await client.receive()).bytes);
  return answers;
}

describe("the UDP frontend", () => {
  test("listens on several addresses and names them", async () => {
    const { frontend } = await start(4, {
      options: {
        listen: [
          { host: "127.0.0.1", port: 0 },
          { host: "::1", port: 0 },
        ],
      },
    });
    const urls = frontend.urls();
    assert.match(urls[0]!, /^udp:\/\/127\.0\.0\.1:\d+$/);
    assert.match(urls[1]!, /^udp:\/\/\[::1\]:\d+$/);
    const six = await UdpClient.open(6, Number(new URL(urls[1]!).port));
    opened.push(six);
    assert.equal((await six.ask(announce(await six.connect()))).action, "announce");
  });

  test("binds all addresses or none", async () => {
    const { port } = await start(4);
    const bound: DatagramSocket[] = [];
    const closed: number[] = [];
    const refused = start(4, {
      options: {
        listen: [
          { host: "127.0.0.1", port: 0 },
          { host: "127.0.0.1", port },
        ],
      },
      bind: async (options) => {
        const socket = await bindDatagram(options);
        bound.push(socket);
        return {
          port: socket.port,
          receiveBuffer: socket.receiveBuffer,
          countDrops: () => 0,
          replyPath: () => () => {},
          close: () => {
            closed.push(socket.port);
            return socket.close();
          },
        };
      },
    });
    await assert.rejects(refused, {
      message: new RegExp(`cannot listen on udp://127.0.0.1:${port}: .*in use`),
    });
    assert.deepEqual(
      closed,
      bound.map((socket) => socket.port),
    );
    assert.equal(closed.length, 1);
  });

  test("without IPv6 serves IPv4 at the default addresses, and says what is missing", async () => {
    const missing: string[] = [];
    const { frontend, client } = await start(4, {
      options: { listen: ["::", "0.0.0.0"].map((host) => ({ host, port: 0 })) },
      bind: (options) => {
        if (options.host !== "::") return bindDatagram({ ...options, host: "127.0.0.1" });
        const cause = Object.assign(new Error("bind"), { code: "EADDRNOTAVAIL" });
        throw bindError("udp", options.host, options.port, cause);
      },
      onMissing: (error) => missing.push(error.message),
    });
    assert.match(frontend.urls().join(), /^udp:\/\/0\.0\.0\.0:\d+$/);
    assert.match(missing.join(), /^cannot listen on udp:\/\/\[::\]:0: /);
    assert.equal((await client.ask(announce(await client.connect()))).action, "announce");
  });

  test("shares connection ids with trackers that have the same private key, and no others", async () => {
    const one = await start(4);
    const two = await start(4);
    const three = await start(4, { options: { privateKey: "another" } });
    const four = await start(4, { options: { privateKey: "" } });
    const id = await one.client.connect();
    const actions = [];
    for (const { client } of [one, two, three, four]) actions.push((await client.ask(announce(id))).action);
    assert.deepEqual(actions, ["announce", "announce", "error", "error"]);
  });

  test("with an empty private key makes ids that nobody can foresee", async () => {
    const one = await start(4, { options: { privateKey: "" } });
    const two = await start(4, { options: { privateKey: "" } });
    assert.notEqual(await one.client.connect(), await two.client.connect());
  });

  test("accepts ids from the future as far as the clock skew allows, also after a reload", async () => {
    const { client, clock, frontend, options } = await start(4);
    clock.unixSeconds = 1_700_000_000; // a slot begins
    const id = await client.connect();
    clock.unixSeconds -= 8;
    assert.equal((await client.ask(announce(id))).action, "error");
    frontend.prepare({ ...options, maxClockSkew: 10 })();
    assert.equal((await client.ask(announce(id))).action, "announce");
  });

  test("takes new limits at a reload, and keeps its connection ids", async () => {
    const { client, frontend, options, store } = await start(4);
    const id = await client.connect();
    frontend.prepare({ ...options, maxNumWant: 1, maxScrapeInfoHashes: 1, allowIpSpoofing: true })();
    const answer = await client.exchange(announce(id, { numWant: 9, address: Address.parse("192.0.2.1") }));
    assert.equal(answer.length, 26);
    assert.match(store.announces[0]!, /@192\.0\.2\.1:6881/);
    assert.equal((await client.exchange(createScrapeRequest(id, 1, [infoHash, infoHash]))).length, 20);
    assert.equal((await client.ask(announce(id))).action, "announce");
  });

  test("answers what is waiting before it stops, and nothing new", async () => {
    const { client, frontend, store } = await start(4);
    const id = await client.connect();
    const gate = Promise.withResolvers<void>();
    store.gate = gate.promise;
    client.send(announce(id, { transactionId: 55 }));
    await client.connect();
    const answer = client.receive();
    const stopped = frontend.stop(new AbortController().signal);
    client.send(announce(id, { transactionId: 56 }));
    gate.resolve();
    assert.equal((await answer).bytes[7], 55);
    await stopped;
    await frontend.stop(now);
    assert.equal(store.announces.length, 1);
  });

  test("stops at the deadline even if a hook never answers", async () => {
    const { client, frontend, port } = await start(4, {
      preHooks: [{ name: "never", handleAnnounce: () => new Promise(() => {}) }],
    });
    client.send(announce(await client.connect()));
    await client.connect();
    const deadline = new AbortController();
    const stopped = frontend.stop(deadline.signal);
    deadline.abort();
    await stopped;
    const again = await start(4, { options: { listen: [{ host: "127.0.0.1", port }] } });
    assert.equal(again.port, port);
  });

  test("can be stopped while it starts, and before", async () => {
    const { options, logic, clock } = await start(4);
    const deps = { logic, clock, onError: assert.fail };
    const starting = new UdpFrontend(options, deps);
    const started = starting.start();
    await starting.stop(now);
    await started;
    await new UdpFrontend(options, deps).stop(now);
  });
});
