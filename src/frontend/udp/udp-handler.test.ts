import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { heapGrowth } from "../../../test/support/heap-growth.ts";
import { RecordingObserver, reporterOf } from "../../../test/support/observed.ts";
import { EndlessStore, udpOptions } from "../../../test/support/udp.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { Address, type Family } from "../../ip/address.ts";
import type { Hook } from "../../middleware/hook.ts";
import { TrackerLogic } from "../../middleware/logic.ts";
import { DatagramBatch, type DatagramSocket, datagramCapacity } from "../../net/datagram.ts";
import { Metrics } from "../../observability/metrics.ts";
import type { Observer } from "../../observability/observer.ts";
import { renderPrometheus } from "../../observability/prometheus.ts";
import {
  type AnnouncePacket,
  createAnnounceRequest,
  createConnectRequest,
  createScrapeRequest,
  parseResponse,
} from "../../protocol/udp/client.ts";
import { ConnectionIds } from "../../protocol/udp/connection-id.ts";
import { countTraffic } from "../traffic.ts";
import { udp } from "./index.ts";
import type { UdpOptions } from "./options.ts";
import { UdpHandler } from "./udp-handler.ts";

const key = new Uint8Array(16).fill(9);
const infoHash = Uint8Array.from({ length: 20 }, (_, i) => i + 1);
const peerId = new TextEncoder().encode("01234567890123456789");
const capacity = 8;

interface Datagram {
  packet: Uint8Array;
  from?: string;
  port?: number;
}

function setUp(
  setup: { options?: Partial<UdpOptions>; preHooks?: Hook[]; postHooks?: Hook[]; observer?: Observer } = {},
) {
  const store = new EndlessStore();
  const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
  const errors: string[] = [];
  const { preHooks = [], postHooks = [] } = setup;
  const logic = new TrackerLogic(store, { interval: 1800, minInterval: 900, preHooks, postHooks }, (where) =>
    errors.push(where),
  );
  const metrics = new Metrics();
  const ids = new ConnectionIds(key, 0);
  const onError = (error: Error) => errors.push(error.message);
  const options = { ...udpOptions, ...setup.options };
  const handler = new UdpHandler(options, {
    logic,
    clock,
    ids,
    onError,
    requests: reporterOf(udp, metrics, setup.observer),
    traffic: countTraffic(metrics, "udp"),
  });
  const batch = new DatagramBatch(
    capacity,
    new Uint8Array(2 * capacity * datagramCapacity),
    Array.from({ length: capacity }, () => new Address()),
  );
  const late: Uint8Array[] = [];
  const socket: DatagramSocket = {
    port: 6969,
    receiveBuffer: 8 << 20,
    countDrops: () => 0,
    replyPath: () => (bytes, start, end) => late.push(bytes.slice(start, end)),
    close: () => Promise.resolve(),
  };

  /** Hands over one batch; returns the answers, with undefined for silence. */
  function handle(datagrams: readonly Datagram[], family: Family = 4): (Uint8Array | undefined)[] {
    for (const [slot, { packet, from, port = 1234 }] of datagrams.entries()) {
      const cut = packet.subarray(0, datagramCapacity);
      batch.bytes.set(cut, batch.inAt(slot));
      batch.length[slot] = cut.length;
      batch.address[slot]!.copyFrom(Address.parse(from ?? (family === 4 ? "192.0.2.1" : "2001:db8::1")));
      batch.port[slot] = port;
    }
    handler.handleBatch(socket, batch, datagrams.length, family);
    const answers = datagrams.map((_, slot) => {
      const length = batch.outLength[slot]!;
      return length === 0 ? undefined : batch.bytes.slice(batch.outAt(slot), batch.outAt(slot) + length);
    });
    handler.afterBatch();
    return answers;
  }

  function idOf(address: string): bigint {
    const view = new DataView(new ArrayBuffer(8));
    ids.write(view, 0, Address.parse(address), clock.unixSeconds);
    return view.getBigUint64(0);
  }

  return {
    store,
    clock,
    errors,
    handler,
    batch,
    socket,
    late,
    metrics,
    handle,
    idOf,
    /** Handles one datagram and tells the answer in words. */
    say: (packet: Uint8Array, from = "192.0.2.1") => {
      const family = from.includes(":") ? 6 : 4;
      const [bytes] = handle([{ packet, from }], family);
      if (bytes === undefined) return "silence";
      const answer = parseResponse(bytes, family)!;
      return answer.action === "error" ? answer.message : answer.action;
    },
  };
}

function announce(connectionId: bigint, packet: Partial<AnnouncePacket> = {}): Uint8Array {
  return createAnnounceRequest({ connectionId, transactionId: 7, infoHash, peerId, port: 6881, ...packet });
}

const connect = createConnectRequest(7);

/** Whether a bad id of one of the addresses gets an error. By chance one of them shares the counter of another source, but not all. */
function getsError(say: (packet: Uint8Array, from: string) => string, addresses: readonly string[]): boolean {
  return addresses.some((from) => say(announce(1n), from) === "bad connection ID");
}

describe("UDP under hostile and broken input", () => {
  test("a forged source with a guessed id gets no announce through", () => {
    const { store, handle, idOf, clock } = setUp();
    const real = idOf("192.0.2.1");
    let guess = 1n;
    for (let i = 0; i < 20_000; i++) {
      guess = (guess * 6364136223846793005n + 1442695040888963407n) & 0xffff_ffff_ffff_ffffn;
      handle([{ packet: announce(guess) }]);
    }
    // No id, the time, the id of another address, one bit off.
    for (const id of [0n, BigInt(clock.unixSeconds), idOf("192.0.2.2"), real ^ 1n, real ^ (1n << 63n)]) {
      handle([{ packet: announce(id) }]);
    }
    assert.deepEqual(store.announces, []);
    handle([{ packet: announce(real) }]);
    assert.equal(store.announces.length, 1);
  });

  test("a connect from a victim's address sends the victim as much as it cost; less than a connect, nothing", () => {
    const { handle } = setUp();
    assert.equal(handle([{ packet: connect }])[0]!.length, connect.length);
    for (let length = 0; length < 16; length++) {
      assert.equal(handle([{ packet: connect.subarray(0, length) }])[0], undefined);
    }
    const magic = connect.slice();
    magic[7] = 0;
    assert.equal(handle([{ packet: magic }])[0], undefined);
  });

  test("nothing is sent to an unverified address that is larger than what it sent", () => {
    const { handle, clock } = setUp();
    const header = fc
      .tuple(
        fc.oneof(fc.constant(0x41727101980n), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
        fc.oneof(fc.nat(5), fc.nat(0xffff_ffff)),
        fc.nat(0xffff_ffff),
        fc.uint8Array({ maxLength: 200, size: "max" }),
      )
      .map(([id, action, transactionId, rest]) => {
        const bytes = new Uint8Array(16 + rest.length);
        const view = new DataView(bytes.buffer);
        view.setBigUint64(0, id);
        view.setUint32(8, action);
        view.setUint32(12, transactionId);
        bytes.set(rest, 16);
        return bytes;
      });
    let answered = 0;
    fc.assert(
      fc.property(
        fc.array(fc.oneof(header, fc.uint8Array({ maxLength: 300, size: "max" })), {
          minLength: 1,
          maxLength: capacity,
        }),
        (packets) => {
          clock.seconds++; // a fresh allowance of errors
          const answers = handle(packets.map((packet) => ({ packet })));
          for (const [i, answer] of answers.entries()) {
            if (!answer) continue;
            answered++;
            assert.ok(answer.length <= packets[i]!.length, `${answer.length} for ${packets[i]!.length}`);
          }
        },
      ),
      { seed: 7, numRuns: 5000 },
    );
    assert.ok(answered > 1000, `only ${answered} answers`);
  });

  test("two trackers that take each other's errors for requests fall silent", () => {
    const { handle } = setUp();
    let packet: Uint8Array | undefined = announce(1n);
    let rounds = 0;
    while (packet) {
      [packet] = handle([{ packet }]);
      assert.ok(++rounds < 10);
    }
  });

  for (const [from, port] of [
    ["192.0.2.1", 0],
    ["0.0.0.0", 1234],
    ["0.1.2.3", 1234],
    ["224.0.0.1", 1234],
    ["239.255.255.250", 1234],
    ["255.255.255.255", 1234],
    ["::", 1234],
    ["ff02::1", 1234],
    ["2001:db8::1", 0],
  ] as const) {
    test(`a datagram from ${from} port ${port} gets silence`, () => {
      const { handle, store, idOf } = setUp();
      const family = from.includes(":") ? 6 : 4;
      for (const packet of [connect, announce(1n), announce(idOf(from))]) {
        assert.deepEqual(handle([{ packet, from, port }], family), [undefined]);
      }
      assert.deepEqual(store.announces, []);
    });
  }

  test("a flood of bad ids from one address gets a few errors a second, in memory that does not grow", () => {
    const { say, clock, idOf } = setUp();
    const flood = () =>
      Array.from({ length: 1000 }, () => say(announce(1n))).filter((text) => text !== "silence");
    assert.equal(flood().length, 32);
    assert.ok(
      getsError(say, ["192.0.2.77", "192.0.2.78", "198.51.100.1", "203.0.113.9"]),
      "another address gets an error",
    );
    assert.equal(say(announce(idOf("192.0.2.1"))), "announce");
    clock.seconds++;
    assert.equal(flood().length, 32);
  });

  test("a flood of bad ids from an IPv6 network counts as one source", () => {
    const { say } = setUp();
    let errors = 0;
    for (let i = 1; i <= 1000; i++)
      if (say(announce(1n), `2001:db8::${i.toString(16)}`) !== "silence") errors++;
    assert.equal(errors, 32);
    assert.ok(
      getsError(say, ["2001:db8:1::1", "2001:db8:2::1", "2001:db8:1:1::1", "2001:db8:4::1"]),
      "another address gets an error",
    );
  });

  test("a scrape of 0, 74, 75, 100 or 3,276 infohashes, or with a ragged tail, is cut to what fits", () => {
    const { handle, idOf } = setUp();
    const id = idOf("192.0.2.1");
    const rows = (count: number, tail = 0) => {
      const packet = createScrapeRequest(id, 7, Array(count).fill(infoHash));
      const [bytes] = handle([{ packet: Buffer.concat([packet, Buffer.alloc(tail)]) }]);
      const answer = parseResponse(bytes!, 4)!;
      assert.ok(bytes!.length <= 1232);
      return answer.action === "scrape" ? answer.rows.length : answer.action;
    };
    assert.deepEqual(
      [rows(0), rows(1), rows(74), rows(75), rows(100), rows(3276), rows(3, 19)],
      ["error", 1, 74, 74, 74, 74, 3],
    );
  });

  test("numwant -1, 0 and 4294967295 are the default, none, and the default again", () => {
    const { handle, idOf } = setUp();
    const peers = (numWant: number) =>
      (handle([{ packet: announce(idOf("192.0.2.1"), { numWant }) }])[0]!.length - 20) / 6;
    assert.deepEqual([peers(-1), peers(0), peers(0xffff_ffff), peers(0x7fff_ffff)], [50, 0, 50, 100]);
  });

  test("only a left of exactly 0 makes a seeder", () => {
    const { handle, idOf, store } = setUp();
    const lefts = [0n, 1n, 1n << 32n, 1n << 63n, (1n << 64n) - 1n, 0xffff_ffff_0000_0000n];
    for (const left of lefts) handle([{ packet: announce(idOf("192.0.2.1"), { left }) }]);
    assert.deepEqual(
      store.announces.map((line) => line.endsWith("seeder true")),
      [true, false, false, false, false, false],
    );
    handle([{ packet: announce(idOf("192.0.2.1"), { left: 99n, event: AnnounceEvent.completed }) }]);
    assert.ok(store.announces.at(-1)!.endsWith("seeder true"));
  });

  test("port 0 is refused", () => {
    const { say, idOf, store } = setUp();
    assert.equal(say(announce(idOf("192.0.2.1"), { port: 0 })), "invalid port");
    assert.deepEqual(store.announces, []);
  });

  test("URL data with __proto__ or constructor as a name is text like any other", () => {
    const seen: unknown[] = [];
    const spy: Hook = {
      name: "spy",
      handleAnnounce: ({ params }) => {
        seen.push(params.get("__proto__"), params.get("constructor"), params.get("toString"));
      },
    };
    const { say, idOf } = setUp({ preHooks: [spy] });
    say(announce(idOf("192.0.2.1"), { urlData: "/?__proto__=a&constructor=b" }));
    assert.deepEqual(seen, ["a", "b", undefined]);
  });

  test("URL data with broken escapes and NUL harms nobody", () => {
    const seen: (string | undefined)[] = [];
    const spy: Hook = {
      name: "spy",
      handleAnnounce: ({ params }) => {
        seen.push(params.get("a"));
      },
    };
    const { say, idOf } = setUp({ preHooks: [spy] });
    for (const value of ["%", "%2", "%zz", "%u0041", "%00", "\0", "%C0%80", "\xff"]) {
      assert.equal(say(announce(idOf("192.0.2.1"), { urlData: `/?a=${value}` })), "announce");
    }
    assert.deepEqual(seen, ["%", "%2", "%zz", "%u0041", "\0", "\0", "\xc0\x80", "\xff"]);
  });

  test("an error never echoes what was sent", () => {
    const { handle, idOf } = setUp();
    const marker = "MARKERMARKERMARKERMA";
    const hash = new TextEncoder().encode(marker);
    for (const packet of [
      announce(1n, { infoHash: hash, peerId: hash, urlData: marker }),
      announce(idOf("192.0.2.1"), { infoHash: hash, peerId: hash, urlData: marker, port: 0 }),
    ]) {
      assert.doesNotMatch(Buffer.from(handle([{ packet }])[0]!).toString("latin1"), /MARKER/);
    }
  });

  test("an address field that points at a victim is ignored, unless spoofing is allowed and it fits", () => {
    const fields = ["198.51.100.1", "10.0.0.1", "127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255"];
    const peers = (allowIpSpoofing: boolean, ipSpoofingFrom: string[] = []) => {
      const { handle, idOf, store } = setUp({ options: { allowIpSpoofing, ipSpoofingFrom } });
      for (const field of fields) {
        handle([{ packet: announce(idOf("192.0.2.1"), { address: Address.parse(field) }) }]);
      }
      return store.announces.map((line) => line.match(/@(.+):6881/)![1]);
    };
    const own = "192.0.2.1";
    assert.deepEqual(
      peers(false),
      fields.map(() => own),
    );
    assert.deepEqual(peers(true), ["198.51.100.1", "10.0.0.1", "127.0.0.1", own, own, own]);
    assert.equal(peers(true, ["192.0.2.0/24"])[0], "198.51.100.1");
    assert.equal(peers(true, ["10.0.0.0/8", "2001:db8::/32"])[0], own, "from another network");
  });

  test("late answers go back to where their requests came from, whatever addresses they name", async () => {
    const { handle, idOf, store, socket, batch, handler } = setUp({ options: { allowIpSpoofing: true } });
    const sent: string[] = [];
    socket.replyPath = (slot) => {
      const source = `${batch.address[slot]}:${batch.port[slot]}`;
      return (bytes) => sent.push(`${source} ${bytes[7]}`);
    };
    store.gate = Promise.resolve();
    const address = Address.parse("198.51.100.1");
    const sources = [
      { from: "192.0.2.1", port: 1001 },
      { from: "192.0.2.2", port: 1002 },
    ];
    handle(
      sources.map(({ from, port }) => ({
        packet: announce(idOf(from), { address, transactionId: port - 1000 }),
        from,
        port,
      })),
    );
    await handler.drained();
    assert.deepEqual(sent, ["192.0.2.1:1001 1", "192.0.2.2:1002 2"]);
  });

  test("a clock that jumps costs clients a connect, no more", () => {
    const { say, clock, handle } = setUp();
    const id = () => {
      const answer = parseResponse(handle([{ packet: connect }])[0]!, 4)!;
      return answer.action === "connect" ? answer.connectionId : assert.fail();
    };
    let old = id();
    for (const jump of [3600, -7200, 86_400 * 365, -1_700_000_000]) {
      clock.unixSeconds += jump;
      assert.equal(say(announce(old)), "bad connection ID");
      old = id();
      assert.equal(say(announce(old)), "announce");
    }
  });

  test("metric labels do not grow with the input", () => {
    const { handle, metrics, idOf } = setUp();
    const id = idOf("192.0.2.1");
    const lines = () => renderPrometheus(metrics.snapshot()).split("\n").length;
    const round = (i: number) => {
      const odd = new Uint8Array(20).fill(i);
      const action = announce(id);
      new DataView(action.buffer).setUint32(8, i + 5);
      handle([
        { packet: announce(id, { infoHash: odd, peerId: odd, event: i, urlData: `/${i}` }) },
        { packet: announce(id, { port: 0, infoHash: odd }) },
        { packet: announce(BigInt(i)) },
        { packet: action },
        { packet: announce(id).subarray(0, 16 + (i % 80)) },
        { packet: odd.subarray(0, i % 16) },
      ]);
    };
    round(0);
    round(1);
    const before = lines();
    for (let i = 2; i < 250; i++) round(i);
    assert.equal(lines(), before);
  });

  test("many announces with one peer id, from many ports and addresses, are all answered", () => {
    const { say, idOf, store } = setUp();
    for (let i = 1; i <= 50; i++) {
      const from = `192.0.2.${i}`;
      for (const port of [1000 + i, 2000 + i])
        assert.equal(say(announce(idOf(from), { port }), from), "announce");
    }
    assert.equal(store.announces.length, 100);
  });

  test("ids stay valid over a restart with the same key", () => {
    const before = setUp();
    const after = setUp();
    assert.equal(after.say(announce(before.idOf("192.0.2.1"))), "announce");
  });

  test("a failure while one datagram is handled is counted and costs only that one", () => {
    const { handle, errors, batch, idOf } = setUp();
    const id = idOf("192.0.2.1");
    const good = batch.address[1]!;
    Object.defineProperty(good, "isUsable", {
      configurable: true,
      value: () => {
        throw new Error("broken");
      },
    });
    const answers = handle([{ packet: announce(id) }, { packet: announce(id) }, { packet: announce(id) }]);
    assert.deepEqual(
      answers.map((answer) => answer?.[3]),
      [1, undefined, 1],
    );
    assert.deepEqual(errors, ["broken"]);
  });

  test("random bytes from a verified address never fail inside", () => {
    const { handle, idOf, errors, clock } = setUp({ options: { allowIpSpoofing: true } });
    fc.assert(
      fc.property(
        fc.nat(4),
        fc.uint8Array({ maxLength: 400, size: "max" }),
        fc.boolean(),
        (action, rest, six) => {
          clock.seconds++;
          const from = six ? "2001:db8::1" : "192.0.2.1";
          const packet = new Uint8Array(16 + rest.length);
          const view = new DataView(packet.buffer);
          view.setBigUint64(0, action === 0 ? 0x41727101980n : idOf(from));
          view.setUint32(8, action);
          packet.set(rest, 16);
          const [answer] = handle([{ packet, from }], six ? 6 : 4);
          assert.ok(answer && parseResponse(answer, six ? 6 : 4), "an answer that clients can read");
          assert.ok(answer.length <= (six ? 1232 : 1472));
        },
      ),
      { seed: 3, numRuns: 5000 },
    );
    assert.deepEqual(errors, []);
  });
});

describe("UDP in batches", () => {
  test("each request has its own answer", () => {
    const { handle, idOf } = setUp();
    const id = idOf("192.0.2.1");
    const answers = handle([
      { packet: announce(id, { transactionId: 1, numWant: 1 }) },
      { packet: connect },
      { packet: new Uint8Array(3) },
      { packet: announce(id, { transactionId: 4, numWant: 2 }) },
      { packet: createScrapeRequest(id, 5, [infoHash]) },
    ]);
    assert.deepEqual(
      answers.map((bytes) => bytes?.length),
      [26, 16, undefined, 32, 20],
    );
    assert.deepEqual(
      answers.map((bytes) => bytes?.[7]),
      [1, 7, undefined, 4, 5],
    );
  });

  test("posthooks see each request and response of the batch, after all of them", () => {
    const seen: string[] = [];
    const pre: Hook = {
      name: "pre",
      handleAnnounce: ({ port }) => {
        seen.push(`pre ${port}`);
      },
    };
    const post: Hook = {
      name: "post",
      handleAnnounce: ({ port, params }, { peers4 }) => {
        seen.push(`post ${port} ${params.path.length} ${peers4.count}`);
      },
      handleScrape: ({ count }) => {
        seen.push(`post scrape ${count}`);
      },
    };
    const { handle, idOf } = setUp({ preHooks: [pre], postHooks: [post] });
    const id = idOf("192.0.2.1");
    const batch = [
      { packet: announce(id, { port: 1, numWant: 1, urlData: "/".repeat(300) }) },
      { packet: announce(id, { port: 0 }) },
      { packet: createScrapeRequest(id, 5, [infoHash, infoHash]) },
      { packet: announce(id, { port: 4, numWant: 4, urlData: "/".repeat(400) }) },
    ];
    const expected = ["pre 1", "pre 4", "post 1 300 1", "post scrape 2", "post 4 400 4"];
    handle(batch);
    handle([{ packet: connect }]);
    handle(batch);
    assert.deepEqual(seen, [...expected, ...expected]);
  });

  test("while too many requests wait, new ones get silence, and connects go on", async () => {
    const { handle, idOf, store, late, handler, say } = setUp();
    const gate = Promise.withResolvers<void>();
    store.gate = gate.promise;
    const packet = announce(idOf("192.0.2.1"), { numWant: 0 });
    for (let i = 0; i < 600; i++) handle(Array.from({ length: 8 }, () => ({ packet })));
    assert.equal(store.announces.length, 4096);
    assert.equal(say(connect), "connect");
    gate.resolve();
    await handler.drained();
    assert.equal(late.length, 4096);
    store.gate = undefined;
    assert.equal(say(packet), "announce");
  });

  test("nothing is allocated in the steady state", () => {
    const { handler, batch, socket, store, idOf } = setUp();
    store.announce = (request, response) => {
      response.complete = request.numWant;
      response.peers4.count = 3;
    };
    const packet = announce(idOf("192.0.2.1"), { urlData: "/announce" });
    for (let slot = 0; slot < capacity; slot++) {
      batch.bytes.set(packet, batch.inAt(slot));
      batch.length[slot] = packet.length;
      batch.address[slot]!.copyFrom(Address.parse("192.0.2.1"));
      batch.port[slot] = 1234;
    }
    const run = () => {
      handler.handleBatch(socket, batch, capacity, 4);
      handler.afterBatch();
    };
    heapGrowth(25_000, run); // compiled now
    const grown = heapGrowth(25_000, run) / capacity;
    assert.equal(batch.outLength[7], 38);
    assert.ok(grown < 1, `the heap has grown by ${grown} bytes an announce`);
  });
});

describe("an observer of UDP", () => {
  test("sees a datagram that nobody can be answered to, one that fails, and those of a tracker that stops", () => {
    const observer = new RecordingObserver();
    const { handle, handler, idOf, store } = setUp({ observer });
    handle([{ packet: connect, port: 0 }]);
    assert.deepEqual(observer.take(), ["udp - - - source"]);
    Object.assign(handler, { isStopping: true });
    handle([{ packet: connect }, { packet: new Uint8Array(3) }]);
    assert.deepEqual(observer.take(), ["udp - - - stopping", "udp - - - stopping"]);
    handler.isStopping = false;
    store.scrape = () => {
      throw new Error("on purpose");
    };
    handle([{ packet: createScrapeRequest(idOf("192.0.2.1"), 7, [infoHash]) }]);
    assert.deepEqual(observer.take(), ["udp scrape 4 internal -"]);
  });

  test("sees one end of a request that fails inside", async () => {
    const observer = new RecordingObserver();
    const { handle, handler, idOf, socket, store } = setUp({ observer });
    const packet = announce(idOf("192.0.2.1"));
    handle([{ packet }]);
    observer.take();
    store.gate = Promise.resolve();
    socket.replyPath = () => () => {
      throw new Error("on purpose");
    };
    handle([{ packet }]);
    await handler.drained();
    await new Promise(setImmediate);
    assert.deepEqual(observer.take(), ["udp announce 4 - failed"]);
    socket.replyPath = () => {
      throw new Error("on purpose");
    };
    handle([{ packet }]);
    assert.deepEqual(observer.ended, ["udp - - - failed"]);
  });

  test("sees those beyond the number that may wait, and all others end, some when the tracker stops", async () => {
    const observer = new RecordingObserver();
    const { handle, handler, idOf, store } = setUp({ observer });
    const gate = Promise.withResolvers<void>();
    store.gate = gate.promise;
    const packet = announce(idOf("192.0.2.1"));
    for (let i = 0; i < 4096; i++) handle([{ packet }]);
    assert.deepEqual([observer.began, observer.ended.length], [4096, 0]);
    handle([{ packet }]);
    assert.deepEqual(observer.ended, ["udp announce - - overloaded"]);
    handler.giveUp();
    const ended = observer.take();
    assert.deepEqual([ended.length, ended.at(-1)], [4097, "udp announce 4 - stopping"]);
    gate.resolve();
    await new Promise(setImmediate);
    assert.deepEqual(observer.take(), []);
  });
});

test("the bytes of datagrams and responses are counted, also those of dropped datagrams and late responses", async () => {
  const later: Hook = { name: "later", handleScrape: () => Promise.resolve(undefined) };
  const { handle, handler, idOf, metrics, late } = setUp({ preHooks: [later] });
  const connectionId = idOf("192.0.2.1");
  const [connected, dropped, announced] = handle([
    { packet: connect },
    { packet: new Uint8Array(5) },
    { packet: announce(connectionId) },
  ]);
  assert.equal(dropped, undefined);
  const scrape = createScrapeRequest(connectionId, 7, [infoHash]);
  handle([{ packet: scrape }]);
  await handler.drained();
  const counted = Object.fromEntries(
    metrics.snapshot().flatMap(({ name, series }) => series.map(({ values }) => [name, values[0]])),
  );
  assert.equal(counted.chihaya_received_bytes_total, 16 + 5 + announce(connectionId).length + scrape.length);
  assert.equal(counted.chihaya_sent_bytes_total, connected!.length + announced!.length + late[0]!.length);
});

test("the requests of a batch end together, after their responses; a late response has a time of its own", async () => {
  const observer = new RecordingObserver(true);
  const later: Hook = { name: "later", handleScrape: () => Promise.resolve(undefined) };
  const { handler, batch, socket, idOf, handle } = setUp({ preHooks: [later], observer });
  handle([{ packet: connect }]);
  const begun = observer.times[0]!.startedMs;
  assert.ok(begun > 0);
  observer.take();
  observer.times.length = 0;

  const connectionId = idOf("192.0.2.1");
  const packets = [connect, announce(connectionId), createScrapeRequest(connectionId, 7, [infoHash])];
  for (const [slot, packet] of packets.entries()) {
    batch.bytes.set(packet, batch.inAt(slot));
    batch.length[slot] = packet.length;
    batch.address[slot]!.copyFrom(Address.parse("192.0.2.1"));
    batch.port[slot] = 1234;
  }
  handler.handleBatch(socket, batch, packets.length, 4);
  assert.deepEqual(observer.ended, []);
  handler.afterBatch();
  assert.deepEqual(observer.ended, ["udp connect 4 - -", "udp announce 4 - -"]);
  const [first, second] = observer.times;
  assert.deepEqual(first, second);
  assert.ok(first!.milliseconds > 0);
  await handler.drained();
  assert.deepEqual(observer.ended.slice(2), ["udp scrape 4 - -"]);
  assert.equal(observer.times[2]!.startedMs, first!.startedMs);
  assert.ok(observer.times[2]!.milliseconds > first!.milliseconds);
});
