import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import {
  announceQuery,
  infoHash,
  infoHashHex,
  RawClient,
  startHttpServer,
} from "../../../test/fixtures/http-server.ts";
import { renderPrometheus } from "../../observability/prometheus.ts";
import { decodeBencode } from "../../protocol/bencode/decode.ts";

const host = "127.0.0.1";
const failure = (reason: string) => `d14:failure reason${reason.length}:${reason}e`;
const field = (line: string | undefined, name: string) => new RegExp(`${name}=(\\d+)`).exec(line ?? "")?.[1];
const maximum = "18446744073709551615";

test("scrapes of no hash, of many hashes and with a ragged tail are cut or refused", async (t) => {
  const { store, port } = await startHttpServer(t, host, { maxHeaderBytes: 128 * 1024 });
  const client = new RawClient(t, port());
  for (const [count, answered] of [
    [1, 1],
    [50, 50],
    [60, 60],
    [74, 74],
    [75, 74],
    [3276, 74],
  ] as const) {
    const hashes = Array.from({ length: count }, (_, i) => `info_hash=${`${i}`.padStart(20, "x")}`);
    const { status, body } = await client.get(`/scrape?${hashes.join("&")}`);
    assert.equal(status, 200);
    const files = decodeBencode(Buffer.from(body, "latin1")) as Map<string, Map<string, unknown>>;
    assert.equal(files.get("files")?.size, answered, `${count} hashes`);
    assert.equal(store.scrapes.pop()?.split(" ").length, answered + 1);
  }
  assert.equal((await client.get("/scrape")).body, failure("no info_hash parameter supplied"));
  assert.equal(
    (await client.get(`/scrape?info_hash=${"a".repeat(20)}&info_hash=abc`)).body,
    failure("provided invalid infohash"),
  );
});

test("every numwant there is becomes a number between none and the maximum", async (t) => {
  const { store, port } = await startHttpServer(t, host);
  const client = new RawClient(t, port());
  for (const [numwant, wanted] of [
    ["-1", "50"],
    ["0", "0"],
    ["1", "1"],
    ["4294967295", "100"],
    ["4294967296", "100"],
    ["1e999", "50"],
    ["NaN", "50"],
    ["", "50"],
    ["%20%35", "50"],
    ["9".repeat(400), "100"],
  ] as const) {
    await client.get(`/announce?${announceQuery({ numwant })}`);
    assert.equal(field(store.announces.pop(), "want"), wanted, numwant.slice(0, 20));
  }
});

test("only an exact zero left is a seeder, and counters saturate whatever their length", async (t) => {
  const { store, port } = await startHttpServer(t, host, { maxHeaderBytes: 2 << 20 });
  const client = new RawClient(t, port());
  for (const [left, stored] of [
    ["0", "0"],
    ["00", "0"],
    ["-1", maximum],
    ["-9223372036854775808", maximum],
    ["9223372036854775807", "9223372036854775807"],
    ["9223372036854775808", "9223372036854775808"],
    [maximum, maximum],
    ["18446744073709551616", maximum],
    ["9".repeat(1_000_000), maximum],
    ["NaN", maximum],
    ["undefined", maximum],
    ["", maximum],
    ["1e3", maximum],
    ["0x0", maximum],
    ["%205", maximum],
    ["+5", maximum],
    ["0%00", maximum],
    ["-", maximum],
    ["-0", maximum],
  ] as const) {
    await client.get(`/announce?${announceQuery({ left })}`);
    assert.equal(field(store.announces.pop(), "left"), stored, left.slice(0, 30));
  }
  for (const name of ["uploaded", "downloaded"]) {
    await client.get(`/announce?${announceQuery({ [name]: "-5" })}`);
    assert.equal(field(store.announces.pop(), name === "uploaded" ? "up" : "down"), "0");
  }
});

test("a malformed port is refused, and a cryptoport replaces port 0", async (t) => {
  const { store, port } = await startHttpServer(t, host);
  const client = new RawClient(t, port());
  for (const [value, result] of [
    ["0", "invalid port"],
    ["65536", "failed to parse parameter: port"],
    ["-1", "failed to parse parameter: port"],
    ["80abc", "failed to parse parameter: port"],
    ["8".repeat(1000), "failed to parse parameter: port"],
    ["0&cryptoport=0", "invalid port"],
    ["0&cryptoport=70000", "invalid port"],
  ] as const) {
    assert.equal(
      (await client.get(`/announce?${announceQuery({ port: value })}`)).body,
      failure(result),
      value.slice(0, 20),
    );
  }
  await client.get(`/announce?${announceQuery({ port: "0&cryptoport=6881" })}`);
  assert.equal(store.announces.pop()?.split(" ")[3], "6881");
});

test("a malformed infohash of any form gets a constant text", async (t) => {
  const { store, port } = await startHttpServer(t, host);
  const client = new RawClient(t, port());
  const rows: [query: string, reason: string][] = [
    [announceQuery({ info_hash: null }), "no info_hash parameter supplied"],
    [announceQuery({ info_hash: "a".repeat(19) }), "provided invalid infohash"],
    [announceQuery({ info_hash: "a".repeat(21) }), "provided invalid infohash"],
    [announceQuery({ info_hash: "a".repeat(40) }), "provided invalid infohash"],
    [
      announceQuery({ info_hash: `${infoHash}&info_hash=${infoHash}` }),
      "multiple info_hash parameters supplied",
    ],
    [announceQuery({ info_hash: null, "info_hash[]": infoHash }), "no info_hash parameter supplied"],
    [announceQuery({ info_hash: null, "info_hash%5b%5d": infoHash }), "no info_hash parameter supplied"],
  ];
  for (const [query, reason] of rows) {
    assert.equal((await client.get(`/announce?${query}`)).body, failure(reason), query);
  }
  assert.deepEqual(store.announces, []);
});

test("names from Object's prototype are parameters like any other", async (t) => {
  const seen: (string | undefined)[] = [];
  const hook = {
    name: "look",
    handleAnnounce: (request: { params: { get(name: string): string | undefined } }) => {
      seen.push(
        ...["__proto__", "constructor", "tostring", "hasownproperty"].map((name) => request.params.get(name)),
      );
    },
  };
  const { port } = await startHttpServer(t, host, {}, { preHooks: [hook] });
  const client = new RawClient(t, port());
  const query = announceQuery({ constructor: "c" });
  const { body } = await client.get(`/announce?__proto__=p&toString=s&${query}`);
  assert.match(body, /^d8:complete/);
  assert.deepEqual(seen, ["p", "c", "s", undefined]);
  assert.equal((await client.get(`/__proto__?${query}`)).status, 404);
  assert.equal((await client.get(`/constructor?${query}`)).status, 404);
});

test("malformed escapes fail cleanly, and every byte gets through an escape", async (t) => {
  const { store, port } = await startHttpServer(t, host);
  const client = new RawClient(t, port());
  for (const bad of ["%", "%2", "%zz", "%u0041", "%-1", "% 1", "%%30"]) {
    const escaped = bad.replace(" ", "+");
    const { body } = await client.get(`/announce?${announceQuery({ key: escaped })}`);
    assert.equal(body, failure("invalid query escape"), bad);
  }
  const everyByte = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));
  for (let i = 0; i + 20 <= 256; i += 20) {
    const bytes = everyByte.slice(i, i + 20);
    for (const info_hash of [bytes, bytes.map((byte) => byte.toUpperCase())].map(
      (hex) => `%${hex.join("%")}`,
    )) {
      await client.get(`/announce?${announceQuery({ info_hash, peer_id: info_hash })}`);
      assert.equal(store.announces.pop()?.split(" ")[0], bytes.join(""));
    }
  }
  // Raw bytes that are no UTF-8, as old clients send them; an overlong encoding is just bytes.
  await client.get(`/announce?${announceQuery({ info_hash: "\xc0\xaf\xff\x80+;abcdefghijklmn" })}`);
  assert.equal(store.announces.pop()?.split(" ")[0], "c0afff802b3b6162636465666768696a6b6c6d6e");
});

test("nothing that a client says comes back in an answer or in a label", async (t) => {
  const server = await startHttpServer(t, host, { requestTiming: true });
  const client = new RawClient(t, server.port());
  const marker = "7:injected3:xxxe";
  const queries = [
    announceQuery({ peer_id: marker }),
    announceQuery({ info_hash: marker }),
    announceQuery({ left: marker, event: marker, key: marker, trackerid: marker }),
    announceQuery({ peer_id: "12:aaaaaaaaaaaaaaaae", key: marker, trackerid: marker }),
    announceQuery({ [marker]: marker, port: "%zz" }),
  ];
  for (const query of queries) {
    const { head, body } = await client.get(`/announce?${query}`, `User-Agent: ${marker}\r\n`);
    assert.ok(!(head + body).includes("injected"), query);
    decodeBencode(Buffer.from(body, "latin1"), { sortedKeys: true });
  }
  assert.equal((await client.get(`/${marker}`)).status, 404);
  assert.ok(!renderPrometheus(server.metrics.snapshot()).includes("injected"));
});

test("the claimed address of another client is ignored without permission, and checked with it", async (t) => {
  const claims = [
    "192.168.0.1",
    "127.0.0.9",
    "::ffff:10.0.0.1",
    "example.com",
    "203.0.113.9:80",
    "0.0.0.0",
    "224.0.0.1",
  ];
  const closed = await startHttpServer(t, host);
  const client = new RawClient(t, closed.port());
  for (const claim of claims) {
    const headers = `X-Forwarded-For: ${claim}\r\nX-Real-IP: ${claim}\r\nForwarded: for=${claim}\r\n`;
    await client.get(`/announce?${announceQuery({ ip: claim, ipv6: claim })}`, headers);
    assert.equal(closed.store.announces.pop()?.split(" ")[2], host, claim);
  }
  const trusting = await startHttpServer(t, host, {
    realIpHeader: "x-forwarded-for",
    trustedProxies: ["127.0.0.0/8"],
  });
  const proxied = new RawClient(t, trusting.port());
  const results = [
    "192.168.0.1",
    "127.0.0.9",
    "10.0.0.1",
    "failed to parse peer IP address",
    "203.0.113.9",
    "invalid IP",
    "invalid IP",
  ];
  for (const [i, claim] of claims.entries()) {
    const { body } = await proxied.get(`/announce?${announceQuery()}`, `X-Forwarded-For: ${claim}\r\n`);
    const stored = trusting.store.announces.pop()?.split(" ")[2];
    assert.equal(stored ?? body, results[i]!.includes("I") ? failure(results[i]!) : results[i], claim);
  }
});

test("a request that arrives a byte a second and one that never comes are cut off", async (t) => {
  const { port, clock, frontend } = await startHttpServer(t, host, { readTimeout: 5 });
  const silent = new RawClient(t, port());
  const slow = new RawClient(t, port());
  slow.send("G");
  // The answer shows that the server has seen the others.
  const good = new RawClient(t, port());
  await good.get(`/announce?${announceQuery()}`);
  for (const byte of "ET /an") {
    clock.seconds++;
    frontend.sweep();
    slow.send(byte);
    await good.get(`/announce?${announceQuery()}`);
  }
  assert.match(await slow.readToEnd(), /^HTTP\/1\.1 408 /);
  assert.equal(await silent.readToEnd(), "");
});

test("long request lines, many headers and many parameters meet a limit", async (t) => {
  const { port } = await startHttpServer(t, host);
  const rows: [what: string, text: string, status: number][] = [
    ["an endless path", `GET /${"a".repeat(20_000)}`, 431],
    ["an endless header", `GET / HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(20_000)}`, 431],
    ["2,000 headers", `GET / HTTP/1.1\r\nHost: x\r\n${"X: y\r\n".repeat(2000)}\r\n`, 431],
    ["an endless method", "A".repeat(20_000), 400],
  ];
  for (const [what, text, status] of rows) {
    const client = new RawClient(t, port());
    client.send(text);
    assert.match(await client.readToEnd(), new RegExp(`^HTTP/1\\.1 ${status} `), what);
  }
  const large = await startHttpServer(t, host, { maxHeaderBytes: 256 * 1024 });
  const client = new RawClient(t, large.port());
  assert.equal((await client.get(`/announce?${"&".repeat(100_000)}${announceQuery()}`)).status, 200);
  assert.equal(large.store.announces.length, 1, "empty parameters are nothing");
  assert.equal(
    (await client.get(`/announce?${"a=b&".repeat(50_000)}${announceQuery()}`)).body,
    failure("invalid query"),
  );
  assert.equal((await client.get(`/announce?${"?".repeat(1000)}&${announceQuery()}`)).status, 200);
  assert.equal(large.store.announces.length, 2);
});

test("bodies, other methods, tunnels and upgrades are refused without reading on", async (t) => {
  const { port, store } = await startHttpServer(t, host);
  const smuggled = `GET /announce?${announceQuery()} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const rows: [text: string, status: number][] = [
    [`POST /announce HTTP/1.1\r\nHost: x\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`, 405],
    ["PUT /announce HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", 405],
    ["CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", 405],
    ["OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 405],
    [`GET /announce HTTP/1.1\r\nHost: x\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`, 400],
    [`GET /announce HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`, 400],
    [
      `GET /announce HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding : chunked\r\n\r\n${smuggled}`,
      400,
    ],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
    ["\x16\x03\x01\x02\x00\x01\x00\x01", 400],
  ];
  for (const [text, status] of rows) {
    const client = new RawClient(t, port());
    client.send(text);
    const answer = await client.readToEnd();
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), text);
    assert.equal(answer.split("HTTP/1.1 ").length, 2, "one answer");
    assert.match(answer, /\r\nConnection: close\r\n/);
  }
  assert.deepEqual(store.announces, []);
  const client = new RawClient(t, port());
  const upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
  assert.equal((await client.get(`/announce?${announceQuery()}`, upgrade)).status, 200);
  assert.equal((await client.get(`http://tracker.test:80/announce?${announceQuery()}`)).status, 200);
  assert.equal(store.announces.length, 2, "an upgrade is not taken; a whole URL is the same as its path");
});

test("ten thousand pipelined requests on one socket are all answered", async (t) => {
  const { port, store } = await startHttpServer(t, host);
  const client = new RawClient(t, port());
  const count = 10_000;
  client.send(`GET /announce?${announceQuery()} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(count));
  for (let i = 0; i < count; i++) assert.equal((await client.read()).status, 200);
  assert.equal(store.announces.length, count);
});

test("clients behind one proxy have their own addresses", async (t) => {
  const { port, store } = await startHttpServer(t, "::1", {
    realIpHeader: "x-forwarded-for",
    trustedProxies: ["::1"],
  });
  const proxy = new RawClient(t, port(), "::1");
  for (const client of ["203.0.113.1", "2001:db8::1", "203.0.113.2"]) {
    const { body } = await proxy.get(`/announce?${announceQuery()}`, `X-Forwarded-For: ${client}\r\n`);
    assert.equal(store.announces.pop()?.split(" ")[2], client);
    assert.ok(body.includes(client.includes(":") ? "11:external ip16:" : "11:external ip4:"), body);
  }
});

test("clients of another tracker get a small not-found, at little cost", async (t) => {
  const { port, store } = await startHttpServer(t, host);
  const client = new RawClient(t, port());
  for (const path of ["/", "/announce.php", "/other/tracker/announce/x/y", "/favicon.ico", "/robots.txt"]) {
    const { status, body } = await client.get(`${path}?${announceQuery()}`);
    assert.equal(status, 404, path);
    assert.equal(body, "d14:failure reason13:not a tracker8:retry in5:nevere");
  }
  assert.deepEqual(store.announces, []);
});

test("the same announce again and again is the same announce", async (t) => {
  const { port, store } = await startHttpServer(t, host);
  const clients = [new RawClient(t, port()), new RawClient(t, port())];
  const answers = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const { body } = await clients[i % 2]!.get(
      `/announce?${announceQuery({ peer_id: "01234567890123456789" })}`,
    );
    answers.add(body);
  }
  assert.equal(answers.size, 1);
  assert.equal(new Set(store.announces).size, 1);
});

test("resets and broken connections, in the middle of everything, end nothing but themselves", async (t) => {
  const server = await startHttpServer(t, host);
  let proceed = () => {};
  server.store.gate = new Promise((resolve) => {
    proceed = resolve;
  });
  for (let i = 0; i < 20; i++) {
    const client = new RawClient(t, server.port());
    client.send(
      `GET /announce?${announceQuery()} HTTP/1.1\r\nHost: x\r\n\r\n`
        .repeat(i % 3)
        .concat("GET /".slice(0, i % 5)),
    );
    await once(client.socket, "connect");
    client.socket.resetAndDestroy();
  }
  proceed();
  server.store.gate = undefined;
  const good = new RawClient(t, server.port());
  assert.equal((await good.get(`/announce?${announceQuery()}`)).status, 200);
  assert.deepEqual(server.errors, []);
  assert.ok(server.store.announces.every((line) => line.startsWith(infoHashHex)));
});
