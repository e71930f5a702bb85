/** Real transfers between WebTorrent clients that meet through the tracker: pages of a real browser, and programs. */
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createTracker } from "../../src/tracker/create-tracker.ts";
import { certificates } from "../fixtures/certificates.ts";
import { skipReason } from "../support/chromium.ts";
import { Daemon, temporaryDirectory } from "../support/daemon.ts";
import { listEngines } from "../support/networks.ts";
import { findFreePort } from "./ports.ts";
import { type RunningProcess, startProcess, withoutProgram } from "./process.ts";
import { createTorrent, hashPieces } from "./torrent.ts";
import { waitUntil } from "./wait-until.ts";
import { fileContent, openPages } from "./web/pages.ts";

const length = 1 << 20;
const timeout = 90_000;

/** A Python with the wheel of libtorrent, which speaks WebTorrent; the package of Debian does not. */
const python =
  process.env.CHIHAYA_LIBTORRENT_PYTHON ?? join(homedir(), ".cache/chihaya-libtorrent/bin/python");
const withoutLibtorrent = await withoutProgram(
  python,
  ["-c", "import libtorrent; libtorrent.default_settings()['webtorrent_stun_server']"],
  "pip install libtorrent==2.1.1, and CHIHAYA_LIBTORRENT_PYTHON=/path/to/python",
);

/** Starts a tracker, and returns the URL of its WebSockets. */
async function startTracker(
  t: TestContext,
  network: "portable" | "linux" = "portable",
  isSecure = false,
): Promise<string> {
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const http = isSecure ? { listen: [], listenTls: listen, tls: certificates[0] } : { listen };
  const tracker = createTracker({ http, udp: false, network });
  await tracker.start();
  t.after(() => tracker.stop());
  return `${tracker.urls().find((url) => url.startsWith("ws"))!}/announce`;
}

for (const { name, skip } of await listEngines()) {
  test(`page to page, ${name} network`, { skip: skipReason || skip, timeout }, async (t) => {
    const url = await startTracker(t, name);
    const open = await openPages(t);
    const [seeder, leecher] = [await open(), await open()];
    const { magnet } = await seeder.seed([url], length);
    assert.deepEqual(await leecher.download(magnet), { length, isRight: true, types: ["webrtc"] });
    assert.deepEqual([await seeder.failures(), await leecher.failures()], [[], []]);
  });
}

test("three pages download through three workers", { skip: skipReason, timeout }, async (t) => {
  const daemon = await Daemon.start(t, { workers: 3, websocket: {} });
  const url = daemon.url("http").replace("http", "ws");
  const open = await openPages(t);
  const leechers = [await open(), await open(), await open()];
  const { magnet } = await (await open()).seed([`${url}/announce`], length);
  const downloads = await Promise.all(leechers.map((leecher) => leecher.download(magnet)));
  for (const { isRight, length: got } of downloads)
    assert.deepEqual({ isRight, got }, { isRight: true, got: length });
});

test("page to page over wss", { skip: skipReason, timeout }, async (t) => {
  const url = await startTracker(t, "portable", true);
  const open = await openPages(t);
  const [seeder, leecher] = [await open(), await open()];
  const { magnet } = await seeder.seed([url], length);
  assert.deepEqual(await leecher.download(magnet), { length, isRight: true, types: ["webrtc"] });
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

/** Starts webtorrent in Node.js, with WebRTC, which waits for `file.torrent` in its directory. */
async function startWebtorrent(t: TestContext, directory: string): Promise<RunningProcess> {
  const script = join(import.meta.dirname, "clients/webtorrent-web-process.ts");
  const file = join(directory, "file.torrent");
  const client = startProcess("webtorrent", process.execPath, [script, file, directory]);
  t.after(() => client.stop());
  await waitUntil("webtorrent is loaded", () => client.output().includes("loaded"));
  return client;
}

/** Writes a torrent file as a whole. */
function putTorrent(directory: string, torrent: Uint8Array): void {
  writeFileSync(join(directory, "part"), torrent);
  renameSync(join(directory, "part"), join(directory, "file.torrent"));
}

// Both clients make offers to each other, and each destroys one of the two connections, not always the same one.
test("a page downloads from webtorrent in Node.js when both start at once", {
  skip: skipReason,
  timeout,
}, async (t) => {
  const url = await startTracker(t);
  const content = fileContent(length);
  const torrent = createTorrent("file.bin", url, { length, pieces: hashPieces(content) });
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "file.bin"), content);
  const page = await (await openPages(t))();
  const client = await startWebtorrent(t, directory);
  putTorrent(directory, torrent.bytes);
  const { isRight, length: got } = await page.download([...torrent.bytes]);
  assert.deepEqual({ isRight, got }, { isRight: true, got: length }, client.output());
});

test("webtorrent in Node.js downloads from a page when both start at once", {
  skip: skipReason,
  timeout,
}, async (t) => {
  const url = await startTracker(t);
  const page = await (await openPages(t))();
  const directory = temporaryDirectory(t);
  const client = await startWebtorrent(t, directory);
  const { torrent } = await page.seed([url], length);
  putTorrent(directory, Uint8Array.from(torrent));
  await waitUntil("webtorrent has the file", () => client.output().includes("done"));
  assert.deepEqual(new Uint8Array(readFileSync(join(directory, "file.bin"))), fileContent(length));
});

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

const skipBoth = skipReason || withoutLibtorrent;

test("page to libtorrent", { skip: skipBoth, timeout }, async (t) => {
  const url = await startTracker(t);
  const page = await (await openPages(t))();
  const { torrent } = await page.seed([url], length);
  const directory = temporaryDirectory(t);
  const client = await startLibtorrent(t, Uint8Array.from(torrent), directory);
  await waitUntil("libtorrent has the file", () => client.output().includes("state seeding"));
  assert.deepEqual(new Uint8Array(readFileSync(join(directory, "file.bin"))), fileContent(length));
});

test("libtorrent to page", { skip: skipBoth, timeout }, async (t) => {
  const url = await startTracker(t);
  const content = fileContent(length);
  const torrent = createTorrent("file.bin", url, { length, pieces: hashPieces(content) });
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "file.bin"), content);
  const client = await startLibtorrent(t, torrent.bytes, directory);
  await waitUntil("libtorrent seeds", () => client.output().includes("tracker_reply"));
  const page = await (await openPages(t))();
  // libtorrent disconnects at the end, so the kind of the connection is unknown then.
  const { isRight, length: got } = await page.download([...torrent.bytes]);
  assert.deepEqual({ isRight, got }, { isRight: true, got: length }, client.output());
});
