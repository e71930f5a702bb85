import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { listEngines } from "../../../test/support/networks.ts";
import { clientFrame, handshake, WebClient } from "../../../test/support/web-client.ts";
import {
  WebTracker,
  webAnnounce,
  webAnswer,
  webHash,
  webId,
  webOptions,
} from "../../../test/support/web-tracker.ts";
import { ClientError } from "../../bittorrent/client-error.ts";
import { Address } from "../../ip/address.ts";
import type { Hook } from "../../middleware/hook.ts";
import { portableNetwork } from "../../net/network.ts";
import type { StreamHandler, StreamListener, StreamOptions } from "../../net/stream.ts";
import { Opcode } from "../../protocol/websocket/frame-writer.ts";

/** Makes a hook that lets each request wait. `waiting` resolves to the function that lets the next request go on. */
function createGate(): { hook: Hook; waiting: () => Promise<() => void> } {
  const gates: (() => void)[] = [];
  const wait = () => new Promise<undefined>((resolve) => gates.push(() => resolve(undefined)));
  const waiting = async () => {
    while (gates.length === 0) await new Promise((resolve) => setImmediate(resolve));
    return gates.shift()!;
  };
  return { hook: { name: "wait", handleAnnounce: wait, handleScrape: wait }, waiting };
}

for (const { name, open, skip } of await listEngines()) {
  test(`offers reach the other peer and answers come back (${name} network)`, { skip }, async (t) => {
    const network = await open();
    t.after(() => network.close());
    const tracker = await WebTracker.start(t, {}, {}, {}, network);
    const [a, b] = [await tracker.open(), await tracker.open("/")];
    const counts = { action: "announce", info_hash: webHash, interval: 120, downloaded: 0 };
    assert.deepEqual(await a.request(webAnnounce("a", 2, { left: 0 })), {
      ...counts,
      complete: 1,
      incomplete: 0,
    });
    assert.deepEqual(await b.request(webAnnounce("b", 2)), { ...counts, complete: 1, incomplete: 1 });
    const offer = await a.next();
    assert.deepEqual(offer, {
      action: "announce",
      offer: { type: "offer", sdp: "offer 0 of b" },
      offer_id: webId("b-0"),
      peer_id: webId("b"),
      info_hash: webHash,
    });
    a.send(webAnswer("a", webId("b-0")));
    assert.deepEqual(await b.next(), {
      action: "announce",
      answer: { type: "answer", sdp: "answer of a" },
      offer_id: webId("b-0"),
      peer_id: webId("a"),
      info_hash: webHash,
    });
    assert.deepEqual([await a.flush(), await b.flush()], [[], []]);
    assert.equal(await tracker.count('chihaya_web_offers_total{result="relayed"}'), 1);
    assert.equal(await tracker.count('chihaya_web_offers_total{result="no_target"}'), 3);
    assert.equal(await tracker.count('chihaya_web_answers_total{result="relayed"}'), 1);
    assert.deepEqual(tracker.errors, []);
  });
}

test("frames that come with the handshake are read", async (t) => {
  const tracker = await WebTracker.start(t);
  const client = new WebClient(t, tracker.port);
  const message = clientFrame(JSON.stringify(webAnnounce("a")));
  client.socket.write(Buffer.concat([Buffer.from(handshake()), message, message.subarray(0, 9)]));
  assert.equal((await client.next())?.incomplete, 1);
  client.socket.write(message.subarray(9));
  assert.equal((await client.next())?.incomplete, 1);
});

test("a handshake may come in any pieces, after other requests on the connection", async (t) => {
  const tracker = await WebTracker.start(t);
  const head = Buffer.from(handshake());
  for (const split of [1, 20, head.length - 1]) {
    const client = new WebClient(t, tracker.port);
    client.socket.setNoDelay();
    client.socket.write(head.subarray(0, split));
    const other = new WebClient(t, tracker.port); // its response comes after the piece was read
    other.socket.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    await other.ended();
    client.socket.write(Buffer.concat([head.subarray(split), clientFrame("p", Opcode.ping)]));
    await client.until(() => client.pongs.length > 0);
  }
});

test("an answer counts only from the socket that got the offer, once, and for two minutes", async (t) => {
  const tracker = await WebTracker.start(t);
  const [a, b, c] = [await tracker.open(), await tracker.open(), await tracker.open()];
  await a.request(webAnnounce("a"));
  await c.request(webAnnounce("c", 0, { info_hash: webId("other") }));
  await b.request(webAnnounce("b", 1));
  await a.next();
  c.send(webAnswer("a", webId("b-0"))); // says that it is a
  await c.flush();
  assert.deepEqual(await b.flush(), []);
  a.send(webAnswer("c", webId("b-0"))); // gets its own peer id
  assert.equal((await b.next())?.peer_id, webId("a"));
  a.send(webAnswer("a", webId("b-0")));
  a.send(webAnswer("a", webId("b-1")));
  await a.flush();
  assert.deepEqual(await b.flush(), []);
  assert.equal(await tracker.count('chihaya_web_answers_total{result="unknown"}'), 3);

  tracker.pass(16);
  await b.request(webAnnounce("b", 1));
  await a.next();
  tracker.clock.seconds += 121;
  a.send(webAnswer("a", webId("b-0")));
  await a.flush();
  assert.deepEqual(await b.flush(), []);

  await b.request(webAnnounce("b", 1));
  await a.next();
  await b.reset();
  while ((await tracker.count("chihaya_web_sockets")) > 2) await a.flush();
  a.send(webAnswer("a", webId("b-0")));
  await a.flush();
  assert.equal(await tracker.count('chihaya_web_answers_total{result="gone"}'), 1);
});

test("a peer whose own offer was relayed to the announcer gets no offer for 15 seconds", async (t) => {
  const tracker = await WebTracker.start(t);
  const [a, b] = [await tracker.open(), await tracker.open()];
  await a.request(webAnnounce("a"));
  await b.request(webAnnounce("b", 1));
  assert.equal((await a.next())?.offer_id, webId("b-0"));
  await a.request(webAnnounce("a", 1));
  assert.deepEqual(await b.flush(), []);
  assert.equal(await tracker.count('chihaya_web_offers_total{result="glare"}'), 1);
  tracker.clock.seconds += 16;
  await a.request(webAnnounce("a", 1));
  assert.equal((await b.next())?.offer_id, webId("a-0"));
});

test("offers go to the peers with the fewest offers that they have not answered", async (t) => {
  const tracker = await WebTracker.start(t);
  const peers = await Promise.all(Array.from({ length: 12 }, () => tracker.open()));
  for (const [i, peer] of peers.entries()) await peer.request(webAnnounce(`p${i}`));
  for (let n = 0; n < 24; n++) {
    const client = await tracker.open();
    await client.request(webAnnounce(`n${n}`, 2));
    client.send(webAnnounce(`n${n}`, 0, { event: "stopped" }));
    await client.next();
  }
  const got = await Promise.all(peers.map(async (peer) => (await peer.flush()).length));
  assert.equal(
    got.reduce((sum, n) => sum + n),
    48,
  );
  assert.ok(Math.max(...got) <= 8, `${got}`);
  assert.ok(Math.min(...got) >= 1, `${got}`);
});

test("a seeder's offers go to seeders too", async (t) => {
  const tracker = await WebTracker.start(t);
  const [a, b] = [await tracker.open(), await tracker.open()];
  await a.request(webAnnounce("a", 0, { left: 0 }));
  await b.request(webAnnounce("b", 1, { left: 0 }));
  assert.equal((await a.next())?.offer_id, webId("b-0"));
});

test("a peer leaves with its socket, however that closes", async (t) => {
  const tracker = await WebTracker.start(t);
  const watcher = await tracker.open();
  const count = async () => {
    const response = await watcher.request({ action: "scrape", info_hash: webHash });
    return (response!.files as Record<string, { incomplete: number }>)[webHash]!.incomplete;
  };
  const closings: [string, (client: WebClient) => void | Promise<void>][] = [
    ["reset", (client) => client.reset()],
    ["end of the connection", async (client) => void client.socket.end()],
    ["close frame", (client) => void client.socket.write(clientFrame(Buffer.from([3, 232]), Opcode.close))],
    ["fault", (client) => void client.socket.write(clientFrame("", 3))],
  ];
  for (const [name, close] of closings) {
    const client = await tracker.open();
    await client.request(webAnnounce("a"));
    await client.request(webAnnounce("a", 0, { info_hash: webId("other") }));
    assert.equal(await count(), 1, name);
    await close(client);
    await client.ended();
    while ((await tracker.count("chihaya_web_sockets")) > 1) await watcher.flush();
    assert.equal(await count(), 0, name);
  }
  assert.equal((await tracker.store.statistics()).leechers, 0);
});

test("stopped leaves one torrent, and another peer id replaces the first", async (t) => {
  const tracker = await WebTracker.start(t);
  const [a, b] = [await tracker.open(), await tracker.open()];
  await a.request(webAnnounce("a"));
  const again = await a.request(webAnnounce("a2"));
  assert.equal(again?.incomplete, 1);
  await b.request(webAnnounce("b", 1));
  a.send(webAnswer("a", (await a.next())?.offer_id));
  assert.equal((await b.next())?.peer_id, webId("a2"));
  const stopped = await a.request(webAnnounce("a2", 5, { event: "stopped", left: null, numwant: 50 }));
  assert.equal(stopped?.incomplete, 1);
  assert.deepEqual(await b.flush(), []);
  await b.request(webAnnounce("b", 1));
  assert.deepEqual(await a.flush(), []);
});

test("HTTP and WebSocket peers share the counts, but not the lists", async (t) => {
  const tracker = await WebTracker.start(t);
  const web = await tracker.open();
  await web.request(webAnnounce("w", 1));
  const peer = `peer_id=${webId("h")}&port=6881&left=0&uploaded=0&downloaded=0&compact=1`;
  const response = await fetch(`http://127.0.0.1:${tracker.port}/announce?info_hash=${webHash}&${peer}`);
  const text = await response.text();
  assert.match(text, /8:completei1e.*10:incompletei1e/);
  assert.equal((await web.request(webAnnounce("w", 1)))?.complete, 1);
  assert.deepEqual(await web.flush(), []);
});

test("a refused announce gets a failure with the torrent and the interval, and relays nothing", async (t) => {
  const refuse: Hook = {
    name: "refuse",
    handleAnnounce: ({ peerId }) => (peerId[0] === 0x78 ? new ClientError("not you") : undefined),
  };
  const tracker = await WebTracker.start(t, { interval: 60 }, { preHooks: [refuse] });
  const [a, x] = [await tracker.open(), await tracker.open()];
  await a.request(webAnnounce("a"));
  assert.deepEqual(await x.request(webAnnounce("x", 5)), {
    action: "announce",
    "failure reason": "not you",
    info_hash: webHash,
    interval: 60,
  });
  assert.deepEqual(await a.flush(), []);
  assert.deepEqual(await x.request(webAnnounce("a", 0, { peer_id: "short" })), {
    action: "announce",
    "failure reason": "failed to provide valid peer_id",
    info_hash: webHash,
    interval: 60,
  });
});

test("hooks see the address, the path, the query and the route of each announce", async (t) => {
  const seen: string[] = [];
  const hook: Hook = {
    name: "see",
    handleAnnounce({ address, params, kind }) {
      seen.push([kind, address, params.path, params.get("jwt"), params.route("passkey")].join(" "));
    },
    handleScrape: ({ address, params }) => void seen.push(`scrape ${address} ${params.route("passkey")}`),
  };
  const trusted = { trustedProxies: ["127.0.0.1"], realIpHeader: "x-forwarded-for" };
  const tracker = await WebTracker.start(t, {}, { preHooks: [hook] }, trusted);
  const forwarded = { "X-Forwarded-For": "198.51.100.7" };
  const client = await tracker.open("/announce/secret?jwt=a%2Bb", forwarded);
  await client.request(webAnnounce("a"));
  await client.request({ action: "scrape", info_hash: webHash });
  const plain = await tracker.open("/", { "X-Forwarded-For": "2001:db8::1" });
  await plain.request(webAnnounce("b"));
  assert.deepEqual(seen, [
    "web 198.51.100.7 /announce/secret a+b secret",
    "scrape 198.51.100.7 secret",
    "web 2001:db8::1 /  ",
  ]);
});

test("the PROXY protocol names the client", async (t) => {
  const seen: string[] = [];
  const hook: Hook = { name: "see", handleAnnounce: ({ address }) => void seen.push(`${address}`) };
  const trusted = { trustedProxies: ["127.0.0.1"], proxyProtocol: true };
  const tracker = await WebTracker.start(t, {}, { preHooks: [hook] }, trusted);
  const client = await tracker.open("/", {}, "PROXY TCP4 198.51.100.9 127.0.0.1 5 6\r\n");
  await client.request(webAnnounce("a"));
  assert.deepEqual(seen, ["198.51.100.9"]);
});

test("messages wait while a hook decides, and a client that goes meanwhile leaves no peer", async (t) => {
  const { hook, waiting } = createGate();
  const tracker = await WebTracker.start(t, {}, { preHooks: [hook] });
  const [a, b] = [await tracker.open(), await tracker.open()];
  const settled = async () => (await waiting())();
  a.send(webAnnounce("a"));
  a.send(webAnnounce("a", 0, { info_hash: webId("other") }));
  await settled();
  assert.equal((await a.next())?.info_hash, webHash);
  await settled();
  assert.equal((await a.next())?.info_hash, webId("other"));
  b.send(webAnnounce("b", 1));
  await settled();
  await b.next();
  assert.deepEqual((await a.next())?.offer, { type: "offer", sdp: "offer 0 of b" });

  b.send(webAnnounce("b", 0, { info_hash: webId("third") }));
  const goOn = await waiting();
  await b.reset();
  while ((await tracker.count("chihaya_web_sockets")) > 1) await a.flush();
  goOn();
  await a.flush();
  const { leechers } = await tracker.store.statistics();
  assert.equal(leechers, 2, "the two of a");
});

test("an idle client gets a ping after 30 seconds, and is gone after 30 more", async (t) => {
  const tracker = await WebTracker.start(t);
  const client = await tracker.open();
  await client.request(webAnnounce("a"));
  tracker.pass(29);
  await client.flush();
  assert.equal(client.pings, 0);
  tracker.pass(30);
  await client.until(() => client.pings === 1);
  client.socket.write(clientFrame("", Opcode.pong));
  await client.flush();
  tracker.pass(61);
  await client.ended();
  assert.equal(client.closeCode, 0);
  assert.equal(await tracker.count("chihaya_web_pings_timed_out_total"), 1);
  assert.equal(tracker.store.statistics().leechers, 0);
});

test("the frontend checks each of many sockets once a second, some at a time", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const tracker = await WebTracker.start(t);
  const clients = await Promise.all(Array.from({ length: 200 }, () => tracker.open()));
  tracker.clock.seconds += 31; // each socket is closed, because it has not announced
  const closed = () => tracker.count("chihaya_web_sockets").then((open) => clients.length - open);
  t.mock.timers.tick(999);
  assert.equal(await closed(), 0);
  t.mock.timers.tick(1);
  assert.equal(await closed(), 100);
  t.mock.timers.tick(499);
  assert.equal(await closed(), 100);
  t.mock.timers.tick(1);
  assert.equal(await closed(), 200);
});

test("a socket without an accepted announce is closed: after 30 seconds, later after three intervals", async (t) => {
  const tracker = await WebTracker.start(t, { interval: 20 });
  const [silent, active] = [await tracker.open(), await tracker.open()];
  await active.request(webAnnounce("a"));
  for (let n = 0; n < 31; n++) {
    tracker.pass(1);
    await Promise.all([silent, active].map((client) => client.flush().catch(() => undefined)));
  }
  await silent.ended();
  assert.equal(silent.closeCode, 1000);
  for (let n = 0; n < 30; n++) {
    tracker.pass(1);
    await active.flush().catch(() => undefined);
  }
  await active.ended();
  assert.equal(active.closeCode, 1000);
});

test("a socket that never announces is closed although its scrapes wait for their turn", async (t) => {
  const tracker = await WebTracker.start(t);
  const [client, other] = [await tracker.open(), await tracker.open()];
  for (let n = 0; n < 1000; n++) client.send({ action: "scrape", info_hash: [webHash] });
  await other.request(webAnnounce("b"));
  for (let n = 0; n < 31; n++) {
    tracker.pass(1);
    await other.flush();
  }
  await client.ended();
  assert.equal(client.closeCode, 1000);
});

test("the time of a hook does not close the socket whose first announce waits for it", async (t) => {
  const { hook, waiting } = createGate();
  const tracker = await WebTracker.start(t, {}, { preHooks: [hook] });
  const [announcer, scraper] = [await tracker.open(), await tracker.open()];
  announcer.send(webAnnounce("a"));
  scraper.send({ action: "scrape", info_hash: [webHash] });
  const gates = [await waiting(), await waiting()];
  tracker.pass(31);
  for (const goOn of gates) goOn();
  assert.equal((await announcer.next())?.incomplete, 1);
  assert.deepEqual(await announcer.flush(), []);
  assert.equal((await scraper.next())?.action, "scrape");
  await scraper.ended();
  assert.equal(scraper.closeCode, 1000);
});

test("a message that does not arrive whole within 10 seconds closes the socket", async (t) => {
  const tracker = await WebTracker.start(t);
  const client = await tracker.open();
  client.socket.write(clientFrame("xxxx").subarray(0, 5));
  const other = await tracker.open();
  await other.request(webAnnounce("a"));
  tracker.pass(9);
  client.socket.write(clientFrame("xxxx").subarray(5, 6));
  await other.flush();
  tracker.pass(3);
  await client.ended();
  assert.equal(client.closeCode, 1008);
});

test("messages beyond 20 a second wait", async (t) => {
  const tracker = await WebTracker.start(t);
  const client = await tracker.open();
  for (let n = 0; n < 100; n++) client.send(webAnnounce("a", 0, { info_hash: webId(`t${n}`) }));
  const other = await tracker.open();
  await other.flush();
  const read = async () => {
    await other.flush();
    return tracker.count('chihaya_web_messages_total{kind="announce"}');
  };
  for (const wanted of [60, 80, 100]) {
    while ((await read()) < wanted);
    assert.equal(await read(), wanted);
    tracker.pass(1);
  }
});

test("messages without a torrent get no response, and after five of them the socket is closed", async (t) => {
  const tracker = await WebTracker.start(t);
  const client = await tracker.open();
  for (const text of ["", "{", "[]", '{"action":"announce"}']) client.socket.write(clientFrame(text));
  assert.deepEqual(await client.flush(), []);
  client.socket.write(clientFrame("null"));
  await client.ended();
  assert.equal(client.closeCode, 1008);
  assert.equal(await tracker.count('chihaya_web_messages_total{kind="invalid"}'), 5);
});

test("a socket has at most 200 torrents", async (t) => {
  const tracker = await WebTracker.start(t);
  const client = await tracker.open();
  for (let n = 0; n < 200; n++) {
    if (n % 20 === 0) tracker.pass(1);
    const response = await client.request(webAnnounce("a", 0, { info_hash: webId(`t${n}`) }));
    assert.equal(response?.incomplete, 1);
  }
  tracker.pass(3);
  const response = await client.request(webAnnounce("a"));
  assert.equal(response?.["failure reason"], "too many torrents on one connection");
  await client.request(webAnnounce("a", 0, { info_hash: webId("t5"), event: "stopped" }));
  assert.equal((await client.request(webAnnounce("a")))?.incomplete, 1);
});

test("requests whose upgrade got lost on the way get 426 and a sentence", async (t) => {
  const tracker = await WebTracker.start(t);
  for (const name of ["Upgrade", "Connection", "Sec-WebSocket-Version"]) {
    const text = await WebClient.refused(t, tracker.port, "/announce", {
      [name]: undefined,
      Via: "1.1 proxy",
    });
    assert.match(text, /^HTTP\/1\.1 426 Upgrade Required\r\n/, name);
    assert.match(text, /\r\nSec-WebSocket-Version: 13\r\n/i);
    assert.match(text, /\r\n\r\nthis is a WebSocket tracker: .*proxy/s);
  }
  const text = await WebClient.refused(t, tracker.port, "/announce", { "Sec-WebSocket-Key": "short" });
  assert.match(text, /^HTTP\/1\.1 400 /);
  const elsewhere = await WebClient.refused(t, tracker.port, "/elsewhere", { Connection: "Upgrade, close" });
  assert.match(elsewhere, /^HTTP\/1\.1 404 /);
});

test("web sites are allowed and denied by their origins", async (t) => {
  const options = {
    allowOrigins: ["https://example.com", "*.example.org", "null"],
    denyOrigins: ["bad.example.org"],
  };
  const tracker = await WebTracker.start(t, options);
  for (const origin of ["https://example.com", "http://a.b.example.org:8080", "null", "HTTPS://EXAMPLE.COM"])
    await tracker.open("/", { Origin: origin });
  await tracker.open("/"); // a program
  for (const origin of [
    "http://example.com",
    "https://example.com:8443",
    "https://example.com.evil.test",
    "https://example.org",
    "https://notexample.org",
    "https://bad.example.org",
    "",
  ])
    assert.match(
      await WebClient.refused(t, tracker.port, "/", { Origin: origin }),
      /^HTTP\/1\.1 403 /,
      origin,
    );
  assert.equal(await tracker.count('chihaya_web_refused_total{reason="origin"}'), 7);
});

test("a denied web site is denied with the root's dot too", async (t) => {
  const tracker = await WebTracker.start(t, { denyOrigins: ["bad.example", "*.worse.example"] });
  for (const origin of ["https://bad.example.", "https://bad.example.:8443", "https://a.worse.example."])
    assert.match(
      await WebClient.refused(t, tracker.port, "/", { Origin: origin, Connection: "Upgrade, close" }),
      /^HTTP\/1\.1 403 /,
      origin,
    );
});

test("sockets are limited in all, and do not take the connections of HTTP", async (t) => {
  const tracker = await WebTracker.start(t, { maxConnections: 3 }, {}, { maxConnections: 2 });
  const clients = [await tracker.open(), await tracker.open(), await tracker.open()];
  assert.match(await WebClient.refused(t, tracker.port), /^HTTP\/1\.1 503 .*too many WebSockets/s);
  const response = await fetch(`http://127.0.0.1:${tracker.port}/`);
  assert.equal(response.status, 200);
  for (const client of clients) assert.deepEqual(await client.flush(), []);
  await clients[0]!.reset();
  while ((await tracker.count("chihaya_web_sockets")) > 2) await clients[1]!.flush();
  await tracker.open();
});

test("a socket counts until its connection is gone, also if this side has closed the socket", async (t) => {
  const tracker = await WebTracker.start(t, { maxConnections: 1 });
  const client = await tracker.open();
  client.socket.pause(); // does not notice the close
  client.socket.write(clientFrame("x", 3));
  while ((await tracker.count("chihaya_web_sockets")) > 0)
    await new Promise((resolve) => setImmediate(resolve));
  assert.match(await WebClient.refused(t, tracker.port), /too many WebSockets/);
  tracker.pass(7);
  await tracker.open();
});

/** Starts a tracker with a connection in the test's hands, whose writes call `write`. */
async function startWith(
  t: TestContext,
  write: () => void,
  preHooks: Hook[] = [],
): Promise<{ tracker: WebTracker; receive: (bytes: Buffer) => void; close: () => void }> {
  const handlers: StreamHandler<unknown>[] = [];
  const listenStream = async <State>({ handler }: StreamOptions<State>): Promise<StreamListener> => {
    handlers.push(handler as StreamHandler<unknown>);
    return { port: 1, prepareTls: () => () => undefined, close: async () => undefined };
  };
  const tracker = await WebTracker.start(t, {}, { preHooks }, {}, { ...portableNetwork, listenStream });
  const handler = handlers[0]!;
  const none = () => undefined;
  const close = () => handler.closed(state);
  const remote = Address.parse("127.0.0.1");
  const own = { remote, remotePort: 1, pending: 0, write, pause: none, resume: none, end: none };
  const state: unknown = handler.opened({ ...own, destroy: close });
  return { tracker, receive: (bytes) => handler.received(state, bytes, 0, bytes.length), close };
}

test("a socket whose connection fails while the response to its handshake is sent does not count", async (t) => {
  const { tracker, receive, close } = await startWith(t, () => close());
  receive(Buffer.from(handshake()));
  assert.equal(await tracker.count("chihaya_web_sockets"), 0);
  assert.deepEqual(tracker.errors, []);
});

for (const isLate of [false, true]) {
  test(`an unexpected error closes the socket and is reported${isLate ? ", also after a hook has waited" : ""}`, async (t) => {
    const error = new Error("no write");
    let isFailing = false;
    const gate = Promise.withResolvers<undefined>();
    const hook: Hook = { name: "wait", handleAnnounce: () => (isLate ? gate.promise : undefined) };
    const { tracker, receive } = await startWith(t, () => {
      if (isFailing) throw error;
    }, [hook]);
    receive(Buffer.from(handshake()));
    assert.equal(await tracker.count("chihaya_web_sockets"), 1);
    isFailing = true;
    receive(clientFrame(JSON.stringify(webAnnounce("a"))));
    gate.resolve(undefined);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(tracker.errors, [error]);
    assert.equal(await tracker.count("chihaya_web_sockets"), 0);
    assert.equal(tracker.store.statistics().leechers, 0);
    assert.equal(await tracker.count('chihaya_websocket_rejected_total{reason="failed"}'), 1);
  });
}

test("sockets stay open although HTTP closes its connections after each response", async (t) => {
  const tracker = await WebTracker.start(t, {}, {}, { keepAlive: false });
  const client = await tracker.open();
  assert.equal((await client.request(webAnnounce("a")))?.incomplete, 1);
});

test("of the pings that come at once, the last one gets a pong", async (t) => {
  const tracker = await WebTracker.start(t);
  const client = await tracker.open();
  client.socket.write(Buffer.concat(["a", "b", "c"].map((text) => clientFrame(text, Opcode.ping))));
  await client.flush();
  assert.equal(client.pongs.length, 2);
});

test("an announce that waits during a reload to smaller sizes relays its offers whole", async (t) => {
  const { hook, waiting } = createGate();
  const tracker = await WebTracker.start(t, {}, { preHooks: [hook] });
  const [a, b] = [await tracker.open(), await tracker.open()];
  a.send(webAnnounce("a"));
  (await waiting())();
  await a.next();
  const sdp = "x".repeat(16_000);
  b.send(
    webAnnounce("b", 0, { numwant: 1, offers: [{ offer_id: webId("o"), offer: { type: "offer", sdp } }] }),
  );
  const goOn = await waiting();
  tracker.web.prepare({ ...webOptions, maxSdpBytes: 1024, maxScrapeInfoHashes: 1 })();
  goOn();
  assert.deepEqual((await a.next())?.offer, { type: "offer", sdp });
});

test("routes of its own replace those of HTTP", async (t) => {
  const tracker = await WebTracker.start(t, { routes: ["/ws/:passkey"] });
  await tracker.open("/ws/secret");
  assert.match(
    await WebClient.refused(t, tracker.port, "/", { Connection: "Upgrade, close" }),
    /^HTTP\/1\.1 200 /,
  );
});

test("addresses of its own serve WebSockets only, and HTTP's no longer do", async (t) => {
  const tracker = await WebTracker.start(t, { listen: [{ host: "127.0.0.1", port: 0 }] });
  const client = await tracker.open("/announce/secret");
  assert.equal((await client.request(webAnnounce("a")))?.incomplete, 1);
  const plain = await fetch(`http://127.0.0.1:${tracker.port}/announce`);
  assert.deepEqual([plain.status, (await plain.text()).includes("Upgrade: websocket")], [426, true]);
  const httpPort = Number(new URL(tracker.http.urls()[0]!).port);
  assert.match(
    await WebClient.refused(t, httpPort, "/announce", { Connection: "Upgrade, close" }),
    /^HTTP\/1\.1 200 /,
  );
});

test("a reload changes routes, origins, interval, offers, sizes and limits", async (t) => {
  const tracker = await WebTracker.start(t);
  const { webOptions } = await import("../../../test/support/web-tracker.ts");
  const [a, b] = [await tracker.open(), await tracker.open()];
  await a.request(webAnnounce("a"));
  await b.request(webAnnounce("b"));
  tracker.web.prepare({
    ...webOptions,
    routes: ["/new", "/announce"],
    denyOrigins: ["bad.example"],
    interval: 33,
    maxOffers: 1,
    maxSdpBytes: 1024,
    maxMessageBytes: 8192,
    maxScrapeInfoHashes: 1,
    maxConnections: 3,
    requestTiming: false,
  })();
  const c = await tracker.open("/new");
  assert.equal((await c.request(webAnnounce("c", 2)))?.interval, 33);
  assert.equal([...(await a.flush()), ...(await b.flush())].length, 1);
  assert.match(await WebClient.refused(t, tracker.port, "/new"), /^HTTP\/1\.1 503 /);
  const origin = { Origin: "http://bad.example" };
  assert.match(await WebClient.refused(t, tracker.port, "/new", origin), /^HTTP\/1\.1 403 /);
  const scrape = await c.request({ action: "scrape", info_hash: [webHash, webId("other")] });
  assert.equal(Object.keys(scrape?.files as object).length, 1);
  const long = { offer: { type: "offer", sdp: "x".repeat(1100) }, offer_id: webId("x") };
  await c.request(webAnnounce("c", 0, { numwant: 1, offers: [long] }));
  assert.deepEqual([...(await a.flush()), ...(await b.flush())], []);
  c.socket.write(clientFrame("x".repeat(8193)));
  await c.ended();
  assert.equal(c.closeCode, 1009);
});

test("a stop closes the sockets with 1001, and refuses new ones", async (t) => {
  const tracker = await WebTracker.start(t);
  const clients = await Promise.all(Array.from({ length: 40 }, () => tracker.open()));
  const idle = new WebClient(t, tracker.port);
  idle.socket.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  await idle.until(() => idle.head !== "");
  await Promise.all([tracker.web.stop(AbortSignal.abort()), ...clients.map((client) => client.ended())]);
  assert.deepEqual(new Set(clients.map(({ closeCode }) => closeCode)), new Set([1001]));
  assert.match(await WebClient.refused(t, tracker.port), /^HTTP\/1\.1 503 /);
});

test("hostile messages harm neither the tracker nor the peer that they are meant for", async (t) => {
  const tracker = await WebTracker.start(t);
  const victim = await tracker.open();
  await victim.request(webAnnounce("v"));
  const offer = (sdp: string) => `[{"offer":{"type":"offer","sdp":${sdp}},"offer_id":"${webId("x")}"}]`;
  const announce = (fields: string) =>
    `{"action":"announce","info_hash":"${webHash}","peer_id":"${webId("x")}","left":1,"numwant":5,${fields}}`;
  const deep = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  const responses: [name: string, text: string | Buffer, hasResponse: boolean][] = [
    ["offers of nothing", announce('"offers":[null]'), true],
    ["offers in the place of a list", announce('"offers":{"length":1000000000}'), true],
    ["an offer that is a text", announce(`"offers":[{"offer":"v=0","offer_id":"${webId("x")}"}]`), true],
    ["an SDP that is a number", announce(`"offers":${offer("5")}`), true],
    ["a long SDP", announce(`"offers":${offer(`"${"x".repeat(17_000)}"`)}`), true],
    ["an offer id of 19", announce(`"offers":[{"offer":{"sdp":"x"},"offer_id":"${"x".repeat(19)}"}]`), true],
    ["an answer that is a number", announce(`"answer":5,"offer_id":"${webId("x")}"`), true],
    ["__proto__", announce('"__proto__":{"offers":1},"constructor":{"prototype":{}}'), true],
    ["a huge number", announce(`"uploaded":1e999,"downloaded":${"9".repeat(4000)}`), true],
    [
      "an id above U+00FF",
      announce("")
        .replace(webId("x"), `${"x".repeat(19)}\u0100`)
        .replace(",}", "}"),
      true,
    ],
    ["a lone surrogate", announce(`"offers":${offer('"\\ud800"')}`), false],
    ["a key twice", announce(`"info_hash":"${webId("other")}"`), false],
    ["deep nesting", announce(`"x":${deep(10_000)}`), false],
    ["a raw control character", announce(`"offers":${offer('"\u0001"')}`), false],
  ];
  for (const [name, text, hasResponse] of responses) {
    const client = await tracker.open();
    client.socket.write(clientFrame(text));
    const messages = await client.flush();
    assert.equal(messages.length, hasResponse ? 1 : 0, name);
    assert.deepEqual(await victim.flush(), [], name);
    await client.reset();
  }
  const raw = await tracker.open();
  raw.socket.write(clientFrame(Buffer.from([0x7b, 0xff, 0x7d])));
  await raw.ended();
  assert.equal(raw.closeCode, 1007);
  const binary = await tracker.open();
  binary.socket.write(clientFrame(JSON.stringify(webAnnounce("b", 1)), Opcode.binary));
  assert.equal((await binary.next())?.action, "announce");
  assert.equal((await victim.next())?.offer_id, webId("b-0"));
  assert.deepEqual(tracker.errors, []);
});

test("an answer does not reach a client that has left the torrent", async (t) => {
  const tracker = await WebTracker.start(t);
  const [a, b] = [await tracker.open(), await tracker.open()];
  await b.request(webAnnounce("b"));
  await a.request(webAnnounce("a", 1));
  const offer = await b.next();
  await a.request(webAnnounce("a", 0, { event: "stopped" }));
  b.send(webAnswer("b", offer?.offer_id));
  await b.flush();
  assert.deepEqual(await a.flush(), []);
  assert.equal(await tracker.count('chihaya_web_answers_total{result="gone"}'), 1);
});

test("only left 0 makes a seeder, unless the client says that it has completed", async (t) => {
  const tracker = await WebTracker.start(t);
  const client = await tracker.open();
  for (const left of [null, undefined, "0", 5]) {
    const { complete, incomplete } = (await client.request(webAnnounce("a", 0, { left })))!;
    assert.deepEqual([complete, incomplete], [0, 1], `left ${left}`);
  }
  // A client of bittorrent-tracker sends no `left` with `completed`.
  const response = await client.request(webAnnounce("a", 0, { event: "completed", left: undefined }));
  const { complete, incomplete, downloaded } = response!;
  assert.deepEqual([complete, incomplete, downloaded], [1, 0, 1]);
});
