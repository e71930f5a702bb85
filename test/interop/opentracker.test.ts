/**
 * Debian's opentracker and this tracker, with the same requests: the statistics and full scrapes of both are compared byte for
 * byte, except for times and for the documented differences.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { createAnnounceRequest, createScrapeRequest } from "../../src/protocol/udp/client.ts";
import { findFreePort, isListening } from "../e2e/ports.ts";
import { startProcess, withoutProgram } from "../e2e/process.ts";
import { waitUntil } from "../e2e/wait-until.ts";
import { RawClient } from "../fixtures/http-server.ts";
import { Daemon, temporaryDirectory } from "../support/daemon.ts";
import { UdpClient } from "../support/udp.ts";

const skip = await withoutProgram("opentracker", ["-h"], "apt install opentracker");

/** Every byte is in one of the first infohashes. */
const bytes = Buffer.from(Array.from({ length: 260 }, (_, i) => i % 256));
const infoHashes = [
  ...Array.from({ length: 13 }, (_, i) => bytes.subarray(20 * i, 20 * i + 20)),
  ...Array.from({ length: 30 }, (_, i) => Buffer.alloc(20, `torrent ${i} `)),
];

/** A tracker under comparison, by its port for HTTP and for UDP. */
interface Contestant {
  readonly http: number;
  readonly udp: number;
}

async function startOpentracker(t: TestContext): Promise<Contestant> {
  const directory = temporaryDirectory(t);
  await chmod(directory, 0o755); // opentracker gives up its rights before it reads the list
  writeFileSync(join(directory, "whitelist"), infoHashes.map((one) => `${one.toString("hex")}\n`).join(""));
  const port = await findFreePort();
  const place = ["-i", "127.0.0.1", "-p", `${port}`, "-P", `${port}`, "-d", directory];
  const running = startProcess("opentracker", "opentracker", [
    ...place,
    "-w",
    "whitelist",
    "-A",
    "127.0.0.1",
  ]);
  t.after(() => running.stop());
  await waitUntil("opentracker listens", () => {
    if (running.ended !== undefined) throw new Error(`opentracker has ended: ${running.output()}`);
    return isListening(port);
  });
  return { http: port, udp: port };
}

async function startOurs(t: TestContext): Promise<Contestant> {
  const opentracker = { full_scrape: true, redirect_url: "https://example.org/" };
  const daemon = await Daemon.start(t, { workers: 2, storage: { name: "memory" }, http: { opentracker } });
  const ours = { http: daemon.port("http"), udp: daemon.port("udp") };
  await isListening(ours.http); // one connection without a request, as to opentracker
  return ours;
}

interface Page {
  readonly status: number;
  readonly type: string;
  /** Decompressed, as Latin-1. */
  readonly body: string;
}

/** Requests a page, on a connection of its own. */
async function get(t: TestContext, { http }: Contestant, target: string): Promise<Page> {
  const client = new RawClient(t, http);
  client.send(`GET ${target} HTTP/1.0\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n`);
  const text = await client.readToEnd();
  const end = text.indexOf("\r\n\r\n");
  const head = text.slice(0, end);
  const body = Buffer.from(text.slice(end + 4), "latin1");
  return {
    status: Number(head.slice(9, 12)),
    type: /content-type: (\S+)/i.exec(head)?.[1] ?? "",
    body: (/content-encoding: gzip/i.test(head) ? gunzipSync(body) : body).toString("latin1"),
  };
}

const percentEncode = (infoHash: Uint8Array) =>
  [...infoHash].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");

/** Makes the same requests to a tracker. The torrents at the front have the most peers. */
async function announceAll(t: TestContext, contestant: Contestant): Promise<void> {
  const announce = (infoHash: Uint8Array, port: number, left: number, event = "") =>
    get(
      t,
      contestant,
      `/announce?info_hash=${percentEncode(infoHash)}&peer_id=-TR3000-${`${port}`.padStart(12, "0")}&port=${port}` +
        `&uploaded=0&downloaded=0&left=${left}&compact=1${event === "" ? "" : `&event=${event}`}`,
    );
  let port = 1000;
  for (const [index, infoHash] of infoHashes.entries()) {
    if (index < 8) for (let n = 0; n < 8 - index; n++) await announce(infoHash, port++, 0, "started");
    for (let n = 0; n < (index < 8 ? 1 : 1 + (index % 2)); n++) await announce(infoHash, port++, 7);
    if (index % 5 === 0) await announce(infoHash, port++, 0, "completed");
  }
  for (const renewed of [1001, 1002]) await announce(infoHashes[0]!, renewed, 0); // within a minute
  await announce(infoHashes[0]!, 1000, 0, "stopped");
  await get(
    t,
    contestant,
    `/scrape?info_hash=${percentEncode(infoHashes[0]!)}&info_hash=${percentEncode(infoHashes[9]!)}`,
  );
  const client = await UdpClient.open(4, contestant.udp);
  t.after(() => client.close());
  const connectionId = await client.connect();
  const peerId = Buffer.alloc(20, "b");
  for (const [index, infoHash] of infoHashes.slice(0, 5).entries()) {
    const packet = { connectionId, transactionId: index, infoHash, peerId, left: 0n, port: 900 + index };
    await client.exchange(createAnnounceRequest(packet));
  }
  await client.exchange(createScrapeRequest(connectionId, 9, infoHashes.slice(0, 3)));
}

/** Replaces what depends on the time, on the version, and on documented differences. */
function normalize(mode: string, body: string): string {
  const text = body
    .replace(/^\d+ seconds \(\d+ hours\)$/m, "SECONDS")
    .replace(/\d+ (conns|success|scrape|bytes)\/s/g, "RATE $1/s")
    .replace(/\d+ completed\/h/, "RATE completed/h")
    .replace(/<(tracker_id|uptime)>\d+</g, "<$1>NUMBER<")
    .replace(/(<version>\n).*?(\n {2}<\/version>)/s, "$1VERSION$2")
    // opentracker counts the minutes of the clock that have begun between two announces: none or one.
    .replace(/^( *<count interval="00">|00 )(\d+)(.*\n.*[> ])(\d+)/m, (_, first, now, between, later) =>
      [first, Number(now) + Number(later), between, 0].join(""),
    );
  // Errors have their own codes here, opentracker mixes some up. Bytes of full scrapes are counted before compression.
  if (mode === "herr") return text.replace(/\d+$/gm, "N");
  if (mode === "fscr") return text.replace(/^\d+$/gm, "N");
  if (mode === "statedump") return text.replace(/:\d+:/g, ":MINUTE:");
  if (mode === "everything") return text.replace(/(<count code=".*">)\d+</g, "$1N<");
  return text;
}

test("statistics and full scrapes are those of opentracker, byte for byte", { skip }, async (t) => {
  const [theirs, ours] = await Promise.all([startOpentracker(t), startOurs(t)]);
  await announceAll(t, theirs);
  await announceAll(t, ours);
  for (const mode of [
    ...["peer", "torr", "conn", "tcp4", "udp4", "scrp", "completed", "top10", "top100", "renew", "syncs"],
    ...["herr", "fscr", "everything", "statedump"],
    ...["txt", "txtp", "bin", "ben", "url"].map((format) => `tpbs&format=${format}`),
  ]) {
    const expected = await get(t, theirs, `/stats?mode=${mode}`);
    const got = await get(t, ours, `/stats?mode=${mode}`);
    assert.equal(expected.status, 200, mode);
    assert.equal(got.status, 200, mode);
    assert.equal(normalize(mode, got.body), normalize(mode, expected.body), mode);
    const isBinary = ["tpbs&format=bin", "tpbs&format=ben"].includes(mode);
    assert.equal(got.type, isBinary ? "application/octet-stream" : expected.type, mode);
  }
  const { body } = await get(t, theirs, "/scrape");
  assert.match(body, /^d5:filesd20:.*eee$/s);
  assert.equal((await get(t, ours, "/scrape")).body, body);
  assert.equal((await get(t, ours, "/stats")).body, (await get(t, theirs, "/stats")).body);
  for (const target of ["/stats?mode=", "/stats?mode=nonsense", "/nowhere", "/stats2", "/stats/"])
    assert.equal((await get(t, ours, target)).status, (await get(t, theirs, target)).status, target);
});

/** Returns the text of the first element at a path, as Go's encoding/xml finds it by `a>b>c`. */
function element(xml: string, path: string): string {
  return path.split(">").reduce((inside, name) => {
    const found = new RegExp(`<${name}(?: [^>]*)?>(.*?)</${name}>`, "s").exec(inside);
    assert.ok(found, `${path} is missing`);
    return found[1]!;
  }, xml);
}

test("an exporter for Prometheus and Munin's plugin read the statistics", async (t) => {
  const ours = await startOurs(t);
  await announceAll(t, ours);
  const { body: xml } = await get(t, ours, "/stats?mode=everything");
  // What sbruder/opentracker_exporter reads.
  for (const [path, expected] of Object.entries({
    uptime: /^\d+$/,
    "torrents>count_mutex": /^43$/,
    "peers>count": /^\d\d+$/,
    "seeds>count": /^\d\d+$/,
    "completed>count": /^9$/,
    "connections>tcp>accept": /^\d\d+$/,
    "connections>tcp>announce": /^\d\d+$/,
    "connections>tcp>scrape": /^1$/,
    "connections>udp>overall": /^7$/,
    "connections>udp>connect": /^1$/,
    "connections>udp>announce": /^5$/,
    "connections>udp>scrape": /^1$/,
    "connections>udp>missmatch": /^0$/,
    "connections>livesync>count": /^0$/,
    "debug>mutex_stall>count": /^0$/,
  }))
    assert.match(element(xml, path), expected, path);
  const counts = (path: string, attribute: string) =>
    [...element(xml, path).matchAll(new RegExp(`<count ${attribute}="([^"]+)">(\\d+)</count>`, "g"))].length;
  assert.deepEqual([counts("debug>renew", "interval"), counts("debug>http_error", "code")], [45, 9]);

  // mhwest13/OpenTracker-Munin-Plugin looks for the version, and takes one line for each value.
  assert.equal((await get(t, ours, "/stats?mode=version")).status, 200);
  for (const [mode, values] of Object.entries({
    conn: 2,
    peer: 2,
    scrp: 2,
    syncs: 2,
    tcp4: 2,
    udp4: 2,
    torr: 1,
  })) {
    const { status, body } = await get(t, ours, `/stats?mode=${mode}`);
    assert.equal(status, 200);
    for (const value of body.split("\n").slice(0, values)) assert.match(value, /^\d+$/, mode);
  }
});

test("a stranger gets one full scrape, however many workers there are", async (t) => {
  const opentracker = { full_scrape: true, stats_from: ["192.0.2.0/24"] };
  const daemon = await Daemon.start(t, { workers: 3, storage: { name: "memory" }, http: { opentracker } });
  const statuses: number[] = [];
  for (let n = 0; n < 24; n++) {
    // A connection of its own, for which the kernel chooses the worker.
    const response = await fetch(`${daemon.url("http")}/scrape`, { headers: { connection: "close" } });
    await response.text();
    statuses.push(response.status);
  }
  assert.deepEqual(statuses, [200, ...Array(23).fill(429)]);
});
