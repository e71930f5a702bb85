import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { httpServerOptions } from "../../test/support/http-server-options.ts";
import { listEngines } from "../../test/support/networks.ts";
import type { Clock } from "../lib/clock.ts";
import { portableNetwork } from "../net/network.ts";
import type { Connection, StreamHandler } from "../net/stream.ts";
import { HttpError } from "./http-error.ts";
import { HttpServer } from "./http-server.ts";
import type { HttpServerOptions } from "./options.ts";
import { type Route, type RouteRequest, type RouteResponse, Routes } from "./routes.ts";

interface Started {
  port: number;
  errors: Error[];
  clock: { seconds: number; unixSeconds: number };
  server: HttpServer;
}

async function start(
  t: TestContext,
  routes: Route[],
  options: Partial<HttpServerOptions> = {},
  network = portableNetwork,
): Promise<Started> {
  const errors: Error[] = [];
  const clock = { seconds: 100, unixSeconds: 0 } satisfies Clock;
  const onError = (error: Error) => void errors.push(error);
  const server = new HttpServer(
    {
      ...httpServerOptions,
      ...options,
    },
    {
      handler: new Routes(routes, onError),
      clock,
      listen: (given) => network.listenStream(given),
      onError,
    },
  );
  await server.start();
  t.after(() => server.stop(AbortSignal.abort()));
  return { port: Number(new URL(server.urls()[0]!).port), errors, clock, server };
}

/** A client whose received bytes can be waited for. */
class Client {
  readonly socket: Socket;
  text = "";
  #wake = (): void => {};
  #ended = false;

  constructor(t: TestContext, port: number) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }).setEncoding("latin1");
    t.after(() => this.socket.destroy());
    this.socket.on("data", (text: string) => {
      this.text += text;
      this.#wake();
    });
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    this.socket.on("end", end).on("close", end).on("error", end);
  }

  send(text: string): void {
    this.socket.write(text, "latin1");
  }

  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.text)) {
      assert.ok(!this.#ended, `the connection ended after ${JSON.stringify(this.text.slice(-500))}`);
      await this.#more();
    }
    return this.text;
  }

  async toEnd(): Promise<string> {
    while (!this.#ended) await this.#more();
    return this.text;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

const echo: Route = {
  methods: ["POST", "PUT", "PATCH", "DELETE"],
  path: "/echo",
  maxBody: 1000,
  handle: async ({ method, body }) => ({ status: 200, body: `${method} ${Buffer.from(await body.bytes())}` }),
};
const get: Route = { path: "/get", handle: () => ({ status: 200, body: "got" }) };

async function ask(t: TestContext, port: number, raw: string): Promise<{ status: number; text: string }> {
  const client = new Client(t, port);
  client.send(raw);
  const text = await client.toEnd();
  return { status: Number(text.slice(9, 12)), text };
}

const head = (line: string, ...fields: string[]) =>
  `${[line, "Host: x", "Connection: close", ...fields].join("\r\n")}\r\n\r\n`;

for (const [what, raw, status, end] of [
  ["a body of a length", `${head("POST /echo HTTP/1.1", "Content-Length: 5")}hello`, 200, "POST hello"],
  [
    "a body in chunks",
    `${head("PUT /echo HTTP/1.1", "Transfer-Encoding: chunked")}3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX: y\r\n\r\n`,
    200,
    "PUT hello",
  ],
  ["an empty body", head("PATCH /echo HTTP/1.1", "Content-Length: 0"), 200, "PATCH "],
  ["no body where none is needed", head("DELETE /echo HTTP/1.1"), 200, "DELETE "],
  ["neither a length nor chunks", head("POST /echo HTTP/1.1"), 200, "POST "],
  [
    "a body that is too long",
    head("POST /echo HTTP/1.1", "Content-Length: 1001"),
    413,
    "content too large\n",
  ],
  [
    "chunks that are too long",
    `${head("POST /echo HTTP/1.1", "Transfer-Encoding: chunked")}3E9\r\n${"x".repeat(1001)}\r\n0\r\n\r\n`,
    413,
    "a body of more than 1000 bytes\n",
  ],
  ["a body that nobody takes", `${head("GET /get HTTP/1.1", "Content-Length: 1")}x`, 400, "bad request\n"],
  [
    "two lengths",
    `${head("POST /echo HTTP/1.1", "Content-Length: 5", "Content-Length: 6")}hello!`,
    400,
    "bad request\n",
  ],
  [
    "a length and chunks",
    head("POST /echo HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked"),
    400,
    "bad request\n",
  ],
  [
    "chunks and a length",
    head("POST /echo HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 5"),
    400,
    "bad request\n",
  ],
  ["another coding", head("POST /echo HTTP/1.1", "Transfer-Encoding: gzip, chunked"), 400, "bad request\n"],
  ["chunks of HTTP/1.0", head("POST /echo HTTP/1.0", "Transfer-Encoding: chunked"), 400, "bad request\n"],
  ["a malformed length", head("POST /echo HTTP/1.1", "Content-Length: +5"), 400, "bad request\n"],
  [
    "a chunk without a size",
    `${head("POST /echo HTTP/1.1", "Transfer-Encoding: chunked")}\r\n`,
    400,
    "a malformed chunk\n",
  ],
  [
    "a chunk that is longer than its size",
    `${head("POST /echo HTTP/1.1", "Transfer-Encoding: chunked")}2\r\nabc\r\n0\r\n\r\n`,
    400,
    "a malformed chunk\n",
  ],
  [
    "a chunk whose line ends without CR",
    `${head("POST /echo HTTP/1.1", "Transfer-Encoding: chunked")}2\nab\r\n0\r\n\r\n`,
    400,
    "a malformed chunk\n",
  ],
  ["another method", head("POST /get HTTP/1.1", "Content-Length: 0"), 405, "method not allowed\n"],
  ["an unknown method", head("BREW /get HTTP/1.1"), 405, "method not allowed\n"],
  ["another path", head("GET /nowhere HTTP/1.1"), 404, "not found\n"],
] as const) {
  test(`${what}: ${status}`, async (t) => {
    const { port, errors } = await start(t, [echo, get]);
    const response = await ask(t, port, raw);
    assert.equal(response.status, status);
    assert.ok(response.text.endsWith(`\r\n\r\n${end}`), response.text);
    assert.deepEqual(errors, []);
  });
}

test("the methods of a path are named, and so is HEAD", async (t) => {
  const both: Route = { ...get, path: "/echo" };
  const { port } = await start(t, [echo, both]);
  const { text } = await ask(t, port, head("OPTIONS /echo HTTP/1.1"));
  assert.match(text, /^HTTP\/1\.1 405 .*\r\nallow: POST, PUT, PATCH, DELETE, GET, HEAD\r\n/s);
});

test("the longest path that fits is used", async (t) => {
  const route = (path: string): Route => ({ path, handle: () => ({ status: 200, body: `by ${path}` }) });
  const { port } = await start(t, [route("/*"), route("/api/*"), route("/api/v1")]);
  for (const [path, by] of [
    ["/", "/*"],
    ["/api/", "/api/*"],
    ["/api/v1", "/api/v1"],
    ["/api/v1/x", "/api/*"],
  ]) {
    const { text } = await ask(t, port, head(`GET ${path} HTTP/1.1`));
    assert.ok(text.endsWith(`by ${by}`), text);
  }
});

test("requests in a row are answered on one connection, however their bytes are cut", async (t) => {
  const { port } = await start(t, [echo, get]);
  const raw =
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none" +
    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nt\r\n2\r\nwo\r\n0\r\n\r\n" +
    head("GET /get HTTP/1.1");
  const whole = await ask(t, port, raw);
  assert.deepEqual(whole.text.match(/POST one|POST two|got/g), ["POST one", "POST two", "got"]);
  const client = new Client(t, port);
  client.socket.setNoDelay();
  for (const byte of raw) {
    client.send(byte);
    await turn();
  }
  assert.equal(await client.toEnd(), whole.text);
});

test("a client that asks gets 100 Continue once the handler reads the body", async (t) => {
  const { port } = await start(t, [echo]);
  const fields = ["Content-Length: 5", "Expect: 100-Continue"];
  const client = new Client(t, port);
  client.send(head("POST /echo HTTP/1.1", ...fields));
  assert.equal(await client.until(/\r\n\r\n/), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hello");
  assert.match(await client.toEnd(), /HTTP\/1\.1 200 OK\r\n.*POST hello$/s);

  const refused = await ask(
    t,
    port,
    head("POST /echo HTTP/1.1", "Content-Length: 5000", "Expect: 100-continue"),
  );
  assert.equal(refused.status, 413);
  const early = await ask(t, port, `${head("POST /echo HTTP/1.1", ...fields)}hello`);
  assert.equal(early.status, 200);
});

test("a client that stalls in the middle of a body gets 408", async (t) => {
  const { port, clock, server } = await start(t, [echo]);
  const client = new Client(t, port);
  client.send(`${head("POST /echo HTTP/1.1", "Content-Length: 5", "Expect: 100-continue")}`);
  await client.until(/100 Continue/);
  clock.seconds += 5;
  server.sweep();
  clock.seconds += 1;
  server.sweep();
  assert.match(await client.toEnd(), /HTTP\/1\.1 408 .*the body took too long\n$/s);
});

test("a body that nobody reads does not fill the memory, and a route that reads slowly gets all of it", async (t) => {
  const length = 8 * 1024 * 1024;
  const reading = Promise.withResolvers<void>();
  let total = 0;
  const slow: Route = {
    methods: ["POST"],
    path: "/slow",
    maxBody: length,
    async handle({ body }) {
      await reading.promise;
      for await (const part of body) total += part.length;
      return { status: 200, body: `${total}` };
    },
  };
  const { port } = await start(t, [slow]);
  const client = new Client(t, port);
  client.send(head("POST /slow HTTP/1.1", `Content-Length: ${length}`));
  const { promise: isSent, resolve } = Promise.withResolvers<void>();
  client.socket.write("x".repeat(length), "latin1", () => resolve());
  // What the kernel takes on both sides is less than that.
  for (let i = 0; i < 100; i++) await turn();
  assert.ok(client.socket.writableLength > 0);
  reading.resolve();
  await isSent;
  assert.match(await client.toEnd(), new RegExp(`\r\n\r\n${length}$`));
});

test("what a handler throws is a status with a text, or an internal error that is reported", async (t) => {
  const { port, errors } = await start(t, [
    {
      path: "/known",
      handle() {
        throw new HttpError(409, "not now");
      },
    },
    { path: "/unknown", handle: () => Promise.reject(new Error("on purpose")) },
    { path: "/split", handle: () => ({ status: 200, headers: { x: "a\r\nb: c" } }) },
  ]);
  assert.match(
    (await ask(t, port, head("GET /known HTTP/1.1"))).text,
    /^HTTP\/1\.1 409 .*\r\n\r\nnot now\n$/s,
  );
  assert.equal((await ask(t, port, head("GET /unknown HTTP/1.1"))).status, 500);
  assert.equal((await ask(t, port, head("GET /split HTTP/1.1"))).text, "");
  assert.deepEqual(
    errors.map(({ message }) => message),
    ["on purpose", "the header x has a value of several lines"],
  );
});

test("a token opens a route, and nothing else does", async (t) => {
  const tokens = ["first", "second"].map((token) => createHash("sha256").update(token).digest());
  const { port } = await start(t, [{ ...get, tokens }]);
  for (const [field, status] of [
    ["Authorization: Bearer second", 200],
    ["authorization: bearer  first", 200],
    ["Authorization: Bearer third", 401],
    ["Authorization: Bearer first, Bearer second", 401],
    ["Authorization: Basic first", 401],
    ["Authorization: Bearer", 401],
    ["X: y", 401],
  ] as const) {
    const response = await ask(t, port, head("GET /get HTTP/1.1", field));
    assert.equal(response.status, status, field);
    assert.equal(response.text.includes("\r\nwww-authenticate: Bearer\r\n"), status === 401);
  }
  assert.equal((await ask(t, port, head("GET /get?token=first HTTP/1.1"))).status, 401);
});

/** Yields `pieces` of `length` bytes, and notes how many were asked for and whether it was ended. */
function countedStream(pieces: number, length: number) {
  const state = { asked: 0, isEnded: false };
  async function* stream(): AsyncGenerator<Uint8Array> {
    try {
      while (state.asked < pieces) {
        state.asked++;
        yield new Uint8Array(length).fill(0x61 + (state.asked % 26));
      }
    } finally {
      state.isEnded = true;
    }
  }
  return { state, stream };
}

function unchunk(text: string): string {
  let content = "";
  for (let at = 0; ; ) {
    const end = text.indexOf("\r\n", at);
    const size = Number.parseInt(text.slice(at, end), 16);
    if (size === 0) return content;
    content += text.slice(end + 2, end + 2 + size);
    at = end + 4 + size;
  }
}

for (const engine of await listEngines()) {
  test(`${engine.name}: a stream comes in chunks, and the connection stays open`, {
    skip: engine.skip,
  }, async (t) => {
    const network = await engine.open();
    t.after(() => network.close());
    const { stream } = countedStream(3, 100_000);
    const { port } = await start(
      t,
      [{ path: "/s", handle: () => ({ status: 200, body: stream() }) }, get],
      {},
      network,
    );
    const client = new Client(t, port);
    client.send(`GET /s HTTP/1.1\r\nHost: x\r\n\r\n${head("GET /get HTTP/1.1")}`);
    const text = await client.toEnd();
    const body = text.slice(text.indexOf("\r\n\r\n") + 4);
    assert.match(text, /^HTTP\/1\.1 200 OK\r\ntransfer-encoding: chunked\r\n/);
    assert.equal(unchunk(body), ["b", "c", "d"].map((letter) => letter.repeat(100_000)).join(""));
    assert.match(text, /got$/);
  });

  test(`${engine.name}: a slow reader of a stream holds a bounded number of bytes`, {
    skip: engine.skip,
  }, async (t) => {
    const network = await engine.open();
    t.after(() => network.close());
    const { state, stream } = countedStream(2000, 64 * 1024);
    const { port, errors } = await start(
      t,
      [{ path: "/s", handle: () => ({ status: 200, body: stream() }) }],
      {},
      network,
    );
    const client = new Client(t, port);
    client.socket.pause();
    client.send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
    while (state.asked === 0) await turn();
    let before = -1;
    for (let same = 0; same < 50; same = state.asked === before ? same + 1 : 0) {
      before = state.asked;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    // The kernel takes some megabytes at most for both ends; the stream has 125.
    assert.ok(state.asked < 500, `${state.asked}`);
    assert.equal(state.isEnded, false);
    const over = Promise.withResolvers<void>();
    client.socket.once("close", () => over.resolve());
    client.socket.destroy();
    await over.promise;
    while (!state.isEnded) await turn();
    assert.deepEqual(errors, []);
  });

  test(`${engine.name}: an upgrade hands over the connection with the first bytes`, {
    skip: engine.skip,
  }, async (t) => {
    const network = await engine.open();
    t.after(() => network.close());
    const events: string[] = [];
    const over = Promise.withResolvers<void>();
    const heir: StreamHandler<Connection> = {
      opened: (connection) => {
        events.push("opened");
        return connection;
      },
      received: (connection, bytes, start, end) => {
        events.push(Buffer.from(bytes.subarray(start, end)).toString());
        connection.write(bytes, start, end);
      },
      ended: (connection) => {
        events.push("ended");
        connection.end(false);
      },
      drained() {},
      closed: () => {
        events.push("closed");
        over.resolve();
      },
    };
    const route: Route = {
      path: "/up",
      handle: () => ({ headers: { upgrade: "echo" }, upgrade: heir as StreamHandler<unknown> }),
    };
    const { port, clock, server } = await start(t, [route], {}, network);
    const client = new Client(t, port);
    client.send("GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst");
    assert.equal(
      await client.until(/first$/),
      "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\nfirst",
    );
    clock.seconds += 1000;
    server.sweep(); // timeouts are the heir's now
    client.send("GET /up HTTP/1.1\r\n\r\n");
    await client.until(/firstGET \/up HTTP\/1\.1\r\n\r\n$/);
    assert.equal(server.open, 1);
    client.socket.end();
    await over.promise;
    assert.deepEqual(events, ["opened", "first", "GET /up HTTP/1.1\r\n\r\n", "ended", "closed"]);
    assert.equal(server.open, 0);
  });
}

test("a client of HTTP/1.0 gets a stream until the end of its connection", async (t) => {
  const { stream } = countedStream(2, 3);
  const { port } = await start(t, [{ path: "/s", handle: () => ({ status: 200, body: stream() }) }]);
  const { text } = await ask(t, port, "GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  assert.match(text, /\r\nconnection: close\r\n\r\nbbbccc$/);
  assert.doesNotMatch(text, /chunked/);
});

test("a HEAD for a stream ends it unread", async (t) => {
  const { state, stream } = countedStream(2, 3);
  const { port } = await start(t, [{ path: "/s", handle: () => ({ status: 200, body: stream() }) }]);
  const { text } = await ask(t, port, head("HEAD /s HTTP/1.1"));
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s);
  assert.equal(state.asked, 0);
});

test("a stream that fails is cut off, and reported", async (t) => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("begun");
    await turn();
    throw new Error("on purpose");
  }
  for (const gzip of [false, true]) {
    const { port, errors } = await start(t, [
      { path: "/s", handle: () => ({ status: 200, gzip, body: failing() }) },
    ]);
    const { text } = await ask(t, port, head("GET /s HTTP/1.1", "Accept-Encoding: gzip"));
    assert.doesNotMatch(text, /\r\n0\r\n\r\n$/);
    assert.deepEqual(
      errors.map(({ message }) => message),
      ["on purpose"],
    );
  }
});

test("bytes and streams are compressed for clients that take gzip", async (t) => {
  const text = "a line\n".repeat(20_000);
  async function* lines(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 100; i++) yield Buffer.from("a line\n".repeat(200));
  }
  const { port } = await start(t, [
    { path: "/bytes", handle: () => ({ status: 200, gzip: true, body: text }) },
    { path: "/stream", handle: () => ({ status: 200, gzip: true, body: lines() }) },
  ]);
  for (const path of ["/bytes", "/stream"]) {
    for (const [accepted, isCompressed] of [
      ["gzip", true],
      ["br, GZIP;q=0.5", true],
      ["*", true],
      ["gzip;q=0, *", false],
      ["identity", false],
      ["gzip;q=0.000", false],
    ] as const) {
      const response = (await ask(t, port, head(`GET ${path} HTTP/1.1`, `Accept-Encoding: ${accepted}`)))
        .text;
      const at = response.indexOf("\r\n\r\n") + 4;
      const raw = response.includes("chunked") ? unchunk(response.slice(at)) : response.slice(at);
      assert.equal(response.slice(0, at).includes("content-encoding: gzip"), isCompressed, accepted);
      assert.ok(response.slice(0, at).includes("\r\nvary: accept-encoding\r\n"));
      const bytes = Buffer.from(raw, "latin1");
      assert.equal((isCompressed ? gunzipSync(bytes) : bytes).toString(), text);
    }
  }
});

test("the handler learns that the client has left", async (t) => {
  const begun = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const { port, errors } = await start(t, [
    {
      path: "/wait",
      handle: ({ gone: signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            reject(signal.reason);
            gone.resolve();
          });
          begun.resolve();
        }),
    },
  ]);
  const client = new Client(t, port);
  client.send(head("GET /wait HTTP/1.1"));
  await begun.promise;
  client.socket.resetAndDestroy();
  await gone.promise;
  await turn();
  assert.deepEqual(errors, []);
});

test("where all connections are busy the oldest makes room, if the server is to stay reachable", async (t) => {
  let hanging = 0;
  const hang: Route = {
    path: "/hang",
    handle() {
      hanging++;
      return new Promise(() => {});
    },
  };
  const { port } = await start(t, [hang, get], { maxConnections: 2, evictsBusy: true });
  const busy = [new Client(t, port), new Client(t, port)];
  for (const [index, client] of busy.entries()) {
    client.send(head("GET /hang HTTP/1.1"));
    while (hanging <= index) await turn();
  }
  assert.match((await ask(t, port, head("GET /get HTTP/1.1"))).text, /got$/);
  await busy[0]!.toEnd();
});

const late = 301;

test("a handler that never responds gets 503 after five minutes, and its late response is dropped", async (t) => {
  const begun = Promise.withResolvers<AbortSignal>();
  const response = Promise.withResolvers<RouteResponse>();
  const { state, stream } = countedStream(2, 3);
  const handle = ({ gone }: RouteRequest) => {
    begun.resolve(gone);
    return response.promise;
  };
  const { port, clock, server, errors } = await start(t, [{ path: "/hang", handle }, get]);
  const client = new Client(t, port);
  client.send(`${head("GET /hang HTTP/1.1")}${head("GET /get HTTP/1.1")}`);
  const gone = await begun.promise;
  clock.seconds += late - 1;
  server.sweep();
  assert.equal(gone.aborted, false);
  clock.seconds += 1;
  server.sweep();
  assert.equal(gone.aborted, true);
  const text = await client.toEnd();
  assert.match(
    text,
    /^HTTP\/1\.1 503 Service Unavailable\r\n.*connection: close.*\r\n\r\nthe handler took too long\n$/s,
  );
  response.resolve({ status: 200, body: stream() });
  client.socket.destroy();
  while (server.open > 0) await turn();
  assert.deepEqual([errors, state.asked], [[], 0]);
});

test("a response that has begun may take longer than five minutes", async (t) => {
  const gate = Promise.withResolvers<void>();
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("begun");
    await gate.promise;
    yield Buffer.from("done");
  }
  const { port, clock, server } = await start(t, [
    { path: "/s", handle: () => ({ status: 200, body: slow() }) },
  ]);
  const client = new Client(t, port);
  client.send(head("GET /s HTTP/1.1"));
  await client.until(/begun/);
  clock.seconds += 10 * late;
  server.sweep();
  gate.resolve();
  await client.until(/done\r\n0\r\n\r\n$/);
});

test("a body that arrives byte by byte has five minutes in all", async (t) => {
  for (const framing of ["Content-Length: 1000", "Transfer-Encoding: chunked"]) {
    let wake = (): void => {};
    const slow: Route = {
      path: "/slow",
      methods: ["POST"],
      maxBody: 1000,
      async handle({ body }) {
        for await (const _ of body) wake();
        return { status: 200 };
      },
    };
    const { port, clock, server, errors } = await start(t, [slow]);
    const client = new Client(t, port);
    client.send(head("POST /slow HTTP/1.1", framing));
    for (let i = 0; i < 75; i++) {
      const received = new Promise<void>((resolve) => {
        wake = resolve;
      });
      client.send(framing.includes("chunked") ? "1\r\na\r\n" : "a");
      await received;
      clock.seconds += 4;
      server.sweep();
    }
    assert.equal(client.text, "");
    clock.seconds += 1;
    server.sweep();
    const text = await client.toEnd();
    assert.match(text, /^HTTP\/1\.1 408 Request Timeout.*\r\n\r\nthe body took too long\n$/s, framing);
    assert.deepEqual(errors, []);
  }
});

test("a handler that ignores a body that never comes gets 503 too", async (t) => {
  const begun = Promise.withResolvers<void>();
  const ignore: Route = {
    path: "/ignore",
    methods: ["POST"],
    maxBody: 100,
    handle() {
      begun.resolve();
      return new Promise(() => {});
    },
  };
  const { port, clock, server } = await start(t, [ignore]);
  const client = new Client(t, port);
  client.send(head("POST /ignore HTTP/1.1", "Content-Length: 10"));
  await begun.promise;
  for (const seconds of [late, 1]) {
    clock.seconds += seconds;
    server.sweep(); // first the body fails
  }
  assert.match(await client.toEnd(), /^HTTP\/1\.1 503 /);
});
