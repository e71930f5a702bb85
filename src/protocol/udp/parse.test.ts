import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AnnounceRequest } from "../../bittorrent/announce.ts";
import type { ClientError } from "../../bittorrent/client-error.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { toHex } from "../../bittorrent/info-hash.ts";
import { ScrapeRequest } from "../../bittorrent/scrape.ts";
import { Address } from "../../ip/address.ts";
import { type AnnouncePacket, createAnnounceRequest, createScrapeRequest } from "./client.ts";
import { maxUrlDataLength } from "./options.ts";
import { Action, invalidPort, malformedPacket } from "./packet.ts";
import { type AnnounceRules, parseAnnounce, parseScrape } from "./parse.ts";

const rules: AnnounceRules = { allowIpSpoofing: false, maxNumWant: 100, defaultNumWant: 50 };
const source = Address.parse("192.0.2.7");

/** Parses an announce in the middle of a buffer. */
function parse(
  packet: Uint8Array,
  options: { rules?: Partial<AnnounceRules>; source?: Address } = {},
): { error: ClientError | undefined; request: AnnounceRequest } {
  const bytes = new Uint8Array(packet.length + 300).fill(0xee);
  bytes.set(packet, 100);
  const view = new DataView(bytes.buffer);
  const request = new AnnounceRequest();
  const error = parseAnnounce(
    bytes,
    view,
    100,
    packet.length,
    view.getUint32(108) as 1 | 4,
    options.source ?? source,
    { ...rules, ...options.rules },
    new Uint8Array(maxUrlDataLength),
    request,
  );
  return { error, request };
}

const basic: AnnouncePacket = {
  connectionId: 1n,
  transactionId: 2,
  infoHash: Uint8Array.from({ length: 20 }, (_, i) => i + 1),
  peerId: Uint8Array.from({ length: 20 }, (_, i) => 255 - i),
  port: 6881,
};

describe("an announce over UDP", () => {
  const infoHash = "78a9cdc07d69b5c0e20f8d3edd04c6542989e52c";
  const ascii = (text: string): string => Buffer.from(text, "latin1").toString("hex");
  // Captured from real clients. Connection id, transaction id and fields missing in the capture are invented.
  const captured: {
    client: string;
    tail: string;
    length: number;
    peerId?: string;
    event: AnnounceEvent;
    numWant: number;
    port: number;
    path?: string;
  }[] = [
    {
      client: "Transmission 3.00",
      peerId: "-TR3000-qk8ru6vj2551",
      tail: `${"00".repeat(24)}00000002000000000d1aeca700000050c92d`,
      length: 98,
      event: AnnounceEvent.started,
      numWant: 80,
      port: 51501,
    },
    {
      client: "aria2 1.36",
      tail: `${"00".repeat(24)}00000002000000003919903d00000032c9910000`,
      length: 100,
      event: AnnounceEvent.started,
      numWant: 50,
      port: 51601,
    },
    {
      client: "libtorrent 2.0.8",
      peerId: "-LT2080-cPPJTX1~r-xr",
      tail: `${"00".repeat(24)}0000000200000000f41002a7000000c8cb2202092f616e6e6f756e6365`,
      length: 109,
      event: AnnounceEvent.started,
      numWant: 100,
      port: 52002,
      path: "/announce",
    },
    {
      client: "libtorrent 2.0.8 as a partial seed",
      peerId: "-LT2080-cPPJTX1~r-xr",
      tail: `${"00".repeat(24)}0000000400000000f41002a7000000c8cb2202092f616e6e6f756e6365`,
      length: 109,
      event: AnnounceEvent.paused,
      numWant: 100,
      port: 52002,
      path: "/announce",
    },
    {
      client: "rTorrent 0.9.8",
      tail: `${"00".repeat(24)}000000020000000022731709ffffffffcf09`,
      length: 98,
      event: AnnounceEvent.started,
      numWant: 50,
      port: 53001,
    },
    {
      client: "webtorrent 2.8.5, stopping",
      tail: `${"00".repeat(8)}${"ff".repeat(8)}${"00".repeat(8)}00000003000000000000000000000032dac2`,
      length: 98,
      event: AnnounceEvent.stopped,
      numWant: 50,
      port: 56002,
    },
  ];
  for (const row of captured) {
    test(`of ${row.client} parses`, () => {
      const peerId = row.peerId ?? "-XX0000-abcdefghijkl";
      const packet = Buffer.from(
        `${"0102030405060708"}00000001${"37a0f7a5"}${infoHash}${ascii(peerId)}${row.tail}`,
        "hex",
      );
      assert.equal(packet.length, row.length);
      const { error, request } = parse(packet);
      assert.equal(error, undefined);
      assert.equal(toHex(request.infoHash), infoHash);
      assert.equal(toHex(request.peerId), ascii(peerId));
      assert.equal(request.event, row.event);
      assert.equal(request.numWant, row.numWant);
      assert.equal(request.port, row.port);
      assert.equal(request.params.path, row.path ?? "");
      assert.equal(`${request.address}`, "192.0.2.7");
    });
  }

  test("keeps 64 bits of each counter", () => {
    const { request } = parse(
      createAnnounceRequest({
        ...basic,
        downloaded: 0x0123_4567_89ab_cdefn,
        left: 0xffff_ffff_ffff_ffffn,
        uploaded: 0x8000_0000_0000_0001n,
      }),
    );
    assert.equal(request.downloaded, 0x0123_4567_89ab_cdefn);
    assert.equal(request.left, 0xffff_ffff_ffff_ffffn);
    assert.equal(request.uploaded, 0x8000_0000_0000_0001n);
    assert.equal(request.isSeeder, false);
  });

  for (const [action, minimum] of [
    [Action.announce, 98],
    [Action.announceIPv6, 110],
  ] as const) {
    test(`with action ${action} has ${minimum} bytes or more`, () => {
      const packet = createAnnounceRequest({ ...basic, action });
      assert.equal(packet.length, minimum);
      for (let length = 16; length < minimum; length++) {
        assert.equal(parse(packet.subarray(0, length)).error, malformedPacket, `${length} bytes`);
      }
      for (let extra = 0; extra < 300; extra += 13) {
        const { error, request } = parse(Buffer.concat([packet, Buffer.alloc(extra, 0xfe)]));
        assert.equal(error, undefined);
        assert.equal(request.port, 6881);
      }
    });
  }

  test("has one of five events; any other number is none", () => {
    const events = [0, 1, 2, 3, 4, 5, 255, 256, 0x0100_0001, 0xffff_ffff].map(
      (event) => parse(createAnnounceRequest({ ...basic, event })).request.event,
    );
    assert.deepEqual(events, [0, 1, 2, 3, 4, 0, 0, 0, 0, 0]);
  });

  test("gets the default for a negative numwant, and never more than the maximum", () => {
    const numWants = (max: number, byDefault: number) =>
      [-1, -2, -(2 ** 31), 0, 1, 99, 100, 101, 2 ** 31 - 1].map(
        (numWant) =>
          parse(createAnnounceRequest({ ...basic, numWant, left: 0n }), {
            rules: { maxNumWant: max, defaultNumWant: byDefault },
          }).request.numWant,
      );
    assert.deepEqual(numWants(100, 50), [50, 50, 50, 0, 1, 99, 100, 100, 100]);
    assert.deepEqual(numWants(20, 50), [20, 20, 20, 0, 1, 20, 20, 20, 20]);
  });

  test("gets the default for numwant 0 as a leecher that has not stopped", () => {
    const rows: [left: bigint, event: number, numWant: number][] = [
      [1n, 0, 50],
      [1n, 2, 50],
      [1n, 4, 50],
      [1n, 99, 50],
      [2n ** 32n, 0, 50],
      [2n ** 64n - 1n, 2, 50],
      [1n, 3, 0],
      [1n, 1, 0],
      [0n, 0, 0],
      [0n, 2, 0],
      [0n, 3, 0],
    ];
    for (const [left, event, expected] of rows) {
      const { request } = parse(createAnnounceRequest({ ...basic, numWant: 0, left, event }));
      assert.equal(request.numWant, expected, `left ${left}, event ${event}`);
    }
  });

  test("from port 0 is refused", () => {
    for (const action of [Action.announce, Action.announceIPv6]) {
      assert.equal(parse(createAnnounceRequest({ ...basic, action, port: 0 })).error, invalidPort);
      assert.equal(parse(createAnnounceRequest({ ...basic, action, port: 65535 })).request.port, 65535);
    }
  });

  const spoofing: {
    action: typeof Action.announce | typeof Action.announceIPv6;
    from: string;
    field: string;
    peer: string;
  }[] = [
    { action: 1, from: "192.0.2.7", field: "198.51.100.1", peer: "198.51.100.1" },
    { action: 1, from: "192.0.2.7", field: "0.0.0.0", peer: "192.0.2.7" },
    { action: 1, from: "192.0.2.7", field: "224.0.0.1", peer: "192.0.2.7" },
    { action: 1, from: "192.0.2.7", field: "255.255.255.255", peer: "192.0.2.7" },
    { action: 1, from: "2001:db8::7", field: "198.51.100.1", peer: "2001:db8::7" },
    { action: 4, from: "2001:db8::7", field: "2001:db8::1", peer: "2001:db8::1" },
    { action: 4, from: "2001:db8::7", field: "::", peer: "2001:db8::7" },
    { action: 4, from: "2001:db8::7", field: "ff02::1", peer: "2001:db8::7" },
    { action: 4, from: "2001:db8::7", field: "::ffff:198.51.100.1", peer: "2001:db8::7" },
    { action: 4, from: "192.0.2.7", field: "2001:db8::1", peer: "192.0.2.7" },
    { action: 4, from: "192.0.2.7", field: "::ffff:198.51.100.1", peer: "198.51.100.1" },
  ];
  for (const { action, from, field, peer } of spoofing) {
    test(`with action ${action} from ${from} and the field ${field} makes the peer ${peer} if spoofing is allowed`, () => {
      const packet = createAnnounceRequest({ ...basic, action, address: Address.parse(field) });
      const source = Address.parse(from);
      const believed = parse(packet, { source, rules: { allowIpSpoofing: true } }).request;
      assert.equal(`${believed.address}`, peer);
      assert.equal(`${parse(packet, { source }).request.address}`, from);
    });
  }

  test("parses back from its bytes", () => {
    const twenty = fc.uint8Array({ minLength: 20, maxLength: 20 });
    const word = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    fc.assert(
      fc.property(
        fc.record({
          action: fc.constantFrom(Action.announce, Action.announceIPv6),
          connectionId: word,
          transactionId: fc.nat(),
          infoHash: twenty,
          peerId: twenty,
          downloaded: word,
          left: word,
          uploaded: word,
          event: fc.nat(4),
          key: fc.nat(),
          numWant: fc.nat(100),
          port: fc.integer({ min: 1, max: 65535 }),
          urlData: fc.stringMatching(/^\/[a-z0-9=&]{0,600}$/),
        }),
        (packet) => {
          const { error, request } = parse(createAnnounceRequest(packet));
          assert.equal(error, undefined);
          assert.deepEqual(request.infoHash, packet.infoHash);
          assert.deepEqual(request.peerId, packet.peerId);
          assert.equal(request.downloaded, packet.downloaded);
          assert.equal(request.left, packet.left);
          assert.equal(request.uploaded, packet.uploaded);
          assert.equal(request.event, packet.event);
          const byDefault = packet.numWant === 0 && !request.isSeeder && packet.event !== 3;
          assert.equal(request.numWant, byDefault ? 50 : packet.numWant);
          assert.equal(request.port, packet.port);
          assert.equal(request.params.path, packet.urlData);
        },
      ),
      { seed: 15, numRuns: 500 },
    );
  });
});

describe("a scrape over UDP", () => {
  const hashes = (count: number): Uint8Array[] =>
    Array.from({ length: count }, (_, i) => new Uint8Array(20).fill(i));

  function parse(packet: Uint8Array, max = 74): { error: ClientError | undefined; request: ScrapeRequest } {
    const bytes = new Uint8Array(packet.length + 64).fill(0xee);
    bytes.set(packet, 32);
    const request = new ScrapeRequest(74);
    return { error: parseScrape(bytes, 32, packet.length, source, max, request), request };
  }

  for (const [sent, max, taken] of [
    [1, 74, 1],
    [50, 74, 50],
    [74, 74, 74],
    [75, 74, 74],
    [75, 100, 74],
    [100, 50, 50],
  ] as const) {
    test(`of ${sent} infohashes with a maximum of ${max} keeps ${taken}`, () => {
      const { error, request } = parse(createScrapeRequest(1n, 2, hashes(sent)), max);
      assert.equal(error, undefined);
      assert.equal(request.count, taken);
      for (let i = 0; i < taken; i++) assert.deepEqual(request.infoHash(i), hashes(sent)[i]);
      assert.ok(request.address.equals(source));
    });
  }

  test("without a whole infohash is refused", () => {
    const packet = createScrapeRequest(1n, 2, hashes(1));
    for (let length = 16; length < 36; length++) {
      const { error, request } = parse(packet.subarray(0, length));
      assert.equal(error, malformedPacket);
      assert.equal(request.count, 0);
    }
  });

  test("may end in a ragged tail", () => {
    for (let tail = 0; tail < 20; tail++) {
      const { error, request } = parse(
        Buffer.concat([createScrapeRequest(1n, 2, hashes(2)), Buffer.alloc(tail, 9)]),
      );
      assert.equal(error, undefined);
      assert.equal(request.count, 2);
    }
  });

  test("starts without the hidden rows of the previous scrape", () => {
    const bytes = createScrapeRequest(1n, 2, hashes(3));
    const request = new ScrapeRequest(74);
    parseScrape(bytes, 0, bytes.length, source, 74, request);
    request.hide(1);
    parseScrape(bytes, 0, bytes.length, source, 74, request);
    assert.equal(request.isHidden(1), false);
  });
});
