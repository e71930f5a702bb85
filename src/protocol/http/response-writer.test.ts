import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { ClientError, internalError } from "../../bittorrent/client-error.ts";
import { compactLength, PeerList } from "../../bittorrent/peer-list.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { Address } from "../../ip/address.ts";
import { decodeBencode } from "../bencode/decode.ts";
import { type Encodable, encodeBencode } from "../bencode/encode.ts";
import {
  type PlainStatus,
  ResponseBuffer,
  writeAnnounceResponse,
  writeFailure,
  writeScrapeResponse,
  writeStatus,
} from "./response-writer.ts";

const maxPeers = 50;
const out = new ResponseBuffer(maxPeers, 50);

function written(): string {
  return Buffer.from(out.bytes.subarray(out.start, out.end)).toString("latin1");
}

function withHead(body: string, connection = "close"): string {
  return (
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n" +
    `Connection: ${connection}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  );
}

function addPeers(list: PeerList, peers: readonly string[]): void {
  const stride = compactLength[list.family];
  for (const peer of peers) {
    const colon = peer.lastIndexOf(":");
    const at = list.at + stride * list.count++;
    list.bytes.set(Address.parse(peer.slice(0, colon)).bytes.subarray(0, stride - 2), at);
    list.view.setUint16(at + stride - 2, Number(peer.slice(colon + 1)));
  }
}

interface Case {
  from?: string;
  compact?: boolean;
  peers4?: readonly string[];
  peers6?: readonly string[];
  warning?: string;
  externalIp?: string;
}

function write({
  from = "10.0.0.1",
  compact = true,
  peers4 = [],
  peers6 = [],
  warning,
  externalIp,
}: Case): string {
  const request = new AnnounceRequest();
  request.address.copyFrom(Address.parse(from));
  request.compact = compact;
  const response = new AnnounceResponse(out.peers4, out.peers6);
  response.reset(1800, 900);
  Object.assign(response, { complete: 3, incomplete: 21, snatches: 4294967295, warning });
  addPeers(response.peers4, peers4);
  addPeers(response.peers6, peers6);
  writeAnnounceResponse(
    out,
    request,
    response,
    false,
    false,
    externalIp ? Address.parse(externalIp) : undefined,
  );
  return written();
}

const counts = "d8:completei3e10:downloadedi4294967295e10:incompletei21e8:intervali1800e12:min intervali900e";

test("announce responses match byte for byte", () => {
  const table: [given: Case, body: string][] = [
    [{}, `${counts}5:peers0:e`],
    [{ from: "::2" }, `${counts}5:peers0:6:peers60:e`],
    [{ peers4: ["1.2.3.4:258"] }, `${counts}5:peers6:\x01\x02\x03\x04\x01\x02e`],
    [
      { peers4: ["1.2.3.4:258", "5.6.7.8:65535"], peers6: ["2001:db8::1:80"] },
      `${counts}5:peers12:\x01\x02\x03\x04\x01\x02\x05\x06\x07\x08\xff\xff` +
        "6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50e",
    ],
    [{ from: "::2", peers6: ["::3:1"] }, `${counts}5:peers0:6:peers618:${"\0".repeat(15)}\x03\0\x01e`],
    [
      { externalIp: "1.2.3.4" },
      `${counts.replace("10:incomplete", "11:external ip4:\x01\x02\x03\x0410:incomplete")}5:peers0:e`,
    ],
    [
      { from: "::2", externalIp: "2001:db8::a", warning: "old cliént" },
      `${counts.replace(
        "10:incomplete",
        "11:external ip16:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x0a10:incomplete",
      )}5:peers0:6:peers60:15:warning message11:old cli\xc3\xa9nte`,
    ],
    [{ warning: "" }, `${counts}5:peers0:15:warning message0:e`],
    [{ compact: false }, `${counts}5:peerslee`],
    [
      { from: "::2", compact: false, peers4: ["1.2.3.4:1"], peers6: ["2001:db8::1:65535"], warning: "w" },
      `${counts}5:peersld2:ip7:1.2.3.44:porti1eed2:ip11:2001:db8::14:porti65535eee15:warning message1:we`,
    ],
  ];
  for (const [given, body] of table) assert.equal(write(given), withHead(body), JSON.stringify(given));
});

test("a list has peer ids if the store keeps them and the client wants them", () => {
  const request = new AnnounceRequest();
  request.compact = false;
  const response = new AnnounceResponse(out.peers4, out.peers6);
  response.reset(1800, 900);
  addPeers(response.peers4, ["1.2.3.4:1", "1.2.3.5:2"]);
  response.peers4.peerIds = new Uint8Array(Buffer.from("a".repeat(20) + "b".repeat(20)));
  response.peers4.hasPeerIds = true;
  const a = (id: string) => `d2:ip7:1.2.3.4${id}4:porti1ee`;
  const b = (id: string) => `d2:ip7:1.2.3.5${id}4:porti2ee`;
  writeAnnounceResponse(out, request, response, false, false, undefined);
  assert.ok(
    written().endsWith(
      `5:peersl${a(`7:peer id20:${"a".repeat(20)}`)}${b(`7:peer id20:${"b".repeat(20)}`)}ee`,
    ),
  );
  writeAnnounceResponse(out, request, response, false, true, undefined);
  assert.ok(written().endsWith(`5:peersl${a("")}${b("")}ee`));
  response.peers4.hasPeerIds = false;
  writeAnnounceResponse(out, request, response, false, false, undefined);
  assert.ok(written().endsWith(`5:peersl${a("")}${b("")}ee`));
  out.peers4.peerIds = undefined;
});

test("every response fits, wherever its peers lie", () => {
  const count = fc.integer({ min: 0, max: maxPeers });
  const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const elsewhere = [new PeerList(4, new Uint8Array(3000)), new PeerList(6, new Uint8Array(3000))] as const;
  const shape = fc.record({
    count4: count,
    count6: count,
    number: u32,
    compact: fc.boolean(),
    own: fc.boolean(),
    six: fc.boolean(),
    keepAlive: fc.boolean(),
    external: fc.option(fc.constantFrom("1.2.3.4", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
    warning: fc.option(fc.constantFrom("w", "é".repeat(2000))),
  });
  fc.assert(
    fc.property(shape, ({ count4, count6, number, compact, own, six, keepAlive, external, warning }) => {
      const request = new AnnounceRequest();
      request.compact = compact;
      request.address.family = six ? 6 : 4;
      const response = own
        ? new AnnounceResponse(out.peers4, out.peers6)
        : new AnnounceResponse(elsewhere[0], elsewhere[1]);
      response.reset(number, number);
      response.complete = response.incomplete = response.snatches = number;
      if (warning !== null) response.warning = warning;
      addPeers(
        response.peers4,
        Array.from({ length: count4 }, (_, i) => `255.255.255.1${i}:${65535 - i}`),
      );
      addPeers(
        response.peers6,
        Array.from(
          { length: count6 },
          (_, i) => `ffff:ffff:ffff:ffff:ffff:ffff:ffff:${(i + 4096).toString(16)}:${65535 - i}`,
        ),
      );
      const { peers4, peers6 } = response;
      const bytes4 = peers4.bytes.slice(peers4.at, peers4.at + 6 * count4);
      const bytes6 = peers6.bytes.slice(peers6.at, peers6.at + 18 * count6);
      const externalIp = external === null ? undefined : Address.parse(external);
      writeAnnounceResponse(out, request, response, keepAlive, false, externalIp);

      const dictionary = (ip: string, port: number) => ({ ip, port });
      const expected: Record<string, Encodable | undefined> = {
        complete: number,
        downloaded: number,
        incomplete: number,
        interval: number,
        "min interval": number,
        "external ip": externalIp?.bytes.slice(0, externalIp.family === 4 ? 4 : 16),
        "warning message": warning === null ? undefined : warning.slice(0, 512), // 1,024 bytes
        peers: compact
          ? bytes4
          : [
              ...Array.from({ length: count4 }, (_, i) => dictionary(`255.255.255.1${i}`, 65535 - i)),
              ...Array.from({ length: count6 }, (_, i) =>
                dictionary(`ffff:ffff:ffff:ffff:ffff:ffff:ffff:${(i + 4096).toString(16)}`, 65535 - i),
              ),
            ],
        peers6: compact && (six || count6 > 0) ? bytes6 : undefined,
      };
      const body = Buffer.from(encodeBencode(expected)).toString("latin1");
      assert.equal(written(), withHead(body, keepAlive ? "keep-alive" : "close"));
    }),
    { seed: 1, numRuns: 300 },
  );
});

test("the head says whether the connection stays open", () => {
  writeFailure(out, internalError, true);
  assert.match(written(), /\r\nConnection: keep-alive\r\n/);
  writeFailure(out, internalError, false);
  assert.match(written(), /\r\nConnection: close\r\n/);
});

test("failures are bencode with status 200", () => {
  const table: [error: ClientError, body: string][] = [
    [new ClientError("hello worlde"), "d14:failure reason12:hello worldee"],
    [new ClientError("né"), "d14:failure reason3:n\xc3\xa9e"],
    [new ClientError("x", "hook", { retryIn: 5 }), "d14:failure reason1:x8:intervali300e8:retry in1:5e"],
    [new ClientError("x", "hook", { retryIn: 60 }), "d14:failure reason1:x8:intervali3600e8:retry in2:60e"],
    [
      new ClientError("not a tracker", "hook", { retryIn: "never" }),
      "d14:failure reason13:not a tracker8:retry in5:nevere",
    ],
    [new ClientError("x".repeat(5000)), `d14:failure reason1024:${"x".repeat(1024)}e`],
  ];
  for (const [error, body] of table) {
    for (let repeat = 0; repeat < 2; repeat++) {
      writeFailure(out, error, false);
      assert.equal(written(), withHead(body));
    }
  }
});

function scrape(infoHashes: readonly string[], rows: readonly [number, number, number, number][]): string {
  const request = new ScrapeRequest(50);
  const response = new ScrapeResponse(50);
  for (const infoHash of infoHashes) request.add(Buffer.from(infoHash.padEnd(20, "."), "latin1"), 0);
  for (const [i, row] of rows.entries()) response.set(i, ...row);
  writeScrapeResponse(out, request, response, false);
  return written();
}

test("scrape responses match byte for byte", () => {
  assert.equal(
    scrape(["a"], [[1, 2, 3, 0]]),
    withHead("d5:filesd20:a...................d8:completei1e10:downloadedi3e10:incompletei2eeee"),
  );
  assert.equal(
    scrape(
      ["\xff", "b", "\0", "b"],
      [
        [0, 0, 0, 0],
        [1, 5, 9, 2],
        [4294967295, 4294967295, 4294967295, 1],
        [1, 5, 9, 2],
      ],
    ),
    withHead(
      "d5:filesd20:\0...................d8:completei4294967295e10:downloadedi4294967295e" +
        "11:downloadersi4294967294e10:incompletei4294967295ee" +
        "20:b...................d8:completei1e10:downloadedi9e11:downloadersi3e10:incompletei5ee" +
        "20:\xff...................d8:completei0e10:downloadedi0e10:incompletei0eeee",
    ),
  );
});

test("a scrape response sorts its infohashes and drops duplicates", () => {
  const name = fc.string({ unit: fc.constantFrom("\0", "a", "\x80", "\xff"), minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 50 }), (names) => {
      const rows = names.map((_, i): [number, number, number, number] => [
        2 ** 32 - 1,
        2 ** 32 - 1,
        2 ** 32 - 1,
        i + 1,
      ]);
      const body = scrape(names, rows).split("\r\n\r\n").slice(1).join("\r\n\r\n");
      const decoded = decodeBencode(new Uint8Array(Buffer.from(body, "latin1")), { sortedKeys: true });
      const files = (decoded as Map<string, Map<string, unknown>>).get("files")!;
      assert.deepEqual(new Set(files.keys()), new Set(names.map((text) => text.padEnd(20, "."))));
    }),
    { seed: 1, numRuns: 300 },
  );
});

test("a request that is neither announce nor scrape gets a plain status", () => {
  const notATracker = "d14:failure reason13:not a tracker8:retry in5:nevere";
  const table: [status: PlainStatus, reason: string, more: string, body?: string][] = [
    [400, "Bad Request", ""],
    [404, "Not Found", "", notATracker],
    [405, "Method Not Allowed", "Allow: GET, HEAD\r\n"],
    [408, "Request Timeout", ""],
    [431, "Request Header Fields Too Large", ""],
    [505, "HTTP Version Not Supported", ""],
  ];
  for (const [status, reason, more, body = `${reason}\n`] of table) {
    for (const keepAlive of [false, true]) {
      writeStatus(out, status, keepAlive);
      assert.equal(
        written(),
        `HTTP/1.1 ${status} ${reason}\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n${more}` +
          `Connection: ${keepAlive ? "keep-alive" : "close"}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    }
  }
});
