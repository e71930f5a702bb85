/**
 * The client of bittorrent-tracker over WebSocket, as webtorrent uses it, against the tracker. Each test uses the client in a
 * way in which the tests of bittorrent-tracker use it (client, server, scrape, filter). Its tests of eviction are left out,
 * because this tracker evicts no peer.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { suite, type TestContext, test } from "node:test";
import type { Client as BrowserClient, Counts, WebPeer } from "bittorrent-tracker";
import { createTracker } from "../../src/index.ts";
import { approveTorrents } from "../support/approval.ts";
import { importClient } from "../support/fake-webrtc.ts";

const Client = await importClient();

const torrent = "4cb67059ed6bd08362da625b3ae77f6f4a075705";
const other = "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36";
const unknown = "4444444444444444444444444444444444444444";

type Tracker = ReturnType<typeof createTracker>;

async function startTracker(
  t: TestContext,
  options: Parameters<typeof createTracker>[0] = {},
): Promise<string> {
  const tracker: Tracker = createTracker({
    http: { listen: [{ host: "127.0.0.1", port: 0 }] },
    udp: false,
    websocket: {},
    ...options,
  });
  await tracker.start();
  t.after(() => tracker.stop());
  return tracker.urls().find((url) => url.startsWith("ws:"))!;
}

interface Peer {
  client: BrowserClient;
  /** Counts in responses to announces that no {@link update} has taken yet. */
  updates: Counts[];
  peers: WebPeer[];
  warnings: string[];
}

/** Opens a client; the number makes its peer id. */
function open(t: TestContext, url: string, number: number, infoHash = torrent, left?: number): Peer {
  const client = new Client({
    infoHash,
    peerId: Buffer.from(`0123456789012345678${number}`),
    announce: url,
    port: 6881,
    ...(left === undefined ? {} : { getAnnounceOpts: () => ({ left }) }),
  });
  const peer: Peer = { client, updates: [], peers: [], warnings: [] };
  client.on("update", (counts) => peer.updates.push(counts));
  client.on("peer", (each) => {
    each.on("error", () => undefined);
    peer.peers.push(each);
  });
  client.on("warning", ({ message }) => peer.warnings.push(message));
  client.on("error", ({ message }) => peer.warnings.push(message));
  t.after(() => {
    for (const each of peer.peers) each.destroy();
    client.destroy();
  });
  return peer;
}

/** Returns the counts of the next response, as `complete/incomplete`. */
async function update({ client, updates }: Peer): Promise<string> {
  if (updates.length === 0) await once(client, "update");
  const { complete, incomplete } = updates.shift()!;
  return `${complete}/${incomplete}`;
}

async function peerOf({ client, peers }: Peer): Promise<WebPeer> {
  if (peers.length === 0) await once(client, "peer");
  return peers.at(-1)!;
}

async function destroy({ client }: Peer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  client.destroy(() => resolve());
  await promise;
}

function scrape(
  url: string,
  infoHash: string | string[],
): Promise<Counts & Readonly<Record<string, Counts>>> {
  return new Promise((resolve, reject) => {
    Client.scrape({ announce: url, infoHash }, (error, result) =>
      error === null ? resolve(result) : reject(error),
    );
  });
}

suite("a client of bittorrent-tracker over WebSocket", () => {
  test("starts, updates, completes and stops", async (t) => {
    const url = await startTracker(t);
    const peer = open(t, url, 1, torrent, 100);
    peer.client.start();
    const [counts] = await once(peer.client, "update");
    assert.equal(counts.announce, url);
    assert.equal(counts.infoHash, torrent);
    assert.equal(await update(peer), "0/1");
    peer.client.update();
    assert.equal(await update(peer), "0/1");
    peer.client.complete({ left: 0 });
    assert.equal(await update(peer), "1/0");
    peer.client.stop();
    assert.equal(await update(peer), "0/0");
    await destroy(peer);
    assert.deepEqual(peer.warnings, []);
  });

  test("is a seeder only if nothing is left", async (t) => {
    const url = await startTracker(t);
    const expected = ["1/0", "1/1", "1/2", "1/3"];
    for (const [i, left] of [0, 1, Number.NaN, undefined].entries()) {
      const peer = open(t, `${url}?${i}`, i, torrent, left); // clients of one URL share a socket
      peer.client.start();
      assert.equal(await update(peer), expected[i]);
    }
  });

  test("meets another client: each gets the other as a peer", async (t) => {
    const url = await startTracker(t);
    const first = open(t, url, 1, torrent, 100);
    first.client.start();
    assert.equal(await update(first), "0/1");
    const second = open(t, `${url}?second`, 2, torrent, 100);
    second.client.start();
    assert.equal(await update(second), "0/2");
    const [offered, answered] = [await peerOf(first), await peerOf(second)];
    assert.equal(Buffer.from(offered.id, "hex").toString(), "01234567890123456782");
    assert.equal(Buffer.from(answered.id, "hex").toString(), "01234567890123456781");
    assert.deepEqual([first.peers.length, second.peers.length], [1, 1]);
    second.client.stop();
    assert.equal(await update(second), "0/1");
    first.client.complete({ left: 0 });
    assert.equal(await update(first), "1/0");
    assert.deepEqual([...first.warnings, ...second.warnings], []);
  });

  test("leaves the swarm with its socket", async (t) => {
    const url = await startTracker(t);
    const first = open(t, url, 1, torrent, 0);
    first.client.start();
    assert.equal(await update(first), "1/0");
    await destroy(first);
    const counts = await scrape(`${url}?other`, torrent);
    assert.deepEqual([counts.complete, counts.incomplete], [0, 0]);
  });

  test("has every byte in its ids", async (t) => {
    const url = await startTracker(t);
    for (let start = 0; start < 256; start += 20) {
      const bytes = Buffer.from(Array.from({ length: 20 }, (_, i) => (start + i) & 255));
      const peer = open(t, `${url}?${start}`, 1, bytes.toString("hex"), 1);
      peer.client.start();
      assert.equal(await update(peer), "0/1");
      peer.client.scrape();
      const [counts] = await once(peer.client, "scrape");
      assert.deepEqual([counts.infoHash, counts.incomplete], [bytes.toString("hex"), 1]);
    }
  });

  test("has several torrents on one socket", async (t) => {
    const url = await startTracker(t);
    const [one, two] = [open(t, url, 1, torrent, 0), open(t, url, 1, other, 5)];
    one.client.start();
    two.client.start();
    assert.deepEqual([await update(one), await update(two)], ["1/0", "0/1"]);
    await destroy(one);
    two.client.update();
    assert.equal(await update(two), "0/1");
  });
});

suite("a scrape of bittorrent-tracker over WebSocket", () => {
  test("has the counts of one torrent", async (t) => {
    const url = await startTracker(t);
    const peer = open(t, url, 1, torrent, 0);
    peer.client.start();
    await update(peer);
    peer.client.scrape();
    const [counts] = await once(peer.client, "scrape");
    assert.deepEqual(
      [counts.announce, counts.infoHash, counts.complete, counts.incomplete, counts.downloaded],
      [url, torrent, 1, 0, 0],
    );
  });

  test("has the counts of several torrents, and zeros for unknown ones", async (t) => {
    const url = await startTracker(t);
    const peer = open(t, url, 1, torrent, 7);
    peer.client.start();
    await update(peer);
    const { announce, infoHash, ...single } = await scrape(`${url}?1`, unknown);
    assert.deepEqual([announce, infoHash], [`${url}?1`, unknown]);
    assert.deepEqual(single, { complete: 0, incomplete: 0, downloaded: 0 });
    const several = await scrape(`${url}?2`, [torrent, unknown]);
    assert.deepEqual(Object.keys(several).sort(), [torrent, unknown].sort());
    assert.equal(several[torrent]!.incomplete, 1);
    assert.equal(several[unknown]!.incomplete, 0);
  });
});

suite("a client of bittorrent-tracker that is refused over WebSocket", () => {
  test("gets the reason as a warning, and keeps its socket for other torrents", async (t) => {
    const url = await startTracker(t, { preHooks: [await approveTorrents({ blacklist: [unknown] })] });
    const refused = open(t, url, 1, unknown, 1);
    const allowed = open(t, url, 1, torrent, 1);
    refused.client.start();
    const [warning] = await once(refused.client, "warning");
    assert.match(warning.message, /^unapproved torrent/);
    allowed.client.start();
    assert.equal(await update(allowed), "0/1");
    assert.deepEqual([refused.updates, allowed.warnings], [[], []]);
  });

  test("gets a warning if nobody serves the path", async (t) => {
    const url = await startTracker(t);
    const peer = open(t, `${new URL(url).origin}/nowhere`, 1);
    peer.client.start();
    const [warning] = await once(peer.client, "warning");
    assert.match(warning.message, /./);
  });
});
