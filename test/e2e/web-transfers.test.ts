/**
 * Real transfers between WebTorrent clients that meet through the tracker: pages of a real browser, and programs. Each pair runs
 * over a few ways to the tracker; with CHIHAYA_WEB_TRANSFERS=all over every way, and those that begin at once eight times.
 */
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { scrape } from "../../src/client/tracker-client.ts";
import { certificates } from "../fixtures/certificates.ts";
import { skipReason } from "../support/chromium.ts";
import { Daemon, temporaryDirectory } from "../support/daemon.ts";
import { listEngines } from "../support/networks.ts";

import { findFreePort } from "./ports.ts";
import { type RunningProcess, startProcess, withoutProgram } from "./process.ts";
import { createTorrent, hashPieces, pieceLength } from "./torrent.ts";
import { patienceMs as timeout, waitUntil } from "./wait-until.ts";
import { fileContent, openPages } from "./web/pages.ts";
import { type ProxyName, type Scheme, startBehind, withoutProxy } from "./web/proxies.ts";

const isWhole = process.env.CHIHAYA_WEB_TRANSFERS === "all";
const length = 1 << 20;
/** The transfers between a page and webtorrent in Node.js are repeated, because their outcome depends on their timing. */
function roundsOf({ way, workers, network }: Setup): number {
  if (!isWhole) return 2;
  return way === "ws" && workers === 1 && network === "portable" ? 8 : 1;
}

/** A Python with the wheel of libtorrent, which speaks WebTorrent; the package of Debian does not. */
const python =
  process.env.CHIHAYA_LIBTORRENT_PYTHON ?? join(homedir(), ".cache/chihaya-libtorrent/bin/python");
const withoutLibtorrent = await withoutProgram(
  python,
  ["-c", "import libtorrent; libtorrent.default_settings()['webtorrent_stun_server']"],
  "pip install libtorrent==2.1.1, and CHIHAYA_LIBTORRENT_PYTHON=/path/to/python",
);

type Way = Scheme | `nginx ${Scheme}` | "haproxy wss" | "caddy wss";

/** A tracker, and how the clients reach it. */
interface Setup {
  readonly way: Way;
  readonly workers: 1 | 3;
  readonly network: "portable" | "linux";
}

/**
 * Clients try again after this time. webtorrent in Node.js and libtorrent have the WebRTC of libdatachannel 0.24. Its
 * `setRemoteDescription` gives an answer to ICE before it keeps the fingerprint of the answer. A handshake between the two steps
 * fails with "DTLS alert: unknown CA". On a busy machine, that happens to a few percent of the connections.
 */
const soon = { interval: "20s" } as const;

const plain: Setup = { way: "ws", workers: 1, network: "portable" };

/** Starts a tracker, and returns the URL of its WebSockets. */
async function startTracker(
  t: TestContext,
  { way, workers, network }: Setup = plain,
  websocket: object = soon,
): Promise<string> {
  const settings = { workers, network, websocket };
  const [proxy, behind] = way.split(" ") as [ProxyName, Scheme?];
  if (behind !== undefined) return `${await startBehind(t, proxy, behind, settings)}/announce`;
  if (way === "ws") {
    const daemon = await Daemon.start(t, settings);
    return `${daemon.url("http").replace("http", "ws")}/announce`;
  }
  const directory = temporaryDirectory(t);
  const [tls_cert_path, tls_key_path] = [join(directory, "cert.pem"), join(directory, "key.pem")];
  writeFileSync(tls_cert_path, certificates[0].cert);
  writeFileSync(tls_key_path, certificates[0].key);
  const http = { addr: "", https_addr: "127.0.0.1:0", tls_cert_path, tls_key_path };
  const daemon = await Daemon.start(t, { ...settings, http });
  return `${daemon.url("https").replace("http", "ws")}/announce`;
}

/** Waits for the end of a transfer, and prints how long it took. */
async function time<T>(t: TestContext, transfer: Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await transfer;
  t.diagnostic(`${((performance.now() - began) / 1000).toFixed(1)} s`);
  return result;
}

/** Starts webtorrent in Node.js, with WebRTC, which waits for `file.torrent` in its directory. */
async function startWebtorrent(
  t: TestContext,
  directory: string,
  ...more: string[]
): Promise<RunningProcess> {
  const script = join(import.meta.dirname, "clients/webtorrent-web-process.ts");
  const args = [script, join(directory, "file.torrent"), directory, ...more];
  // The certificates of the tests are self-signed.
  const env = { NODE_TLS_REJECT_UNAUTHORIZED: "0" };
  const client = startProcess("webtorrent", process.execPath, args, { env });
  t.after(() => client.stop());
  await waitUntil("webtorrent is loaded", () => {
    assert.equal(client.ended, undefined, client.output());
    return client.output().includes("loaded");
  });
  return client;
}

/** Writes a torrent file as a whole. */
function putTorrent(directory: string, torrent: Uint8Array): void {
  writeFileSync(join(directory, "part"), torrent);
  renameSync(join(directory, "part"), join(directory, "file.torrent"));
}

/** Starts libtorrent, which seeds what is in its directory and downloads the rest. */
async function startLibtorrent(
  t: TestContext,
  torrent: Uint8Array,
  directory: string,
): Promise<RunningProcess> {
  const file = join(temporaryDirectory(t), "file.torrent");
  writeFileSync(file, torrent);
  const script = join(import.meta.dirname, "clients/libtorrent-process.py");
  const port = await findFreePort();
  const client = startProcess("libtorrent", python, [script, file, directory, "127.0.0.1", `${port}`]);
  t.after(() => client.stop());
  return client;
}

/** Writes the file of a torrent into a new directory. */
function putFile(t: TestContext, content: Uint8Array): string {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "file.bin"), content);
  return directory;
}

function readFile(directory: string): Uint8Array {
  return new Uint8Array(readFileSync(join(directory, "file.bin")));
}

/** Transfers a file from the first client of a pair to the second, through the tracker at `url`. */
type Transfer = (t: TestContext, url: string, rounds: number) => Promise<void>;

async function pageToPage(t: TestContext, url: string): Promise<void> {
  const open = await openPages(t);
  const [seeder, leecher] = [await open(), await open()];
  const { magnet } = await seeder.seed([url], length);
  assert.deepEqual(await time(t, leecher.download(magnet)), { length, isRight: true, types: ["webrtc"] });
  assert.deepEqual([await seeder.failures(), await leecher.failures()], [[], []]);
}

async function pageToLibtorrent(t: TestContext, url: string): Promise<void> {
  const page = await (await openPages(t))();
  const { torrent } = await page.seed([url], length);
  const directory = temporaryDirectory(t);
  const client = await startLibtorrent(t, Uint8Array.from(torrent), directory);
  const isDone = () => client.output().includes("state seeding");
  await time(t, waitUntil("libtorrent has the file", isDone));
  assert.deepEqual(readFile(directory), fileContent(length));
}

async function libtorrentToPage(t: TestContext, url: string): Promise<void> {
  const content = fileContent(length);
  const torrent = createTorrent("file.bin", url, { length, pieces: hashPieces(content) });
  const client = await startLibtorrent(t, torrent.bytes, putFile(t, content));
  await waitUntil("libtorrent seeds", () => client.output().includes("tracker_reply"));
  const page = await (await openPages(t))();
  // libtorrent disconnects at the end, so the kind of the connection is unknown then.
  const { isRight, length: got } = await time(t, page.download([...torrent.bytes]));
  assert.deepEqual({ isRight, got }, { isRight: true, got: length }, client.output());
}

// A page and webtorrent in Node.js start at once. The seeder joins by a message without offers, so the page makes offers to it. Then
// its own offers are ready. If these reached the page, each client would destroy one of the two connections, not always the same one,
// and the next chance would come two minutes later.
async function nodeToPage(t: TestContext, url: string, rounds: number): Promise<void> {
  const open = await openPages(t);
  for (let round = 0; round < rounds; round++) {
    const content = fileContent(length + round);
    const pieces = hashPieces(content);
    const torrent = createTorrent("file.bin", url, { length: content.length, pieces });
    const directory = putFile(t, content);
    const page = await open();
    const client = await startWebtorrent(t, directory);
    putTorrent(directory, torrent.bytes);
    const { isRight, length: got } = await time(t, page.download([...torrent.bytes]));
    assert.deepEqual({ isRight, got }, { isRight: true, got: content.length }, client.output());
    await client.stop();
  }
}

async function pageToNode(t: TestContext, url: string, rounds: number): Promise<void> {
  const open = await openPages(t);
  for (let round = 0; round < rounds; round++) {
    const page = await open();
    const directory = temporaryDirectory(t);
    const client = await startWebtorrent(t, directory);
    const { torrent } = await page.seed([url], length + round);
    putTorrent(directory, Uint8Array.from(torrent));
    const isDone = () => client.output().includes("done");
    await time(t, waitUntil("webtorrent has the file", isDone));
    assert.deepEqual(readFile(directory), fileContent(length + round));
    await client.stop();
  }
}

const pairs: readonly { name: string; transfer: Transfer; skip: string | false; ways: readonly Setup[] }[] = [
  {
    name: "page to page",
    transfer: pageToPage,
    skip: skipReason,
    ways: [
      plain,
      { ...plain, network: "linux" },
      { ...plain, way: "wss", network: "linux" },
      { ...plain, way: "nginx ws" },
      { ...plain, way: "nginx wss", workers: 3 },
      { ...plain, way: "haproxy wss" },
      { ...plain, way: "caddy wss" },
    ],
  },
  {
    name: "page to libtorrent",
    transfer: pageToLibtorrent,
    skip: skipReason || withoutLibtorrent,
    ways: [plain],
  },
  {
    name: "libtorrent to page",
    transfer: libtorrentToPage,
    skip: skipReason || withoutLibtorrent,
    ways: [plain],
  },
  {
    name: "webtorrent in Node.js to page, both at once",
    transfer: nodeToPage,
    skip: skipReason,
    ways: [plain],
  },
  {
    name: "page to webtorrent in Node.js, both at once",
    transfer: pageToNode,
    skip: skipReason,
    ways: [plain],
  },
];

const engines = await listEngines();
const everyWay: readonly Setup[] = engines.flatMap(({ name: network }) =>
  ([1, 3] as const).flatMap((workers) =>
    (["ws", "wss", "nginx ws", "nginx wss"] as const).map((way) => ({ way, workers, network })),
  ),
);

for (const { name, transfer, skip, ways } of pairs) {
  for (const setup of isWhole ? [...everyWay, ...ways.slice(5)] : ways) {
    const { way, workers, network } = setup;
    const missing = [
      skip,
      engines.find((engine) => engine.name === network)!.skip,
      way.includes(" ") && withoutProxy[way.split(" ")[0] as ProxyName],
    ];
    const rounds = roundsOf(setup);
    const options = { skip: missing.find((reason) => reason !== false) ?? false, timeout: rounds * timeout };
    // The glare rule is about the first try.
    const websocket = transfer === nodeToPage ? {} : soon;
    test(`${name} over ${way}, ${workers} workers, ${network} network`, options, async (t) =>
      transfer(t, await startTracker(t, setup, websocket), rounds),
    );
  }
}

test("three pages download through three workers", { skip: skipReason, timeout }, async (t) => {
  const url = await startTracker(t, { ...plain, workers: 3 });
  const open = await openPages(t);
  const leechers = [await open(), await open(), await open()];
  const { magnet } = await (await open()).seed([url], length);
  const downloads = await Promise.all(leechers.map((leecher) => leecher.download(magnet)));
  for (const { isRight, length: got } of downloads)
    assert.deepEqual({ isRight, got }, { isRight: true, got: length });
});

// The peer over TCP has the first half of the file, and the page has the second half, so each needs the hybrid client.
test("a client with TCP and WebRTC gets a file from a peer of HTTP and from a page, and joins both", {
  skip: skipReason,
  timeout,
}, async (t) => {
  const daemon = await Daemon.start(t, { websocket: soon });
  const [http, udp] = [`${daemon.url("http")}/announce`, `${daemon.url("udp")}/announce`];
  const web = http.replace("http", "ws");
  const content = fileContent(length);
  const pieces = hashPieces(content);
  const torrentFor = (...trackers: string[]) => createTorrent("file.bin", trackers, { length, pieces });
  const half = length / 2;

  const tcp = putFile(t, content.slice().fill(0, half));
  writeFileSync(join(tcp, "file.torrent"), torrentFor(http).bytes);
  const script = join(import.meta.dirname, "clients/webtorrent-process.ts");
  const args = [script, join(tcp, "file.torrent"), tcp, `${await findFreePort()}`];
  const peer = startProcess("webtorrent over TCP", process.execPath, args);
  t.after(() => peer.stop());
  await waitUntil("the peer over TCP has a half", () => peer.output().includes("ready 0.5"));

  const page = await (await openPages(t))();
  const torrent = [...torrentFor(web).bytes];
  assert.equal(await page.share(torrent, { length, pieceLength, from: half }), 0.5);

  const directory = temporaryDirectory(t);
  const hybrid = await startWebtorrent(t, directory, `${await findFreePort()}`);
  putTorrent(directory, torrentFor(udp, web).bytes);
  await waitUntil("the hybrid client has the file", () => hybrid.output().includes("done"));
  assert.deepEqual(readFile(directory), content);
  assert.match(hybrid.output(), /^from webrtc [1-9]/m);
  assert.match(hybrid.output(), /^from tcp\w+ [1-9]/m);

  const { isRight, length: got } = await page.rest();
  assert.deepEqual({ isRight, got }, { isRight: true, got: length });
  await waitUntil("the peer over TCP has the file", () => peer.output().includes("done"));
  // The hybrid client counts once for each way.
  await waitUntil("all are seeders", async () => {
    const [counts] = await scrape(http, [torrentFor(http).infoHash]);
    return counts?.complete === 4 && counts.incomplete === 0;
  });
});

test("the example page seeds and downloads", { skip: skipReason, timeout }, async (t) => {
  const url = await startTracker(t);
  const pages = await openPages(t);
  const [seeder, leecher] = [await pages.example(), await pages.example()];
  for (const page of [seeder, leecher]) await page.fill("#tracker", url);
  await seeder.setInputFiles("#file", {
    name: "hello.txt",
    mimeType: "text/plain",
    buffer: Buffer.from("hello, peer"),
  });
  const status = seeder.locator("#status");
  await status.filter({ hasText: "magnet:?" }).waitFor();
  await leecher.fill("#magnet", /magnet:\S+/.exec((await status.textContent())!)![0]);
  await leecher.locator("#magnet").blur();
  const link = leecher.locator("#files a");
  await link.waitFor();
  const text = await leecher.evaluate(
    "fetch(document.querySelector('#files a').href).then((response) => response.text())",
  );
  assert.deepEqual([await link.textContent(), text], ["hello.txt", "hello, peer"]);
});
