import assert from "node:assert/strict";
import { createSocket, type RemoteInfo } from "node:dgram";
import { once } from "node:events";
import { describe, it, type TestContext } from "node:test";
import { findFreePort } from "../../test/e2e/ports.ts";
import { announce, scrape } from "./tracker-client.ts";

const infoHash = Uint8Array.from({ length: 20 }, (_, i) => i + 1);
const peerId = Uint8Array.from({ length: 20 }, (_, i) => 0xff - i);
const leech = { infoHash, peerId, port: 6881, left: 7n };
const connectionId = 0x0123_4567_89ab_cdefn;

/** Makes an answer: action, transaction id, words, and then bytes as they are. */
function answer(
  action: number,
  request: Buffer,
  words: readonly number[],
  tail: Uint8Array = new Uint8Array(),
): Buffer {
  const head = Buffer.alloc(8 + 4 * words.length);
  head.writeUInt32BE(action, 0);
  request.copy(head, 4, 12, 16);
  for (const [i, word] of words.entries()) head.writeUInt32BE(word, 8 + 4 * i);
  return Buffer.concat([head, tail]);
}

const connected = (request: Buffer) => answer(0, request, [0x0123_4567, 0x89ab_cdef]);

/** Starts a tracker that sends what `reply` gives for each datagram, and keeps the datagrams. */
async function startTracker(
  t: TestContext,
  reply: (request: Buffer) => readonly Buffer[],
  family: 4 | 6 = 4,
): Promise<{ url: string; requests: Buffer[] }> {
  const requests: Buffer[] = [];
  const socket = createSocket(family === 6 ? "udp6" : "udp4");
  socket.on("message", (request: Buffer, from: RemoteInfo) => {
    requests.push(request);
    for (const packet of reply(request)) socket.send(packet, from.port, from.address);
  });
  socket.bind(0, family === 6 ? "::1" : "127.0.0.1");
  await once(socket, "listening");
  t.after(() => socket.close());
  return { url: `udp://${family === 6 ? "[::1]" : "127.0.0.1"}:${socket.address().port}`, requests };
}

const isConnect = (request: Buffer) => request.readUInt32BE(8) === 0 && request.length === 16;

describe("announce over UDP", () => {
  for (const family of [4, 6] as const) {
    it(`connects, announces and reads peers of IPv${family}`, async (t) => {
      const peer = Buffer.alloc(family === 4 ? 6 : 18);
      peer[0] = 0x20;
      peer[1] = 0x01;
      peer.writeUInt16BE(6882, peer.length - 2);
      const { url, requests } = await startTracker(
        t,
        (request) => [
          isConnect(request)
            ? connected(request)
            : answer(1, request, [1800, 2, 3], Buffer.concat([peer, peer])),
        ],
        family,
      );
      const parameters = { ...leech, uploaded: 5n, downloaded: 6n, event: 2 as const, numWant: 9, key: 8 };
      const ip = family === 4 ? "32.1.0.0" : "2001::";
      assert.deepEqual(await announce(`${url}/announce?key=1`, parameters), {
        interval: 1800,
        complete: 3,
        incomplete: 2,
        peers: [
          { ip, port: 6882 },
          { ip, port: 6882 },
        ],
      });
      assert.equal(requests.length, 2);
      assert.equal(requests[0]!.readBigUInt64BE(0), 0x417_2710_1980n);
      const request = requests[1]!;
      assert.equal(request.readBigUInt64BE(0), connectionId);
      assert.equal(request.readUInt32BE(8), 1);
      assert.deepEqual(request.subarray(16, 56), Buffer.concat([infoHash, peerId]));
      const counters = [56, 64, 72].map((at) => request.readBigUInt64BE(at));
      assert.deepEqual(counters, [6n, 7n, 5n]); // downloaded, left, uploaded
      const words = [80, 84, 88, 92].map((at) => request.readUInt32BE(at));
      assert.deepEqual(words, [2, 0, 8, 9]); // event, address, key, number of peers
      assert.equal(request.readUInt16BE(96), 6881);
      assert.equal(request.subarray(98).toString("latin1"), "\x02\x0f/announce?key=1");
    });
  }

  it("sends no URL data for a URL without a path, and -1 for as many peers as the tracker likes", async (t) => {
    const { url, requests } = await startTracker(t, (request) => [
      isConnect(request) ? connected(request) : answer(1, request, [1, 0, 0]),
    ]);
    await announce(url, leech);
    assert.equal(requests[1]!.length, 98);
    assert.equal(requests[1]!.readInt32BE(92), -1);
  });

  it("sends each packet again until it is answered", async (t) => {
    const lost = [2, 1]; // connects, announces
    const { url, requests } = await startTracker(t, (request) => {
      if (lost[request.readUInt32BE(8)]!-- > 0) return [];
      return [isConnect(request) ? connected(request) : answer(1, request, [60, 0, 0])];
    });
    assert.equal((await announce(url, leech, { retransmitMs: 1 })).interval, 60);
    const count = (action: number) => requests.filter((request) => request.readUInt32BE(8) === action).length;
    assert.ok(count(0) >= 3);
    assert.ok(count(1) >= 2);
  });

  it("ignores responses to other requests, and malformed responses", async (t) => {
    const { url } = await startTracker(t, (request) => {
      const foreign = Buffer.from(request);
      foreign[12]! ^= 1;
      if (isConnect(request)) return [answer(3, foreign, []), Buffer.from("abc"), connected(request)];
      const cut = answer(1, request, [60, 0, 0], new Uint8Array(5));
      return [connected(request), answer(1, foreign, [1, 0, 0]), cut, answer(1, request, [60, 0, 0])];
    });
    assert.equal((await announce(url, leech)).interval, 60);
  });

  it("fails with the tracker's reason", async (t) => {
    const { url } = await startTracker(t, (request) => [
      isConnect(request) ? connected(request) : answer(3, request, [], Buffer.from("unapproved torrent\0")),
    ]);
    await assert.rejects(announce(url, leech), { kind: "refused", message: "unapproved torrent" });
  });

  it("tells silence from being aborted", async (t) => {
    const { url } = await startTracker(t, () => []);
    await assert.rejects(announce(url, leech, { timeoutMs: 20 }), { kind: "timeout" });
    const controller = new AbortController();
    const announced = announce(url, leech, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await assert.rejects(announced, { message: "enough" });
  });

  it("says when nobody listens", async () => {
    const port = await findFreePort();
    await assert.rejects(announce(`udp://127.0.0.1:${port}`, leech), { kind: "unreachable" });
  });
});

describe("scrape over UDP", () => {
  it("gives the counts in the order of the question, and none for what is not answered", async (t) => {
    const { url, requests } = await startTracker(t, (request) => [
      isConnect(request) ? connected(request) : answer(2, request, [1, 2, 3, 4, 5, 6]),
    ]);
    assert.deepEqual(await scrape(`${url}/announce`, [infoHash, peerId, infoHash]), [
      { complete: 1, downloaded: 2, incomplete: 3 },
      { complete: 4, downloaded: 5, incomplete: 6 },
      undefined,
    ]);
    assert.deepEqual(requests[1]!.subarray(16), Buffer.concat([infoHash, peerId, infoHash]));
  });
});
