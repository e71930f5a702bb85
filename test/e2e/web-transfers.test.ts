/** Real transfers between WebTorrent clients that meet through the tracker: pages of a real browser, and programs. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createTracker } from "../../src/tracker/create-tracker.ts";
import { certificates } from "../fixtures/certificates.ts";
import { skipReason } from "../support/chromium.ts";
import { temporaryDirectory } from "../support/daemon.ts";
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

test("page to page over wss", { skip: skipReason, timeout }, async (t) => {
  const url = await startTracker(t, "portable", true);
  const open = await openPages(t);
  const [seeder, leecher] = [await open(), await open()];
  const { magnet } = await seeder.seed([url], length);
  assert.deepEqual(await leecher.download(magnet), { length, isRight: true, types: ["webrtc"] });
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
