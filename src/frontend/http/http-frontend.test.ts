import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { certificates } from "../../../test/fixtures/certificates.ts";
import {
  announceQuery,
  createHttpServer,
  httpOptions,
  infoHash,
  RawClient,
  startHttpServer,
} from "../../../test/fixtures/http-server.ts";
import { listEngines } from "../../../test/support/networks.ts";
import { bindError } from "../../net/bind-error.ts";
import { renderPrometheus } from "../../observability/prometheus.ts";

const hosts = ["127.0.0.1", "::1"];
/** Peers of the fake store: every byte is the family. */
const peers4 = (count: number) => "\x04".repeat(6 * count);
const peers6 = (count: number) => "\x06".repeat(18 * count);

function dialTls(t: TestContext, port: number, host: string): TLSSocket {
  const socket = connectTls({ host, port, rejectUnauthorized: false });
  t.after(() => socket.destroy());
  return socket;
}

test("the own family comes first, and the other fills what is left of numwant", async (t) => {
  const rows: [host: string, numwant: string, stored: { 4: number; 6: number }, peers: string][] = [
    ["127.0.0.1", "3", { 4: 2, 6: 9 }, `5:peers12:${peers4(2)}6:peers618:${peers6(1)}`],
    ["127.0.0.1", "3", { 4: 9, 6: 9 }, `5:peers18:${peers4(3)}`],
    ["127.0.0.1", "0", { 4: 9, 6: 9 }, "5:peers0:"],
    ["::1", "3", { 4: 9, 6: 2 }, `5:peers6:${peers4(1)}6:peers636:${peers6(2)}`],
    ["::1", "3", { 4: 9, 6: 9 }, `5:peers0:6:peers654:${peers6(3)}`],
    ["::1", "0", { 4: 0, 6: 0 }, "5:peers0:6:peers60:"],
    ["::1", "9", { 4: 9, 6: 0 }, `5:peers54:${peers4(9)}6:peers60:`],
  ];
  for (const [host, numwant, stored, peers] of rows) {
    const { store, port } = await startHttpServer(t, host);
    store.peers = stored;
    const { body } = await new RawClient(t, port(), host).get(`/announce?${announceQuery({ numwant })}`);
    const externalIp = host === "::1" ? `16:${"\0".repeat(15)}\x01` : "4:\x7f\0\0\x01";
    assert.equal(
      body,
      `d8:completei1e10:downloadedi3e11:external ip${externalIp}10:incompletei2e8:intervali1800e12:min intervali900e${peers}e`,
      `${host} ${numwant} ${JSON.stringify(stored)}`,
    );
  }
});

test("a non-compact list holds both families, with peer ids where they are stored and wanted", async (t) => {
  const entry4 = (id: string) => `d2:ip7:4.4.4.4${id}4:porti1028ee`;
  const entry6 = (id: string) => `d2:ip31:606:606:606:606:606:606:606:606${id}4:porti1542ee`;
  const id = `7:peer id20:${"p".repeat(20)}`;
  const { store, port } = await startHttpServer(t, "127.0.0.1");
  store.peers = { 4: 1, 6: 1 };
  const client = new RawClient(t, port());
  for (const [changes, list] of [
    [{ compact: "0" }, `l${entry4(id)}${entry6(id)}e`],
    [{ compact: "0", no_peer_id: "1" }, `l${entry4("")}${entry6("")}e`],
    [{ compact: "0", no_peer_id: "0" }, `l${entry4(id)}${entry6(id)}e`],
    [{ compact: null }, "6:"],
  ] as const) {
    const { body } = await client.get(`/announce?${announceQuery(changes)}`);
    assert.ok(body.includes(`5:peers${list}`), `${JSON.stringify(changes)}: ${body}`);
  }
});

test("a store without peer ids lists compact peers for a client that wants ids", async (t) => {
  const { store, port } = await startHttpServer(t, "127.0.0.1");
  store.keepsPeerIds = false;
  const client = new RawClient(t, port());
  for (const [peers, changes, list] of [
    [1, { compact: "0" }, "6:\x04\x04\x04\x04\x04\x04"],
    [0, { compact: "0" }, "0:"],
    [1, { compact: "0", no_peer_id: "1" }, "ld2:ip7:4.4.4.44:porti1028eee"],
  ] as const) {
    store.peers = { 4: peers, 6: 0 };
    const { body } = await client.get(`/announce?${announceQuery(changes)}`);
    assert.ok(body.includes(`5:peers${list}`), `${JSON.stringify(changes)}: ${body}`);
  }
});

test("as many peers as are allowed fit into every kind of answer, and a full scrape too", async (t) => {
  const { store, port } = await startHttpServer(t, "::1", {
    maxNumWant: 300,
    maxScrapeInfoHashes: 300,
    maxHeaderBytes: 65536,
  });
  store.peers = { 4: 150, 6: 150 };
  const client = new RawClient(t, port(), "::1");
  for (const compact of ["0", "1"]) {
    const { body } = await client.get(`/announce?${announceQuery({ compact, numwant: "300" })}`);
    assert.ok(
      body.endsWith(compact === "1" ? `6:peers62700:${peers6(150)}e` : "4:porti1542eeee"),
      body.slice(-40),
    );
  }
  const hashes = Array.from({ length: 300 }, (_, i) => `info_hash=${`${i}`.padStart(20, "0")}`).join("&");
  const { body } = await client.get(`/scrape?${hashes}`);
  assert.equal(body.match(/8:complete/g)?.length, 300);
});

test("route parameters reach the hooks", async (t) => {
  const seen: unknown[] = [];
  const look = (request: { params: { route(name: string): string | undefined } }) =>
    void seen.push(request.params.route("passkey"));
  const hook = { name: "look", handleAnnounce: look, handleScrape: look };
  const { port } = await startHttpServer(t, "127.0.0.1", {}, { preHooks: [hook] });
  const client = new RawClient(t, port());
  await client.get(`/announce/s%65cret?${announceQuery()}`);
  await client.get(`/announce?${announceQuery()}`);
  await client.get(`/scrape?info_hash=${infoHash}`);
  assert.deepEqual(seen, ["secret", undefined, undefined]);
});

for (const host of hosts) {
  test(`plain and TLS listeners on ${host} serve side by side`, async (t) => {
    const listen = [
      { host, port: 0 },
      { host, port: 0 },
    ];
    const listenTls = [{ host, port: 0 }];
    const server = await startHttpServer(t, host, { listen, listenTls, tls: certificates[0] });
    const bracketed = host === "::1" ? "[::1]" : host;
    assert.deepEqual(
      server.frontend.urls().map((url) => url.replace(/\d+$/, "N")),
      [`http://${bracketed}:N`, `http://${bracketed}:N`, `https://${bracketed}:N`],
    );
    for (const index of [0, 1]) {
      assert.equal(
        (await new RawClient(t, server.port(index), host).get(`/announce?${announceQuery()}`)).status,
        200,
      );
    }
    const secure = dialTls(t, server.port(2), host);
    secure.write(`GET /announce?${announceQuery()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    let text = "";
    for await (const chunk of secure) text += chunk;
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(server.store.announces.length, 3);
    assert.equal(new Set(server.store.announces).size, 1);
  });
}

for (const { name, open, skip } of await listEngines()) {
  test(`a half-sent request above a limit that was lowered is refused by the ${name} engine`, {
    skip,
  }, async (t) => {
    const network = await open();
    const { frontend, errors, port } = createHttpServer(
      { listen: [{ host: "127.0.0.1", port: 0 }] },
      {},
      network.listenStream,
    );
    await frontend.start();
    t.after(async () => {
      await frontend.stop(AbortSignal.abort());
      network.close();
    });
    const client = new RawClient(t, port());
    client.send(`GET /${"a".repeat(3000)}`);
    await once(client.socket, "connect");
    // What came first has been read when this is answered.
    await new RawClient(t, port()).get(`/scrape?info_hash=${infoHash}`);
    frontend.prepare({ ...httpOptions, maxHeaderBytes: 1024 })();
    client.send("a");
    assert.equal((await client.read()).status, 431);
    assert.deepEqual(errors, []);
  });
}

test("TLS alone is enough, and a reload changes its certificate for new connections", async (t) => {
  const server = await startHttpServer(t, "127.0.0.1", {
    listen: [],
    listenTls: [{ host: "127.0.0.1", port: 0 }],
    tls: certificates[0],
  });
  const subject = async () => {
    const socket = dialTls(t, server.port(), "127.0.0.1");
    await once(socket, "secureConnect");
    return socket.getPeerCertificate().subject.CN;
  };
  const options = { ...httpOptions, listenTls: [{ host: "127.0.0.1", port: 0 }], maxNumWant: 1 };
  const expiry = () => {
    const [line] =
      renderPrometheus(server.metrics.snapshot()).match(/^chihaya_tls_certificate_expiry.*$/m) ?? [];
    return line?.replace(/\d+"/, 'PORT"');
  };
  const dated = ({ cert }: { cert: string | Uint8Array }) =>
    `chihaya_tls_certificate_expiry_timestamp_seconds{listener="https://127.0.0.1:PORT"} ${
      Date.parse(new X509Certificate(cert).validTo) / 1000
    }`;
  assert.equal(await subject(), "first.test");
  assert.equal(expiry(), dated(certificates[0]));
  assert.throws(() => server.frontend.prepare({ ...options, tls: { cert: "nonsense", key: "nonsense" } }));
  assert.equal(await subject(), "first.test");
  server.frontend.prepare({ ...options, tls: certificates[1] })();
  assert.equal(await subject(), "second.test");
  assert.equal(expiry(), dated(certificates[1]));
});

test("an address that is taken stops the start, and nothing stays bound", async (t) => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  const listen = [
    { host: "127.0.0.1", port: 0 },
    { host: "127.0.0.1", port },
  ];
  const { frontend } = createHttpServer({ listen });
  await assert.rejects(frontend.start(), {
    message: new RegExp(`^cannot listen on http://127\\.0\\.0\\.1:${port}: `),
  });
  assert.deepEqual(frontend.urls(), []);
});

test("without IPv6 the default addresses still serve IPv4, and say what is missing", async (t) => {
  const listen = ["0.0.0.0", "::"].map((host) => ({ host, port: 0 }));
  const missing: string[] = [];
  const { frontend } = createHttpServer(
    { listen },
    {},
    ({ host, port }) => {
      if (host !== "::")
        return Promise.resolve({
          port: 6969,
          prepareTls: () => () => undefined,
          close: () => Promise.resolve(),
        });
      throw bindError("http", host, port, Object.assign(new Error("listen"), { code: "EAFNOSUPPORT" }));
    },
    (error) => missing.push(error.message),
  );
  await frontend.start();
  t.after(() => frontend.stop(AbortSignal.abort()));
  assert.deepEqual(frontend.urls(), ["http://0.0.0.0:6969"]);
  assert.match(missing.join(), /^cannot listen on http:\/\/\[::\]:0: the system has no support/);
});

test("it can be stopped while it starts, and before", async () => {
  const { frontend } = createHttpServer({ listen: [{ host: "127.0.0.1", port: 0 }] });
  const started = frontend.start();
  await frontend.stop(AbortSignal.abort());
  await started;
  assert.deepEqual(frontend.urls(), []);
  await createHttpServer().frontend.stop(AbortSignal.abort());
});

test("routes and networks that cannot be used are refused at once", () => {
  assert.throws(() => createHttpServer({ announceRoutes: ["no slash"] }), RangeError);
  assert.throws(() => createHttpServer({ trustedProxies: ["10.0.0.0/33"] }), RangeError);
});

test("stopping over real sockets: answers under way arrive, new connections are refused", async (t) => {
  const server = await startHttpServer(t, "127.0.0.1");
  let proceed = () => {};
  server.store.gate = new Promise((resolve) => {
    proceed = resolve;
  });
  const port = server.port();
  const idle = new RawClient(t, port);
  const waiting = new RawClient(t, port);
  waiting.send(`GET /announce?${announceQuery()} HTTP/1.1\r\nHost: x\r\n\r\n`);
  while (server.store.announces.length === 0) await new Promise(setImmediate);
  const stopped = server.frontend.stop(new AbortController().signal);
  assert.equal(await idle.readToEnd(), "");
  const late = new RawClient(t, port);
  assert.equal(await late.readToEnd(), "");
  proceed();
  assert.equal((await waiting.read()).status, 200);
  await waiting.readToEnd();
  waiting.socket.end();
  await stopped;
});

test("responses are counted by action, family and error, the rest by reason", async (t) => {
  const server = await startHttpServer(t, "::1", { requestTiming: false });
  const client = new RawClient(t, server.port(), "::1");
  await client.get(`/announce?${announceQuery()}`);
  await client.get(`/announce?${announceQuery({ port: "0" })}`);
  await client.get(`/scrape?info_hash=${infoHash}`);
  await client.get("/nowhere");
  const text = renderPrometheus(server.metrics.snapshot());
  for (const line of [
    'chihaya_http_response_duration_milliseconds_count{action="announce",address_family="IPv6",error=""} 1',
    'chihaya_http_response_duration_milliseconds_count{action="announce",address_family="Unknown",error="invalid port"} 1',
    'chihaya_http_response_duration_milliseconds_count{action="scrape",address_family="IPv6",error=""} 1',
    'chihaya_http_response_duration_milliseconds_sum{action="scrape",address_family="IPv6",error=""} 0',
    'chihaya_http_rejected_total{reason="not_found"} 1',
    'chihaya_http_rejected_total{reason="timeout"} 0',
    "chihaya_http_connections 1",
    "chihaya_http_connections_accepted_total 1",
  ]) {
    assert.ok(text.includes(`${line}\n`), `${line}\n${text}`);
  }
});

test("the bytes of requests and responses are counted once, however they arrive", async (t) => {
  const { metrics, store, port } = await startHttpServer(t, "127.0.0.1");
  const counted = (what: string) =>
    metrics.snapshot().find(({ name }) => name === `chihaya_${what}_bytes_total`)?.series[0]?.values[0];
  assert.deepEqual([counted("received"), counted("sent")], [0, 0]);
  const gate = Promise.withResolvers<void>();
  store.gate = gate.promise;
  // The second request waits until the first has its response, and is read again then.
  const request = `GET /announce?${announceQuery()} HTTP/1.1\r\nHost: t\r\n\r\n`;
  const socket = connect(port(), "127.0.0.1").setEncoding("latin1");
  t.after(() => socket.destroy());
  let responses = "";
  socket.on("data", (text: string) => {
    responses += text;
  });
  socket.write(request + request.slice(0, 9));
  while (counted("received") !== request.length + 9) await new Promise((resolve) => setImmediate(resolve));
  gate.resolve();
  socket.write(`${request.slice(9).replace("HTTP/1.1", "HTTP/1.0")}`);
  await once(socket, "close");
  assert.equal(responses.match(/HTTP\/1\.1 200/g)?.length, 2);
  assert.deepEqual([counted("received"), counted("sent")], [2 * request.length, responses.length]);
});
