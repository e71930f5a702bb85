import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { describe, it, type TestContext } from "node:test";
import { type WebSocket, WebSocketServer } from "ws";
import { findFreePort } from "../../test/e2e/ports.ts";
import { announce, scrape, withSession } from "./tracker-client.ts";

const infoHash = Uint8Array.from({ length: 20 }, (_, i) => (i * 37 + 120) & 0xff);
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
const peerId = Buffer.from("-CY0001-abc~._-+&=%A");
const leech = { infoHash, peerId, port: 6881, left: 1n };
const refused = { action: "announce", info_hash: latin1(infoHash), "failure reason": "no" };

/** Starts a tracker that calls `reply` for each message, and keeps the messages. */
async function startTracker(t: TestContext, reply: (socket: WebSocket, message: string) => void) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const messages: string[] = [];
  const targets: string[] = [];
  const { promise: closed, resolve: close } = Promise.withResolvers<number>();
  server.on("connection", (socket, request) => {
    targets.push(`${request.headers.host}${request.url}`);
    socket.on("message", (data: Buffer) => {
      messages.push(data.toString());
      reply(socket, data.toString());
    });
    socket.on("close", close);
  });
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return { url: `ws://127.0.0.1:${server.address().port}`, messages, targets, closed };
}

const response = (fields: object) =>
  JSON.stringify({ action: "announce", info_hash: latin1(infoHash), interval: 120, ...fields });

describe("announce over WebSocket", () => {
  it("sends ids as binary strings and counters of 64 bits, and closes the WebSocket", async (t) => {
    const tracker = await startTracker(t, (socket) => {
      socket.send(response({ complete: 3, incomplete: 4, "warning message": "ü" }));
    });
    const result = await announce(`${tracker.url}/announce?passkey=a%2Fb`, {
      ...leech,
      left: 2n ** 64n - 1n,
      uploaded: 5n,
      event: 2,
      numWant: 0,
    });
    assert.deepEqual(result, { interval: 120, peers: [], complete: 3, incomplete: 4, warning: "ü" });
    assert.deepEqual(tracker.targets, [`${tracker.url.slice(5)}/announce?passkey=a%2Fb`]);
    const [message] = tracker.messages;
    assert.match(message!, /"uploaded":5,"downloaded":0,"left":18446744073709551615\}$/);
    const { info_hash, peer_id, event, numwant, offers } = JSON.parse(message!);
    assert.deepEqual(
      [info_hash, peer_id, event, numwant, offers],
      [latin1(infoHash), latin1(peerId), "started", 0, []],
    );
    assert.equal(await tracker.closed, 1000);
  });

  it("takes the response among pings, offers and other torrents, in any frames", async (t) => {
    const tracker = await startTracker(t, (socket) => {
      socket.ping("x");
      socket.send(response({ offer: { type: "offer", sdp: "v=0" }, offer_id: "o".repeat(20) }));
      socket.send(JSON.stringify({ action: "announce", info_hash: "x".repeat(20), interval: 5 }));
      const text = response({ interval: 7, pad: "x".repeat(70_000) });
      socket.send(text.slice(0, 100), { fin: false });
      socket.send(text.slice(100), { fin: true });
    });
    assert.equal((await announce(tracker.url, leech)).interval, 7);
  });

  it("says why it failed", async (t) => {
    const cases: [reply: (socket: WebSocket) => void, kind: string, message: string][] = [
      [(socket) => socket.send(JSON.stringify(refused)), "refused", "no"],
      [(socket) => socket.send('{"failure reason":"no"}'), "refused", "no"],
      [(socket) => socket.send("{"), "malformed", "malformed response: not JSON"],
      [(socket) => socket.send("7"), "malformed", "malformed response: not an object"],
      [
        (socket) => socket.send(response({ interval: "5" })),
        "malformed",
        'malformed response: "interval" is missing',
      ],
      [
        (socket) => socket.send("x".repeat(2_000_000)),
        "malformed",
        "malformed response: longer than 1048576 bytes",
      ],
      [
        (socket) => socket.close(1008, "go"),
        "unreachable",
        "the tracker closed the WebSocket with code 1008: go",
      ],
      [(socket) => socket.terminate(), "unreachable", "the tracker closed the connection"],
      [() => undefined, "timeout", "no response within 200 ms"],
    ];
    for (const [reply, kind, message] of cases) {
      const { url } = await startTracker(t, reply);
      const options = { timeoutMs: kind === "timeout" ? 200 : 15_000 };
      await assert.rejects(announce(url, leech, options), { name: "TrackerError", kind, message });
    }
  });

  it("says which status it got instead of a WebSocket", async (t) => {
    const port = await findFreePort();
    await assert.rejects(announce(`ws://127.0.0.1:${port}`, leech), { kind: "unreachable" });
    const server = createServer((_, response) => response.writeHead(403).end("no")).listen(port, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.close());
    const message = "malformed response: HTTP status 403 instead of a WebSocket";
    await assert.rejects(announce(`ws://127.0.0.1:${port}`, leech), { kind: "malformed", message });
  });
});

describe("scrape over WebSocket", () => {
  it("returns the counts in the order of the infohashes", async (t) => {
    const tracker = await startTracker(t, (socket) => {
      const files = { [latin1(infoHash)]: { complete: 1, incomplete: 2, downloaded: 3 } };
      socket.send(JSON.stringify({ action: "scrape", files }));
    });
    const counts = await scrape(tracker.url, [peerId, infoHash]);
    assert.deepEqual(counts, [undefined, { complete: 1, incomplete: 2, downloaded: 3 }]);
    assert.deepEqual(JSON.parse(tracker.messages[0]!), {
      action: "scrape",
      info_hash: [peerId, infoHash].map(latin1),
    });
  });
});

describe("a WebSocket session", () => {
  it("offers, and answers the offers of others", async (t) => {
    const relayed = { offer_id: "o".repeat(20), peer_id: latin1(peerId) };
    const tracker = await startTracker(t, (socket, message) => {
      const { answer, offers } = JSON.parse(message);
      if (answer) socket.send(response({ ...relayed, interval: undefined, answer }));
      else socket.send(response({ ...relayed, interval: undefined, offer: offers[0].offer }));
      if (!answer) socket.send(response({}));
    });
    await withSession(tracker.url, {}, async (session) => {
      await session.announce(leech, [{ id: Buffer.from("i".repeat(20)), sdp: "v=0\r\n" }]);
      const offer = await session.relayed(infoHash);
      assert.deepEqual([offer.kind, offer.sdp, latin1(offer.id)], ["offer", "v=0\r\n", "o".repeat(20)]);
      session.answer(infoHash, peerId, offer, "v=1");
      const answer = await session.relayed(infoHash);
      assert.deepEqual([answer.kind, answer.sdp, latin1(answer.peerId)], ["answer", "v=1", latin1(peerId)]);
    });
    const sent = JSON.parse(tracker.messages[1]!);
    assert.deepEqual(
      [sent.to_peer_id, sent.offer_id, sent.answer],
      [latin1(peerId), "o".repeat(20), { type: "answer", sdp: "v=1" }],
    );
  });
});
