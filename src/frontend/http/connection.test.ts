import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  announceQuery,
  createHttpServer,
  type HttpServer,
  httpOptions,
} from "../../../test/fixtures/http-server.ts";
import { RecordingObserver } from "../../../test/support/observed.ts";
import type { HttpConnection } from "../../http/connection.ts";
import { Address } from "../../ip/address.ts";
import type { LogicSettings } from "../../middleware/logic.ts";
import type { Connection, StreamHandler } from "../../net/stream.ts";
import type { HttpOptions } from "./options.ts";

/** A connection without a socket: what was sent and done to it can be looked at. */
class FakeConnection implements Connection {
  readonly remote: Address;
  readonly remotePort = 40_000;
  sent = "";
  pending = 0;
  paused = false;
  state: "open" | "ended" | "destroyed" | "reset" = "open";
  /** Set where the client takes nothing. */
  stuck = false;

  constructor(address: string) {
    this.remote = Address.parse(address);
  }
  write(bytes: Uint8Array, start: number, end: number): void {
    assert.equal(this.state, "open");
    this.sent += Buffer.from(bytes.subarray(start, end)).toString("latin1");
    if (this.stuck) this.pending += end - start;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  end(): void {
    this.state = "ended";
  }
  destroy(reset = false): void {
    this.state = reset ? "reset" : "destroyed";
  }
  /** Statuses of the responses so far. */
  get statuses(): number[] {
    return [...this.sent.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
  }
}

interface Client {
  connection: FakeConnection;
  /** Delivers bytes, unless the frontend has paused reading. */
  send(text: string): void;
  finish(): void;
  drain(): void;
  gone(): void;
}

/** A frontend whose connections are made by the test. */
async function start(
  t: TestContext,
  options: Partial<HttpOptions> = {},
  settings: Partial<LogicSettings> = {},
  observer?: RecordingObserver,
): Promise<HttpServer & { open(address?: string): Client }> {
  let handler: StreamHandler<HttpConnection> | undefined;
  const server = createHttpServer(
    { listen: [{ host: "127.0.0.1", port: 1 }], ...options },
    settings,
    (given) => {
      handler = given.handler as unknown as StreamHandler<HttpConnection>;
      return Promise.resolve({ port: 1, prepareTls: () => () => undefined, close: () => Promise.resolve() });
    },
    undefined,
    observer,
  );
  await server.frontend.start();
  t.after(() => server.frontend.stop(AbortSignal.abort()));
  const open = (address = "192.0.2.1"): Client => {
    const connection = new FakeConnection(address);
    const state = handler!.opened(connection);
    return {
      connection,
      send(text) {
        assert.ok(!connection.paused, "nothing is delivered while paused");
        // In the middle of a buffer that is used again, as network code does it.
        const bytes = Buffer.from(`##${text}##`, "latin1");
        handler!.received(state, bytes, 2, bytes.length - 2);
        bytes.fill(0x23);
      },
      finish: () => handler!.ended(state),
      drain() {
        connection.pending = 0;
        handler!.drained(state);
      },
      gone: () => handler!.closed(state),
    };
  };
  return { ...server, open };
}

const scrape = (letter = "a") => `GET /scrape?info_hash=${letter.repeat(20)} HTTP/1.1\r\nHost: x\r\n\r\n`;
const announce = (changes = {}, headers = "") =>
  `GET /announce?${announceQuery(changes)} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
const hexOf = (letter: string) => Buffer.from(letter.repeat(20)).toString("hex");
const turn = () => new Promise(setImmediate);

/** A counter or gauge as it stands; histograms count their observations. */
function metricOf({ metrics }: HttpServer, name: string, reason?: string): number {
  const family = metrics.snapshot().find((family) => family.name === name);
  const series = family?.series.find(({ labels }) => reason === undefined || labels.reason === reason);
  return series?.values[0] ?? 0;
}

test("a request is answered whichever way its bytes are cut", async (t) => {
  const { open, store } = await start(t);
  const text = announce() + scrape("b") + announce({ port: "2" });
  const whole = open();
  whole.send(text);
  assert.deepEqual(whole.connection.statuses, [200, 200, 200]);

  const single = open();
  for (const byte of text) single.send(byte);
  assert.equal(single.connection.sent, whole.connection.sent);

  for (let cut = 1; cut < text.length; cut++) {
    const client = open();
    client.send(text.slice(0, cut));
    client.send(text.slice(cut));
    assert.equal(client.connection.sent, whole.connection.sent, `cut at ${cut}`);
    client.gone();
  }
  assert.equal(new Set(store.announces).size, 2);
  assert.equal(new Set(store.scrapes).size, 1);
});

test("answers keep the order of their requests where one has to wait, and reading stops meanwhile", async (t) => {
  const { open, store } = await start(t);
  let proceed = () => {};
  store.gate = new Promise((resolve) => {
    proceed = resolve;
  });
  const client = open();
  client.send(announce() + scrape("b"));
  assert.equal(client.connection.sent, "");
  assert.deepEqual(store.scrapes, []);
  assert.ok(client.connection.paused);

  // Other clients do not wait.
  const other = open();
  other.send(scrape("c"));
  assert.deepEqual(other.connection.statuses, [200]);

  proceed();
  await turn();
  assert.deepEqual(client.connection.statuses, [200, 200]);
  assert.ok(client.connection.sent.indexOf("8:interval") < client.connection.sent.indexOf("5:files"));
  assert.ok(!client.connection.paused);
  client.send(scrape("d"));
  assert.deepEqual(client.connection.statuses, [200, 200, 200]);
});

test("a hook that waits finds the request as it was, though the network's memory is used again", async (t) => {
  const seen: string[] = [];
  const hook = {
    name: "slow",
    async handleAnnounce(request: { params: { get(name: string): string | undefined; path: string } }) {
      await turn();
      seen.push(`${request.params.path} ${request.params.get("left")}`);
    },
  };
  const { open } = await start(t, {}, { preHooks: [hook] });
  const clients = ["1", "2", "3"].map((left) => {
    const client = open();
    client.send(announce({ left }));
    return client;
  });
  const split = open();
  const text = announce({ left: "4" });
  split.send(text.slice(0, 30));
  split.send(text.slice(30));
  await turn();
  await turn();
  assert.deepEqual(seen, ["/announce 1", "/announce 2", "/announce 3", "/announce 4"]);
  for (const { connection } of [...clients, split]) assert.deepEqual(connection.statuses, [200]);
});

test("a client that leaves before its response gets none, and frees its connection", async (t) => {
  const server = await start(t);
  const { open, store } = server;
  let proceed = () => {};
  store.gate = new Promise((resolve) => {
    proceed = resolve;
  });
  const client = open();
  client.send(announce());
  client.gone();
  proceed();
  await turn();
  assert.equal(client.connection.sent, "");
  assert.equal(metricOf(server, "chihaya_http_connections"), 0);
  assert.deepEqual(server.errors, []);
});

test("posthooks run after the answer has been handed over, with the same context", async (t) => {
  const order: string[] = [];
  let connection: FakeConnection | undefined;
  const hook = {
    name: "post",
    handleAnnounce: () => void order.push(`announce after ${connection!.statuses.length} answers`),
    handleScrape: () => void order.push(`scrape after ${connection!.statuses.length} answers`),
  };
  const { open } = await start(t, {}, { postHooks: [hook] });
  const client = open();
  connection = client.connection;
  client.send(announce() + announce({ port: "0" }) + scrape());
  assert.deepEqual(order, ["announce after 1 answers", "scrape after 3 answers"]);
});

test("ten thousand pipelined requests are answered in turns, in order, and others come in between", async (t) => {
  const { open, store } = await start(t, { maxNumWant: 0 });
  const client = open();
  const count = 10_000;
  for (let i = 0; i < count; i += 100) {
    let text = "";
    for (let port = i + 1; port <= i + 100; port++) text += announce({ port: `${port}` });
    while (client.connection.paused) await turn();
    client.send(text);
    if (i > 0) continue;
    assert.equal(store.announces.length, 64, "no more than its turn");
    const other = open();
    other.send(scrape());
    assert.deepEqual(other.connection.statuses, [200]);
  }
  while (client.connection.statuses.length < count) await turn();
  const ports = store.announces.map((line) => Number(line.split(" ")[3]));
  assert.deepEqual(
    ports,
    Array.from({ length: count }, (_, i) => i + 1),
  );
});

test("however many connections pipeline, one of them goes on in each turn of the event loop", async (t) => {
  const { open, store } = await start(t);
  const clients = Array.from({ length: 20 }, () => open());
  for (const { send } of clients) send(scrape().repeat(200));
  const first = store.scrapes.length;
  assert.equal(first, 20 * 64);
  clients[0]!.gone();
  for (let turns = 1; turns <= 19; turns++) {
    await turn();
    assert.equal(store.scrapes.length, first + turns * 64);
    const other = open();
    other.send(scrape());
    assert.deepEqual(other.connection.statuses, [200]);
    store.scrapes.pop();
  }
  while (store.scrapes.length < 19 * 200 + 64) await turn();
  for (const { connection } of clients.slice(1)) assert.equal(connection.statuses.length, 200);
});

test("a client that takes nothing is not read from, until it takes something", async (t) => {
  const { open, store } = await start(t, { maxNumWant: 100 });
  store.peers[4] = 100;
  const client = open();
  client.connection.stuck = true;
  let sent = 0;
  while (!client.connection.paused && sent < 10_000) {
    client.send(announce() + announce());
    sent += 2;
    await turn();
  }
  assert.ok(client.connection.paused);
  assert.ok(client.connection.pending < 20_000, `${client.connection.pending} bytes are pending`);
  assert.ok(client.connection.statuses.length < sent);
  client.drain();
  assert.equal(client.connection.statuses.length, sent);
  assert.ok(!client.connection.paused);
});

test("a client that shuts down its sending side gets every answer, then the end", async (t) => {
  const { open, store } = await start(t);
  const early = open();
  early.send(announce() + scrape());
  early.finish();
  assert.deepEqual(early.connection.statuses, [200, 200]);
  assert.equal(early.connection.state, "ended");

  let proceed = () => {};
  store.gate = new Promise((resolve) => {
    proceed = resolve;
  });
  const waiting = open();
  waiting.send(announce() + scrape());
  waiting.finish();
  assert.equal(waiting.connection.state, "open");
  proceed();
  await turn();
  assert.deepEqual(waiting.connection.statuses, [200, 200]);
  assert.equal(waiting.connection.state, "ended");

  const incomplete = open();
  incomplete.send(announce().slice(0, 40));
  incomplete.finish();
  assert.deepEqual(incomplete.connection.statuses, []);
  assert.equal(incomplete.connection.state, "ended");
});

test("whether a connection stays open is up to the client, its version, and the configuration", async (t) => {
  const request = (version: string, header: string) =>
    `GET /announce?${announceQuery()} HTTP/${version}\r\nHost: x\r\n${header}\r\n`;
  const rows: [keepAlive: boolean, version: string, header: string, stays: boolean][] = [
    [true, "1.1", "", true],
    [true, "1.1", "Connection: close\r\n", false],
    [true, "1.0", "", false],
    [true, "1.0", "Connection: keep-alive\r\n", true],
    [false, "1.1", "", false],
    [false, "1.0", "Connection: keep-alive\r\n", false],
  ];
  for (const [keepAlive, version, header, stays] of rows) {
    const { open } = await start(t, { keepAlive });
    const { connection, send } = open();
    send(request(version, header) + request("1.1", ""));
    const what = `${keepAlive} ${version} ${header}`;
    assert.equal(connection.state, stays ? "open" : "ended", what);
    assert.deepEqual(connection.statuses, stays ? [200, 200] : [200], what);
    assert.match(connection.sent, stays ? /Connection: keep-alive/ : /Connection: close/, what);
    if (!stays) send(request("1.1", ""));
    assert.equal(connection.statuses.length, stays ? 2 : 1, what);
  }
});

test("what is no request is answered with a status, counted, and ends the connection", async (t) => {
  const rows: [text: string, status: number, reason: string][] = [
    ["nonsense\r\n\r\n", 400, "malformed"],
    ["POST /announce HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 405, "method"],
    ["OPTIONS /announce HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method"],
    ["GET /announce HTTP/1.1\r\nAccept: */*\r\n\r\n", 400, "malformed"],
    ["GET /announce HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "malformed"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version"],
    ["GET / HTTP/2.0\r\n\r\n", 505, "version"],
    [`GET /${"a".repeat(9000)}`, 431, "too_large"],
    [`GET / HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(9000)}\r\n\r\n`, 431, "too_large"],
  ];
  for (const [text, status, reason] of rows) {
    for (const size of [text.length, 1, 1000]) {
      const server = await start(t);
      const { connection, send, gone } = server.open();
      for (let i = 0; i < text.length; i += size) send(text.slice(i, i + size));
      const what = `${text.slice(0, 30)} in pieces of ${size}`;
      assert.deepEqual(connection.statuses, [status], what);
      assert.equal(connection.state, "ended", what);
      assert.equal(metricOf(server, "chihaya_http_rejected_total", reason), 1, what);
      gone();
      assert.equal(metricOf(server, "chihaya_http_connections"), 0, what);
    }
  }
});

test("HEAD is answered like GET, without the body", async (t) => {
  const server = await start(t);
  const { connection, send } = server.open();
  for (const [target, headers, status] of [
    [`/announce?${announceQuery()}`, "Host: x\r\n", 200],
    ["/announce", "Host: x\r\n", 200], // a failure
    [`/scrape?info_hash=${"a".repeat(20)}`, "Host: x\r\n", 200],
    ["/", "Host: x\r\n", 200],
    ["/favicon.ico", "Host: x\r\n", 404],
    ["/announce", "Host: x\r\nContent-Length: 1\r\n", 400],
  ] as const) {
    const heads = ["GET", "HEAD"].map((method) => {
      const { connection, send } = server.open();
      send(`${method} ${target} HTTP/1.1\r\n${headers}\r\n`);
      const [head, body] = connection.sent.split("\r\n\r\n");
      assert.equal(connection.statuses[0], status, target);
      assert.equal(body !== "", method === "GET", `${method} ${target}`);
      assert.match(head!, /\r\nContent-Length: [1-9]/);
      return head;
    });
    assert.equal(heads[0], heads[1], target);
  }
  send(`HEAD / HTTP/1.1\r\nHost: x\r\n\r\n${scrape()}`);
  assert.deepEqual(connection.statuses, [200, 200], "the connection goes on");
});

test("the root answers monitors, unless it is a route", async (t) => {
  const server = await start(t);
  for (const target of [
    "/",
    "/?",
    "//",
    "http://tracker.test",
    "http://tracker.test?",
    "http://tracker.test/",
  ]) {
    const { connection, send } = server.open();
    send(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.match(connection.sent, /^HTTP\/1\.1 200 OK\r\n(?:.|\n|\r)*\r\n\r\n[\w ]+\n$/, target);
  }
  const check = server.open();
  check.send("OPTIONS / HTTP/1.0\r\n\r\n"); // as HAProxy does by default
  assert.match(check.connection.sent, /^HTTP\/1\.1 200 OK\r\n(?:.|\n|\r)*\r\nAllow: GET, HEAD, OPTIONS\r\n/);
  assert.equal(metricOf(server, "chihaya_http_rejected_total", "not_found"), 0);
  const routed = await start(t, { announceRoutes: ["/"] });
  const { connection, send } = routed.open();
  send(`GET /?${announceQuery()} HTTP/1.1\r\nHost: x\r\n\r\n`);
  assert.match(connection.sent, /d8:complete/);
});

test("no response is for a cache in front of the tracker to keep", async (t) => {
  const { open } = await start(t);
  for (const text of [
    announce(),
    announce({ port: "0" }),
    scrape(),
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET / HTTP/2.0\r\n\r\n",
    "nonsense\r\n\r\n",
  ]) {
    const { connection, send } = open();
    send(text);
    assert.match(connection.sent, /\r\nCache-Control: no-store\r\n/, text);
  }
});

test("a path is the same with and without escapes", async (t) => {
  const { open, store } = await start(t);
  const { connection, send } = open();
  send(`GET /%61nnounce?${announceQuery()} HTTP/1.1\r\nHost: x\r\n\r\n`);
  send(`GET /scr%61pe?info_hash=${"a".repeat(20)} HTTP/1.2\r\nHost: x\r\n\r\n`);
  assert.deepEqual([connection.statuses, store.announces.length, store.scrapes.length], [[200, 200], 1, 1]);
});

test("a path that is no route is not found, and the connection goes on", async (t) => {
  const server = await start(t);
  const { connection, send } = server.open();
  send(`GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n${scrape()}`);
  assert.deepEqual(connection.statuses, [404, 200]);
  assert.equal(metricOf(server, "chihaya_http_rejected_total", "not_found"), 1);
});

test("a reload changes how long a client may take to receive a response", async (t) => {
  const { open, clock, frontend } = await start(t, { writeTimeout: 7 });
  const stuck = open();
  stuck.connection.stuck = true;
  stuck.send(scrape());
  frontend.prepare({ ...httpOptions, writeTimeout: 20 })();
  clock.seconds += 19;
  frontend.sweep();
  assert.equal(stuck.connection.state, "open");
  clock.seconds += 2;
  frontend.sweep();
  assert.equal(stuck.connection.state, "reset");
});

test("timeouts: a silent, a slow, an idle client, and one that takes nothing", async (t) => {
  const server = await start(t, { readTimeout: 5, writeTimeout: 7, idleTimeout: 30 });
  const { open, clock, frontend } = server;
  const silent = open();
  const slow = open();
  slow.send("GET /announce");
  const idle = open();
  idle.send(scrape());
  const stuck = open();
  stuck.connection.stuck = true;
  stuck.send(scrape());
  const slowAgain = open();
  slowAgain.send(scrape());
  const states = () => [silent, slow, idle, stuck, slowAgain].map(({ connection }) => connection.state);
  const at = (seconds: number) => {
    clock.seconds = 1000 + seconds;
    slow.send("a"); // a byte now and then does not help
    frontend.sweep();
    return states();
  };
  assert.deepEqual(at(5), ["open", "open", "open", "open", "open"]);
  slowAgain.send("GET");
  assert.deepEqual(at(6), ["reset", "ended", "open", "open", "open"]);
  assert.deepEqual(slow.connection.statuses, [408]);
  assert.deepEqual(at(7), ["reset", "ended", "open", "open", "open"]);
  assert.deepEqual(at(8), ["reset", "ended", "open", "reset", "open"]);
  assert.deepEqual(
    at(11),
    ["reset", "ended", "open", "reset", "ended"],
    "from the first byte of the request",
  );
  assert.deepEqual(at(14), ["reset", "reset", "open", "reset", "ended"], "a client that does not hang up");
  assert.deepEqual(at(30), ["reset", "reset", "open", "reset", "reset"]);
  assert.deepEqual(at(31), ["reset", "reset", "ended", "reset", "reset"]);
  assert.equal(metricOf(server, "chihaya_http_rejected_total", "timeout"), 4);
});

test("a half-sent request holds about as many bytes as were sent", async (t) => {
  const { open } = await start(t, { maxHeaderBytes: 16_384, maxConnections: 4000 });
  const before = process.memoryUsage().arrayBuffers;
  const clients = Array.from({ length: 4000 }, () => open());
  for (const { send } of clients) send("GET /");
  const held = process.memoryUsage().arrayBuffers - before;
  assert.ok(held < 4000 * 2048, `${held} bytes for 4,000 requests of 5 bytes`);
});

test("a half-sent request survives a smaller and a larger limit", async (t) => {
  const { open, frontend } = await start(t);
  const [long, short] = [open(), open()];
  long.send(`GET /${"a".repeat(1000)}`);
  short.send("GET /s");
  frontend.prepare({ ...httpOptions, maxHeaderBytes: 200 })();
  long.send("a");
  assert.deepEqual(long.connection.statuses, [431]);
  frontend.prepare({ ...httpOptions, maxHeaderBytes: 9000 })();
  short.send(scrape().slice("GET /s".length));
  assert.deepEqual(short.connection.statuses, [200]);
});

test("above the limit the connection that has waited longest for its client makes room", async (t) => {
  const server = await start(t, { maxConnections: 3 });
  const { open, store } = server;
  const [first, second, third] = [open(), open(), open()];
  first.send(scrape()); // now the second has waited longest
  const fourth = open();
  assert.equal(second.connection.state, "destroyed");
  for (const client of [third, fourth, first]) {
    assert.equal(client.connection.state, "open");
    client.send("GET "); // a part of a request is no reason to stay
  }
  const fifth = open();
  assert.equal(third.connection.state, "destroyed");
  fifth.send(scrape().replace("Host", "Connection: close\r\nHost")); // nor is a response that nobody hangs up after
  const sixth = open();
  assert.equal(fourth.connection.state, "destroyed");

  let proceed = () => {};
  store.gate = new Promise((resolve) => {
    proceed = resolve;
  });
  for (const client of [first, sixth]) client.send(client === first ? announce().slice(4) : announce());
  const seventh = open();
  assert.equal(fifth.connection.state, "destroyed");
  seventh.send(announce());
  const eighth = open();
  assert.equal(
    eighth.connection.state,
    "destroyed",
    "while all others wait for their answers, the new one goes",
  );
  proceed();
  await turn();
  for (const { connection } of [first, sixth, seventh]) assert.equal(connection.statuses.at(-1), 200);
  assert.equal(metricOf(server, "chihaya_http_connections"), 3);
  assert.equal(metricOf(server, "chihaya_http_connections_accepted_total"), 8);
  assert.equal(metricOf(server, "chihaya_http_rejected_total", "limit"), 5);
});

test("clients that take nothing make room for others", async (t) => {
  const { open } = await start(t, { maxConnections: 4 });
  const stuck = ["1", "2", "3", "4"].map((host) => open(`192.0.2.${host}`));
  for (const { connection, send } of stuck) {
    connection.stuck = true;
    while (!connection.paused) {
      send(scrape().repeat(60));
      await turn();
    }
  }
  const other = open("198.51.100.1");
  other.send(scrape());
  assert.deepEqual(other.connection.statuses, [200]);
  assert.deepEqual(
    stuck.map(({ connection }) => connection.state),
    ["destroyed", "open", "open", "open"],
  );
});

test("one address gets no more than a quarter of the connections, a trusted proxy as many as it likes", async (t) => {
  const options = { maxConnections: 400, trustedProxies: ["10.0.0.0/8"] };
  for (const [name, addressOf, stay] of [
    ["one IPv4 address", () => "192.0.2.1", 100],
    ["one IPv6 network of 64 bits", (i: number) => `2001:db8::${i.toString(16)}`, 100],
    ["many IPv6 networks", (i: number) => `2001:db8:0:${i.toString(16)}::1`, 400],
    ["a trusted proxy", () => "10.0.0.1", 400],
  ] as const) {
    const server = await start(t, options);
    const clients = Array.from({ length: 400 }, (_, i) => server.open(addressOf(i)));
    const open = () => clients.filter(({ connection }) => connection.state === "open").length;
    assert.equal(open(), stay, name);
    assert.equal(metricOf(server, "chihaya_http_rejected_total", "limit"), 400 - stay, name);
    // A client that leaves makes room for one other client.
    for (const client of clients.slice(0, 10)) {
      client.gone();
      client.gone();
    }
    const again = Array.from({ length: 20 }, () => server.open(addressOf(1)));
    const stayed = again.filter(({ connection }) => connection.state === "open").length;
    if (stay < 400) assert.equal(stayed, 10, name);
    else assert.equal(metricOf(server, "chihaya_http_connections"), 400, name);
  }
});

test("a failure of our own ends one connection, and the tracker goes on", async (t) => {
  const server = await start(t);
  const { open, logic, errors } = server;
  const handle = logic.handleAnnounce.bind(logic);
  const broken = new Error("broken");
  logic.handleAnnounce = () => {
    throw broken;
  };
  const client = open();
  client.send(announce());
  assert.equal(client.connection.state, "reset");
  const pipelined = open();
  pipelined.send(scrape().repeat(64) + announce());
  await turn();
  assert.equal(pipelined.connection.state, "reset");
  logic.handleAnnounce = async (...args) => {
    await turn();
    const { peers4 } = args[1];
    peers4.bytes = new Uint8Array(1 << 20); // more than a response can hold
    peers4.count = 100_000;
    return undefined;
  };
  const late = open();
  late.send(announce());
  await turn();
  await turn();
  assert.equal(late.connection.state, "reset");
  logic.handleAnnounce = handle;
  const good = open();
  good.send(announce());
  assert.deepEqual(good.connection.statuses, [200]);
  assert.deepEqual(errors.slice(0, 2), [broken, broken]);
  assert.equal(errors.length, 3);
});

test("with proxyProtocol a trusted proxy must begin with a PROXY header, and nobody else may", async (t) => {
  const options = {
    proxyProtocol: true,
    trustedProxies: ["10.0.0.0/8"],
    realIpHeader: "x-forwarded-for",
  };
  const line = "PROXY TCP4 203.0.113.5 10.0.0.1 4000 80\r\n";
  const { open, store } = await start(t, options);
  const addressOf = () => store.announces.pop()?.split(" ")[2];

  const whole = open("10.0.0.1");
  whole.send(line + announce());
  assert.equal(addressOf(), "203.0.113.5");
  whole.send(announce());
  assert.equal(addressOf(), "203.0.113.5", "for the whole connection");

  const slow = open("10.0.0.1");
  for (const byte of line + announce()) slow.send(byte);
  assert.equal(addressOf(), "203.0.113.5");

  const local = open("10.0.0.1");
  local.send(`PROXY UNKNOWN\r\n${announce()}`);
  assert.equal(addressOf(), "10.0.0.1");

  const version2 = "\r\n\r\n\0\r\nQUIT\n";
  for (const unnamed of ["PROXY UNKNOWN\r\n", `${version2} \0\0\0`, `${version2}!\0\0\0`]) {
    const { send } = open("10.0.0.1");
    send(unnamed + announce({}, "X-Forwarded-For: 203.0.113.6\r\n"));
    assert.equal(addressOf(), "10.0.0.1", "a header that only the client can have written does not count");
  }

  const chained = open("10.0.0.1");
  chained.send(line.replace("203.0.113.5", "10.0.0.7") + announce({}, "X-Forwarded-For: 203.0.113.6\r\n"));
  assert.equal(addressOf(), "203.0.113.6", "the header counts where the PROXY line names a trusted proxy");

  const forged = open("10.0.0.1");
  forged.send(line + announce({}, "X-Forwarded-For: 203.0.113.6\r\n"));
  assert.equal(addressOf(), "203.0.113.5", "and where it names a client it does not");

  const without = open("10.0.0.1");
  without.send(announce());
  assert.equal(without.connection.state, "destroyed");
  assert.equal(without.connection.sent, "");

  const stranger = open("192.0.2.1");
  stranger.send(line + announce());
  assert.deepEqual(stranger.connection.statuses, [405], "to anybody else it is an HTTP method");
  assert.equal(addressOf(), undefined);
});

test("a PROXY header that never ends does not grow", async (t) => {
  const { open } = await start(t, { proxyProtocol: true, trustedProxies: ["10.0.0.1"] });
  const client = open("10.0.0.1");
  client.send(Buffer.from("0d0a0d0a000d0a515549540a2111ffff", "hex").toString("latin1"));
  for (let i = 0; i < 7; i++) client.send("x".repeat(1024));
  assert.equal(client.connection.state, "open");
  client.send("x".repeat(1024));
  assert.equal(client.connection.state, "destroyed");
});

test("a reload changes what later requests get, on open connections too", async (t) => {
  const { open, frontend, store } = await start(t);
  const client = open();
  client.send(announce({ numwant: "80" }));
  const base = {
    listen: [{ host: "127.0.0.1", port: 1 }],
    listenTls: [],
    tls: undefined,
    readTimeout: 5,
    writeTimeout: 5,
    idleTimeout: 5,
    keepAlive: false,
    requestTiming: true,
    announceRoutes: ["/a"],
    scrapeRoutes: ["/s"],
    allowIpSpoofing: true,
    ipSpoofingFrom: [],
    realIpHeader: "",
    trustedProxies: [],
    proxyProtocol: false,
    maxNumWant: 5,
    defaultNumWant: 5,
    maxScrapeInfoHashes: 1,
    maxConnections: 10,
    maxHeaderBytes: 1000,
  };
  assert.throws(() => frontend.prepare({ ...base, trustedProxies: ["nowhere"] }), RangeError);
  client.send(announce({ numwant: "80" }));
  frontend.prepare(base)();
  client.send(announce().replace("/announce", "/a").replace("port=", "ip=203.0.113.9&numwant=80&port="));
  assert.deepEqual(
    store.announces.map((line) => line.split(" ").slice(1, 5).join(" ")),
    ["none 192.0.2.1 51501 want=80", "none 192.0.2.1 51501 want=80", "none 203.0.113.9 51501 want=5"],
  );
  assert.equal(client.connection.state, "ended");
});

test("a scrape over the limit is cut", async (t) => {
  const { open, store } = await start(t, { maxScrapeInfoHashes: 2 });
  const client = open();
  const query = ["a", "b", "c"].map((letter) => `info_hash=${letter.repeat(20)}`).join("&");
  client.send(`GET /scrape?${query} HTTP/1.1\r\nHost: x\r\n\r\n`);
  assert.deepEqual(store.scrapes, [`IPv4 ${hexOf("a")} ${hexOf("b")}`]);
});

test("stopping closes idle connections, lets the others finish, and ends them all at the deadline", async (t) => {
  const { open, frontend, store } = await start(t);
  let proceed = () => {};
  store.gate = new Promise((resolve) => {
    proceed = resolve;
  });
  const idle = open();
  const waiting = open();
  waiting.send(announce());
  const reading = open();
  reading.send("GET ");
  const deadline = new AbortController();
  let stopped = false;
  const stop = frontend.stop(deadline.signal).then(() => {
    stopped = true;
  });
  await turn();
  assert.equal(idle.connection.state, "destroyed");
  assert.equal(waiting.connection.state, "open");
  proceed();
  await turn();
  assert.deepEqual(waiting.connection.statuses, [200]);
  assert.equal(waiting.connection.state, "ended");
  waiting.gone();
  await turn();
  assert.equal(stopped, false);
  deadline.abort();
  await stop;
  assert.equal(reading.connection.state, "reset");
  await frontend.stop(deadline.signal);
});

test("an observer sees each request that the server turns away, and no connection without a request", async (t) => {
  const observer = new RecordingObserver();
  const options = { maxConnections: 2, readTimeout: 5, idleTimeout: 20, trustedProxies: ["10.0.0.0/8"] };
  const server = await start(t, { ...options, proxyProtocol: true }, {}, observer);
  const { open, frontend, clock } = server;
  const rejected = (reason: string) => metricOf(server, "chihaya_http_rejected_total", reason);

  open(); // has sent nothing, and makes room
  const half = open();
  half.send("GET /sc");
  const idle = open();
  assert.deepEqual(observer.take(), ["http - - - limit"]);
  idle.send(scrape());
  open();
  assert.deepEqual(observer.take(), ["http scrape 4 - -", "http - - - limit"], "the half-sent request");
  const kept = open();
  assert.deepEqual(observer.take(), [], "between two requests of a connection there is none");
  assert.equal(rejected("limit"), 3);

  kept.send("GET /sc");
  clock.seconds += 6;
  frontend.sweep();
  assert.deepEqual(observer.take(), ["http - - - timeout", "http - - - timeout"]);
  assert.deepEqual(kept.connection.statuses, [408]);

  open("10.0.0.1").send("no PROXY header\r\n");
  assert.deepEqual(observer.take(), ["http - - - malformed"]);
  const again = open();
  again.send(`${scrape()}nonsense\r\n\r\n${scrape()}`);
  assert.deepEqual(observer.take(), ["http scrape 4 - -", "http - - - malformed"]);
});

test("a request that fails inside ends once", async (t) => {
  const observer = new RecordingObserver();
  const server = await start(t, {}, {}, observer);
  const fail = () => {
    throw new Error("on purpose");
  };
  for (const handleAnnounce of [fail, async () => fail()]) {
    server.logic.handleAnnounce = handleAnnounce;
    server.open().send(announce());
    await turn();
    assert.deepEqual(observer.take(), ["http announce 4 - failed"]);
  }
});

test("requests beyond the number that may wait are refused, and all of them end", async (t) => {
  const observer = new RecordingObserver();
  const server = await start(t, { maxConnections: 10_000, trustedProxies: ["192.0.2.0/24"] }, {}, observer);
  let proceed = () => {};
  server.store.gate = new Promise((resolve) => {
    proceed = resolve;
  });
  for (let i = 0; i < 4096; i++) server.open().send(announce());
  assert.deepEqual([observer.began, observer.ended.length], [4096, 0]);
  server.open().send(announce());
  assert.deepEqual(observer.ended, ["http announce 4 overloaded -"]);
  proceed();
  await turn();
  assert.equal(observer.take().length, 4097);
});
