import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import * as zlib from "node:zlib";
import { announceQuery, RawClient, type RawResponse } from "../../../../test/fixtures/http-server.ts";
import { temporaryDirectory } from "../../../../test/support/daemon.ts";
import { UdpClient } from "../../../../test/support/udp.ts";
import { loadConfig } from "../../../config/load.ts";
import { createRandom } from "../../../lib/clock.ts";
import { createAnnounceRequest, createScrapeRequest } from "../../../protocol/udp/client.ts";
import { MemoryStore } from "../../../storage/memory/memory-store.ts";
import type { PeerStore } from "../../../storage/peer-store.ts";
import type { Records } from "../../../storage/records.ts";
import { createTracker } from "../../../tracker/create-tracker.ts";
import type { HttpOptions } from "../options.ts";
import type { OpentrackerOptions } from "./options.ts";

const clock = () => ({ seconds: 100_000, unixSeconds: 1_700_000_000 });

async function start(
  t: TestContext,
  opentracker: Partial<OpentrackerOptions> = {},
  http: Partial<HttpOptions> = {},
  store?: PeerStore,
) {
  const time = clock();
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const tracker = createTracker({
    http: { listen, opentracker, ...http },
    udp: { listen },
    clock: time,
    ...(store && { store }),
  });
  await tracker.start();
  t.after(() => tracker.stop(0));
  const [web, udp] = tracker.urls().map((url) => Number(new URL(url).port)) as [number, number];
  /** Requests a target on a connection of its own, which the tracker closes. */
  const get = async (target: string, ...fields: string[]): Promise<RawResponse> => {
    const client = new RawClient(t, web);
    client.send(`GET ${target} HTTP/1.0\r\nHost: x\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`);
    const text = await client.readToEnd();
    const end = text.indexOf("\r\n\r\n");
    return { status: Number(text.slice(9, 12)), head: text.slice(0, end), body: text.slice(end + 4) };
  };
  const announce = (infoHash: string, port: number, changes: Record<string, string | null> = {}) =>
    get(`/announce?${announceQuery({ info_hash: infoHash.repeat(20), port: `${port}`, ...changes })}`);
  return { tracker, clock: time, port: web, udp, get, announce };
}

type Started = Awaited<ReturnType<typeof start>>;

/** Two torrents: one with two seeders and a leecher, and one with a leecher. */
async function fill({ announce }: Started): Promise<void> {
  await announce("A", 1001, { left: "0", event: "started" });
  await announce("A", 1002, { left: "0", event: "completed" });
  await announce("A", 1003);
  await announce("B", 1004);
}

const fullScrape = `d5:filesd20:${"A".repeat(20)}d8:completei2e10:downloadedi1e10:incompletei1ee20:${"B".repeat(20)}d8:completei0e10:downloadedi0e10:incompletei1eeee`;

test("without the block, nothing of it is there", async (t) => {
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const tracker = createTracker({ http: { listen }, udp: false });
  await tracker.start();
  t.after(() => tracker.stop(0));
  const client = new RawClient(t, Number(new URL(tracker.urls()[0]!).port));
  for (const [target, status] of [
    ["/stats", 404],
    ["/stats.json", 404],
    ["/", 200],
  ] as const)
    assert.equal((await client.get(target)).status, status, target);
  assert.match((await client.get("/scrape")).body, /^d14:failure reason/);
  assert.doesNotMatch(await tracker.renderMetrics(), /opentracker|full_scrape/);
});

test("the modes show what the tracker has served", async (t) => {
  const started = await start(t, { fullScrape: true });
  const { get, udp } = started;
  await fill(started);
  const client = await UdpClient.open(4, udp);
  t.after(() => client.close());
  const connectionId = await client.connect();
  const infoHash = Buffer.alloc(20, "C");
  const peerId = Buffer.alloc(20, "b");
  await client.exchange(
    createAnnounceRequest({ connectionId, transactionId: 1, infoHash, peerId, left: 0n, port: 9 }),
  );
  await client.exchange(createScrapeRequest(connectionId, 1, [infoHash]));
  await client.exchange(createScrapeRequest(1n, 1, [infoHash]));
  await get(`/scrape?info_hash=${"A".repeat(20)}`);
  await get("/scrape");
  await get("/announce?left=1");
  await get("/nowhere");

  const body = async (mode: string) => (await get(`/stats?mode=${mode}`)).body;
  assert.equal((await get("/stats")).body, "5\n3\nopentracker serving 3 torrents\nopentracker");
  assert.equal(await body("peer"), await body("bogus&mode=peer"));
  assert.match(await body("tcp4"), /^12\n4\n/);
  assert.match(await body("udp4"), /^4\n2\n/);
  assert.match(await body("conn"), /^18\n6\n/);
  assert.match(await body("scrp"), /^1\n1\n/);
  assert.match(await body("completed"), /^1\n0\n/);
  assert.match(await body("fscr"), new RegExp(`^1\n${fullScrape.length + 70}\n`));
  assert.match(await body("herr"), /^302 RED 0\n400 ... 0\n400 PAR 1\n400 COM 0\n403 IP {2}0\n404 INV 1\n/);
  assert.match(await body("everything"), /<missmatch>1<\/missmatch>/);
  assert.match(await body("top10"), new RegExp(`^Top 10 torrents by peers:\n\t3\t${"41".repeat(20)}\n`));
});

test("modes that opentracker has and this tracker has not, unknown ones and announces are refused", async (t) => {
  const { get } = await start(t);
  for (const [query, status] of [
    ["mode=busy", 404],
    ["mode=woodpeckers", 404],
    ["mode=", 400],
    ["mode=PEER", 400],
    ["mode=toString", 400],
    [`mode=${"x".repeat(8000)}`, 400],
    ["mode=%0d%0aX-Evil:%201", 400],
    ["mode=tpbs&format=xml", 400],
    [`info_hash=${"a".repeat(20)}`, 400],
    ["mode=peer&info_hash=", 400],
    ["mode=tpbs", 200],
    ["", 200],
  ] as const) {
    const { status: got, body, head } = await get(`/stats?${query}`);
    assert.equal(got, status, query);
    assert.ok(body.length < 300);
    assert.doesNotMatch(head, /evil/i);
  }
});

test("statistics are for the networks that may read them, by the address of the client", async (t) => {
  const proxied = { realIpHeader: "x-forwarded-for", trustedProxies: ["127.0.0.1"] };
  const networks = ["192.0.2.0/24", "2001:db8::/32", "::ffff:198.51.100.0/120"];
  const { get } = await start(t, { statsFrom: networks }, proxied);
  for (const [address, status] of [
    ["192.0.2.7", 200],
    ["::ffff:192.0.2.7", 200],
    ["198.51.100.7", 200],
    ["2001:db8::7", 200],
    ["[2001:db8::7]:1234", 200],
    ["192.0.3.7", 403],
    ["2001:db9::7", 403],
    ["192.0.2.7, 203.0.113.9", 403],
    ["nonsense", 400],
    [undefined, 403],
  ] as const) {
    const fields = address === undefined ? [] : [`X-Forwarded-For: ${address}`];
    for (const path of ["/stats", "/stats.json", "/stats?mode=tpbs&format=txt"])
      assert.equal((await get(path, ...fields)).status, status, `${address} ${path}`);
  }
});

test("behind a proxy of the PROXY protocol, the address of the client decides too", async (t) => {
  const proxied = { proxyProtocol: true, trustedProxies: ["127.0.0.1"], realIpHeader: "x-forwarded-for" };
  const { port } = await start(t, { statsFrom: ["192.0.2.0/24", "127.0.0.0/8"] }, proxied);
  for (const [header, status] of [
    ["TCP4 192.0.2.7 192.0.2.1 1 2", 200],
    ["TCP6 ::ffff:192.0.2.7 ::1 1 2", 200],
    ["TCP4 198.51.100.7 192.0.2.1 1 2", 403],
    ["TCP6 2001:db8::7 ::1 1 2", 403],
  ] as const) {
    const client = new RawClient(t, port);
    client.send(`PROXY ${header}\r\nGET /stats HTTP/1.0\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n`);
    assert.match(await client.readToEnd(), new RegExp(`^HTTP/1.1 ${status} `), header);
  }
});

test("a header of a client that is no trusted proxy opens nothing", async (t) => {
  const { get } = await start(t, { statsFrom: ["192.0.2.0/24"] }, { realIpHeader: "x-forwarded-for" });
  assert.equal((await get("/stats", "X-Forwarded-For: 192.0.2.7")).status, 403);
});

test("a secret path has all statistics, and the usual one has none", async (t) => {
  const { get } = await start(t, { statsPath: "/s3cret/x", statsFrom: ["0.0.0.0/0", "::/0"] });
  for (const [target, status] of [
    ["/s3cret/x", 200],
    ["/s3cret/x.json", 200],
    ["/s3cret/x?mode=torr", 200],
    ["/stats", 404],
    ["/stats.json", 404],
    ["/s3cret/x/", 404],
    ["/S3cret/x", 404],
  ] as const)
    assert.equal((await get(target)).status, status, target);
});

test("a browser gets bittorrent-tracker's page, and programs its JSON", async (t) => {
  const started = await start(t);
  const { get } = started;
  await fill(started);
  const json = `{"torrents":2,"activeTorrents":2,"peersAll":4,"peersSeederOnly":2,"peersLeecherOnly":2,"peersSeederAndLeecher":0,"peersIPv4":4,"peersIPv6":0,"clients":{"Transmission":{"announces":4}}}`;
  assert.equal((await get("/stats.json")).body, json);
  assert.equal((await get("/stats", "Accept: application/json")).body, json);
  const page = await get("/stats", "Accept: text/html,application/xhtml+xml,*/*;q=0.8");
  assert.match(page.head, /\r\ncontent-type: text\/html; charset=utf-8\r\n/);
  assert.match(page.head, /\r\ncontent-security-policy: default-src 'none'\r\n/);
  assert.match(page.body, /^<h1>2 torrents \(2 active\)<\/h1>\n<h2>Connected Peers: 4<\/h2>\n/);
  assert.match(page.body, /<li><strong>Transmission<\/strong> announces : 4<\/li>/);
  assert.match((await get("/stats?mode=peer", "Accept: text/html")).body, /^4\n2\n/);
  assert.match((await get("/stats", "Accept: */*")).body, /^4\n2\n/);
});

test("a scrape without infohashes lists all torrents, compressed as the client accepts", async (t) => {
  const started = await start(t, { fullScrape: true });
  const { get, port } = started;
  await fill(started);
  const plain = await get("/scrape");
  assert.match(plain.head, /^HTTP\/1\.1 200 OK\r\ncontent-type: application\/octet-stream\r\n/);
  assert.doesNotMatch(plain.head, /transfer-encoding|content-encoding/);
  assert.equal(plain.body, fullScrape);
  const decoders = { gzip: zlib.gunzipSync, zstd: zlib.zstdDecompressSync };
  for (const [accepted, coding] of [
    ["gzip", "gzip"],
    ["gzip, zstd", "zstdDecompressSync" in zlib ? "zstd" : "gzip"],
    ["zstd;q=0, gzip", "gzip"],
    ["*", "gzip"],
    ["br", undefined],
  ] as const) {
    const { head, body } = await get("/scrape", `Accept-Encoding: ${accepted}`);
    assert.equal(/content-encoding: (\w+)/.exec(head)?.[1], coding, accepted);
    const bytes = Buffer.from(body, "latin1");
    const decoded = coding === undefined ? bytes : decoders[coding](bytes);
    assert.equal(decoded.toString("latin1"), fullScrape, accepted);
  }
  const client = new RawClient(t, port);
  client.send("GET /scrape HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const text = await client.readToEnd();
  assert.match(text, /\r\ntransfer-encoding: chunked\r\n/);
  assert.match(text, /\r\n\r\n9\r\nd5:filesd\r\n[\da-f]+\r\n20:A.*\r\n2\r\nee\r\n0\r\n\r\n$/);
});

test("a scrape with a query, but without an infohash, is a mistake and no full scrape", async (t) => {
  const { get } = await start(t, { fullScrape: true });
  for (const target of ["/scrape?", "/scrape?info_hash", "/scrape?x=1", "/scrape?info_hash="])
    assert.match((await get(target)).body, /^d14:failure reason/, target);
  const off = await start(t);
  assert.match((await off.get("/scrape")).body, /^d14:failure reason/);
});

test("strangers may list all torrents once in five minutes", async (t) => {
  const proxied = { realIpHeader: "x-forwarded-for", trustedProxies: ["127.0.0.1"] };
  const { get, clock } = await start(t, { fullScrape: true, statsFrom: ["192.0.2.1"] }, proxied);
  const scrape = async (address: string) => {
    const { status, head } = await get("/scrape", `X-Forwarded-For: ${address}`);
    return status === 200 ? 200 : `${status} ${/retry-after: (\d+)/.exec(head)?.[1]}`;
  };
  assert.equal(await scrape("192.0.2.9"), 200);
  clock.seconds += 100;
  assert.equal(await scrape("192.0.2.9"), "429 200");
  assert.equal(await scrape("192.0.2.10"), 200);
  assert.deepEqual([await scrape("192.0.2.1"), await scrape("192.0.2.1")], [200, 200]);
  assert.equal(await scrape("2001:db8::1"), 200);
  assert.equal(await scrape("2001:db8::2"), "429 300");
  assert.equal(await scrape("2001:db8:0:1::1"), 200);
  clock.seconds += 200;
  assert.equal(await scrape("192.0.2.9"), 200);
  assert.match((await get("/stats", "X-Forwarded-For: 192.0.2.1")).body, /^0\n/);
});

test("a client that does not read stops the walk", async (t) => {
  const store = new MemoryStore({
    clock: clock(),
    random: createRandom(1),
    owner: 1,
    config: { gcInterval: 180, peerLifetime: 1860, maxPeers: 1000, peerIds: false },
  });
  let steps = 0;
  const record = { infoHash: Buffer.alloc(20), seeders: 1, leechers: 1, partial: 0, snatches: 1 };
  const torrents = Array.from({ length: 2000 }, () => ({ ...record, peers4: 2, peers6: 0 }));
  const endless: Pick<Records, "torrents"> = {
    torrents: () => {
      steps++;
      return { torrents, peers: [], next: `${steps}` };
    },
  };
  Object.defineProperty(store, "records", { value: endless });
  const { port, tracker } = await start(t, { fullScrape: true }, {}, store);
  const client = new RawClient(t, port);
  client.socket.pause();
  client.send("GET /scrape HTTP/1.1\r\nHost: x\r\n\r\n");
  while (steps === 0) await new Promise(setImmediate);
  for (let quiet = 0, before = -1; quiet < 200; quiet = steps === before ? quiet + 1 : 0) {
    before = steps;
    await new Promise(setImmediate);
  }
  assert.ok(steps < 200, `${steps} steps`); // buffers of the kernel hold a few megabytes
  client.socket.destroy();
  while (!/^chihaya_http_connections 0$/m.test(await tracker.renderMetrics()))
    await new Promise(setImmediate);
  const seen = steps;
  for (let i = 0; i < 200; i++) await new Promise(setImmediate);
  assert.ok(steps <= seen + 1, `${steps} steps after the end of the connection, ${seen} before`);
});

test("a store that cannot list its torrents says so", async (t) => {
  const store = new MemoryStore({
    clock: clock(),
    random: createRandom(1),
    owner: 1,
    config: { gcInterval: 180, peerLifetime: 1860, maxPeers: 1000, peerIds: false },
  });
  Object.defineProperty(store, "records", { value: undefined });
  const { get } = await start(t, { fullScrape: true }, {}, store);
  for (const target of ["/scrape", "/stats?mode=tpbs", "/stats?mode=top100", "/stats?mode=statedump"])
    assert.equal((await get(target)).status, 501, target);
  assert.equal((await get("/stats")).status, 200);
});

test("/ leads to the web site of the operator, but an announce without a path does not", async (t) => {
  const { get, port } = await start(t, { redirectUrl: "https://example.org/tracker?a=b" });
  const { status, head, body } = await get("/");
  assert.deepEqual([status, body], [302, ""]);
  assert.match(head, /\r\nlocation: https:\/\/example\.org\/tracker\?a=b(\r\n|$)/);
  assert.equal((await get("/?utm=1")).status, 302);
  assert.equal((await get(`/?info_hash=${"a".repeat(20)}`)).status, 404);
  assert.equal((await get("/elsewhere")).status, 404);
  const client = new RawClient(t, port);
  client.send("OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n");
  assert.equal((await client.read()).status, 200);
  assert.match((await get("/stats?mode=herr")).body, /^302 RED 2\n/);
  const off = await start(t);
  assert.match((await off.get("/")).body, /BitTorrent tracker/);
});

test("a reload changes the pages", async (t) => {
  const { tracker, get } = await start(t, { statsPath: "/a" });
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const opentracker = { statsPath: "/b", fullScrape: true, redirectUrl: "https://example.org/" };
  await tracker.reload({ http: { listen, opentracker } });
  for (const [target, status] of [
    ["/a", 404],
    ["/b", 200],
    ["/scrape", 200],
    ["/", 302],
  ] as const)
    assert.equal((await get(target)).status, status, target);
  await tracker.reload({ http: { listen, opentracker: { ...opentracker, statsFrom: ["192.0.2.1"] } } });
  assert.equal((await get("/b")).status, 403);
});

test("options that cannot work are refused, with their place and a remedy", (t) => {
  const errorsOf = (opentracker: Record<string, unknown>, more: Record<string, unknown> = {}) => {
    const file = join(temporaryDirectory(t), "chihaya.yaml");
    writeFileSync(file, JSON.stringify({ chihaya: { http: { opentracker }, ...more } }));
    const loaded = loadConfig({ file, env: {} });
    return loaded.ok ? [] : loaded.errors.map(({ path, message }) => `${path}: ${message}`);
  };
  assert.deepEqual(errorsOf({ stats_path: "/a-b_c.d~e/f", redirect_url: "https://example.org/?a=b" }), []);
  for (const [opentracker, expected] of [
    [
      { redirect_url: "https://example.org/\r\nSet-Cookie: a=b" },
      /^http\.opentracker\.redirect_url: expected a URL/,
    ],
    [{ redirect_url: "https://example.org/ x" }, /redirect_url: expected a URL/],
    [{ redirect_url: "javascript:alert(1)" }, /redirect_url: expected a URL/],
    [{ redirect_url: "https://example.org/\u00fc" }, /redirect_url: expected a URL/],
    [{ redirect_url: "example.org" }, /redirect_url: expected a URL/],
    [{ stats_path: "stats" }, /stats_path: expected a path/],
    [{ stats_path: "/" }, /stats_path: expected a path/],
    [{ stats_path: "/a*" }, /stats_path: expected a path/],
    [{ stats_path: "/stats?x" }, /stats_path: expected a path/],
    [{ stats_path: "/announce" }, /stats_path: \/announce is a path of announces; choose another one/],
    [{ stats_path: "/scrape" }, /stats_path: \/scrape is a path of scrapes/],
    [{ stats_from: ["10.0.0.1/8"] }, /stats_from/],
    [{ fifo_add: "/dev/null" }, /fifo_add: \/dev\/null is no named pipe; remove the file/],
    [{ fifo_add: "/tmp/no-such-pipe" }, /fifo_add: needs the prehook "torrent approval"/],
    [
      { livesync: { group: "192.0.2.1:9", nodes: ["192.0.2.2"] } },
      /livesync\.group: expected a multicast address/,
    ],
    [{ livesync: { group: "224.0.23.5:9" } }, /livesync\.nodes/],
    [{ livesync: { group: "224.0.23.5:9", nodes: [] } }, /livesync\.nodes: needs the addresses/],
    [
      { livesync: { group: "[ff15::1]:9", nodes: ["fd00::1"], interface: "fd00::2" } },
      /livesync\.interface: expected the name/,
    ],
  ] as const) {
    const errors = errorsOf(opentracker);
    assert.equal(errors.filter((error) => expected.test(error)).length, 1, `${expected}: ${errors}`);
  }
});

test("mode=renew counts the announces of known peers by minutes since the previous one", async (t) => {
  const started = await start(t);
  const { announce, clock: time, get } = started;
  await announce("A", 1001);
  await announce("B", 1001);
  for (const [seconds, port, event] of [
    [59, 1001, null],
    [60, 1001, null],
    [1700, 1001, "completed"],
    [0, 1002, "started"],
    [30, 1002, "stopped"],
    [0, 1002, "started"],
  ] as const) {
    time.seconds += seconds;
    await announce("A", port, { event });
  }
  const { body } = await get("/stats?mode=renew");
  assert.deepEqual(
    body.split("\n").filter((line) => line !== "" && !line.endsWith(" 0")),
    ["00 1", "01 1", "28 1"],
  );
  assert.match((await get("/stats?mode=everything")).body, /<count interval="28">1<\/count>/);
});
