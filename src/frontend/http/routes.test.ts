import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { announceQuery, RawClient, startHttpServer } from "../../../test/fixtures/http-server.ts";
import { listEngines } from "../../../test/support/networks.ts";
import { RecordingObserver } from "../../../test/support/observed.ts";
import { HttpError } from "../../http/http-error.ts";
import type { Route } from "../../http/routes.ts";
import type { Connection, StreamHandler } from "../../net/stream.ts";
import { createTracker } from "../../tracker/create-tracker.ts";

/** Sends back what it receives. */
const echo: StreamHandler<Connection> = {
  opened: (connection) => connection,
  received: (connection, bytes, start, end) => connection.write(bytes, start, end),
  ended: (connection) => connection.end(false),
  drained() {},
  closed() {},
};
const upgradeTo = (path: string): Route => ({
  path,
  handle({ headers }) {
    if (headers.get("upgrade") !== "echo") throw new HttpError(426, "upgrade to echo");
    return { headers: { upgrade: "echo" }, upgrade: echo as StreamHandler<unknown> };
  },
});
async function* lines(): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 50; i++) yield Buffer.from(`torrent ${i}\n`.repeat(100));
}

const pages: Route[] = [
  { path: "/stats", handle: ({ client }) => ({ status: 200, body: `stats for ${client}` }) },
  { path: "/scrape", handle: () => ({ status: 200, gzip: true, body: lines() }) },
  {
    path: "/upload",
    methods: ["POST"],
    maxBody: 100,
    handle: async ({ body }) => ({ status: 201, body: `${(await body.bytes()).length} bytes` }),
  },
];
const routes: Route[] = [
  ...pages,
  { path: "/broken", handle: () => Promise.reject(new Error("on purpose")) },
  upgradeTo("/announce"),
  upgradeTo("/socket"),
];

async function start(t: TestContext, network: "linux" | "portable", given = routes) {
  const observer = new RecordingObserver();
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const tracker = createTracker({ http: { listen }, udp: false, routes: given, network, observer });
  await tracker.start();
  t.after(() => tracker.stop(0));
  const open = () => new RawClient(t, Number(new URL(tracker.urls()[0]!).port));
  return { tracker, observer, open };
}

const get = (target: string, ...fields: string[]) =>
  `GET ${target} HTTP/1.1\r\n${["Host: x", ...fields].join("\r\n")}\r\n\r\n`;
const announce = get(`/announce?${announceQuery()}`);

for (const { name, skip } of await listEngines()) {
  test(`routes are served beside announces, on one connection (${name})`, { skip }, async (t) => {
    const { open, observer } = await start(t, name);
    const client = open();
    client.send(announce + get("/stats") + announce + get("/", "Connection: close"));
    const text = await client.readToEnd();
    assert.deepEqual(text.match(/interval|stats for 127\.0\.0\.1|BitTorrent tracker/g), [
      ...["interval", "interval", "stats for 127.0.0.1"],
      ...["interval", "interval", "BitTorrent tracker"],
    ]);
    assert.deepEqual(observer.take(), [
      ...["http announce 4 - -", "http route 4 - -", "http announce 4 - -", "http - - - -"],
    ]);
  });

  test(`an upgrade takes the connection over, also at the path of announces (${name})`, {
    skip,
  }, async (t) => {
    const { open, observer } = await start(t, name);
    for (const path of ["/announce", "/socket"]) {
      const client = open();
      client.send(`${announce}${get(path, "Connection: Upgrade", "Upgrade: echo")}at once`);
      const later = `${get("/stats")}${announce}`;
      await client.read();
      client.send(later);
      client.socket.end();
      const text = await client.readToEnd();
      assert.match(text, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
      assert.equal(text.slice(text.indexOf("\r\n\r\n") + 4), `at once${later}`);
      assert.deepEqual(observer.take(), ["http announce 4 - -", "http route 4 - -"]);
    }
  });
}

test("a scrape without an infohash is the route's, with one it is a scrape", async (t) => {
  const { open, observer } = await start(t, "portable");
  const whole = open();
  whole.send(get("/scrape", "Connection: close", "Accept-Encoding: gzip"));
  const text = await whole.readToEnd();
  assert.match(text, /\r\ncontent-encoding: gzip\r\n.*transfer-encoding: chunked\r\n/s);
  const chunks = [...text.slice(text.indexOf("\r\n\r\n") + 4).matchAll(/([\da-f]+)\r\n/g)];
  assert.ok(chunks.length > 0);
  const one = open();
  assert.match((await one.get(`/scrape?info_hash=${"a".repeat(20)}`)).body, /^d5:filesd20:a{20}/);
  assert.deepEqual(observer.take(), ["http route 4 - -", "http scrape 4 - -"]);
});

test("an announce that cannot be read gets its error, although a route has the path", async (t) => {
  const { open, observer } = await start(t, "portable");
  const client = open();
  assert.match((await client.get("/announce?left=1")).body, /no info_hash/);
  assert.match(
    (await client.get(`/announce?${announceQuery({ port: "0" })}`, "Upgrade: echo\r\n")).body,
    /failure/,
  );
  assert.deepEqual(observer.take(), [
    ...["http announce - missing-infohash -", "http announce - invalid-port -"],
  ]);
});

test("requests that routes refuse end with a reason, and bodies are of routes only", async (t) => {
  const { open, observer } = await start(t, "portable");
  for (const [request, status, reason] of [
    [get("/socket"), 426, "refused"],
    [get("/broken"), 500, "failed"],
    [get("/upload"), 405, "method"],
    [`POST /announce HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc${announce}`, 405, "method"],
    [`POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc`, 405, "method"],
    ["POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\n", 413, "too_large"],
    [get("/upload", "Content-Length: 3"), 400, "malformed"],
    ["GET /stats HTTP/1.1\r\n\r\n", 400, "malformed"],
  ] as const) {
    const client = open();
    client.send(request);
    client.socket.end();
    assert.match(await client.readToEnd(), new RegExp(`^HTTP/1.1 ${status} `), request);
    const action = reason === "malformed" ? "- -" : "route 4";
    const seen = observer.take();
    assert.equal(seen[0], `http ${action} - ${reason}`, request);
  }
  const client = open();
  client.send("POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  client.send(announce);
  client.socket.end();
  assert.match(await client.readToEnd(), /^HTTP\/1\.1 201 .*3 bytesHTTP\/1\.1 200 /s);
  assert.deepEqual(observer.take(), ["http route 4 - -", "http announce 4 - -"]);
});

test("without routes only GET, HEAD and a look at the health are read", async (t) => {
  const { open } = await start(t, "portable", []);
  for (const [request, status] of [
    ["POST /announce HTTP/1.1\r\nHost: x\r\n\r\n", 405],
    ["OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", 200],
    ["OPTIONS /stats HTTP/1.1\r\nHost: x\r\n\r\n", 405],
    [get("/stats"), 404],
  ] as const) {
    const client = open();
    client.send(request);
    assert.equal((await client.read()).status, status);
  }
});

test("a route that waits ends when its client goes away, or the tracker stops", async (t) => {
  for (const isClientGone of [true, false]) {
    const begun = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    const hang: Route = {
      path: "/hang",
      handle({ gone: signal }) {
        signal.addEventListener("abort", () => gone.resolve());
        begun.resolve();
        return new Promise(() => undefined);
      },
    };
    const { open, observer, tracker } = await start(t, "portable", [hang]);
    const client = open();
    client.send(get("/hang"));
    await begun.promise;
    if (isClientGone) {
      client.socket.resetAndDestroy();
      await gone.promise;
    }
    await tracker.stop(0);
    await new Promise(setImmediate);
    const [ended, ...more] = observer.take();
    assert.match(ended!, isClientGone ? /^http route 4 - gone$/ : /^http route . - (gone|stopping)$/);
    assert.deepEqual(more, []);
  }
});

test("an announce whose hook never settles gets 503 after five minutes, and frees its place", async (t) => {
  const observer = new RecordingObserver();
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const stuck = {
    name: "stuck",
    handleAnnounce() {
      entered.resolve();
      return gate.promise;
    },
  };
  const { frontend, clock, port } = await startHttpServer(
    t,
    "127.0.0.1",
    {},
    { preHooks: [stuck] },
    observer,
  );
  const client = new RawClient(t, port());
  client.send(announce);
  await entered.promise;
  clock.seconds += 300;
  frontend.sweep();
  assert.deepEqual(observer.ended, []);
  clock.seconds += 1;
  frontend.sweep();
  assert.match(
    await client.readToEnd(),
    /^HTTP\/1\.1 503 Service Unavailable\r\n.*\r\nConnection: close\r\n/s,
  );
  assert.deepEqual(observer.take(), ["http announce 4 - timeout"]);
  gate.resolve();
  await new Promise(setImmediate);
  assert.deepEqual(observer.take(), []);
});
