import assert from "node:assert/strict";
import { test } from "node:test";
import {
  findHeadEnd,
  findHeader,
  HeaderValue,
  HttpRequest,
  RequestError,
  readRequest,
  requestErrorStatus,
} from "./request-reader.ts";

const request = new HttpRequest();

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function read(text: string): number {
  return readRequest(bytesOf(text), 0, text.length, request);
}

function path(text: string): string {
  return text.slice(request.targetStart, request.pathEnd);
}

const { malformed, method, version } = RequestError;

const accepted: [raw: string, path: string, query: string | undefined, keepAlive: boolean, minor: number][] =
  [
    ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "/", undefined, true, 1],
    ["GET /announce?a=b HTTP/1.1\r\nHost: h\r\n\r\n", "/announce", "a=b", true, 1],
    ["GET /announce? HTTP/1.1\r\nHost: h\r\n\r\n", "/announce", "", true, 1],
    ["GET /a?x=1?info_hash=2 HTTP/1.1\r\nHost: h\r\n\r\n", "/a", "x=1?info_hash=2", true, 1],
    ["GET //announce?a HTTP/1.1\r\nHost: h\r\n\r\n", "/announce", "a", true, 1],
    ["GET ////a//b HTTP/1.1\r\nHost: h\r\n\r\n", "/a//b", undefined, true, 1],
    ["GET http://h:6969/announce?a=b HTTP/1.1\r\nHost: h\r\n\r\n", "/announce", "a=b", true, 1],
    ["GET HTTPS://[::1]/x HTTP/1.1\r\nHost: h\r\n\r\n", "/x", undefined, true, 1],
    ["GET http://h?a=/b HTTP/1.1\r\nHost: h\r\n\r\n", "", "a=/b", true, 1],
    [
      'GET /announce?a=\x80\xff{}[]|^`<>"\\#;+ HTTP/1.1\r\nHost: h\r\n\r\n',
      "/announce",
      'a=\x80\xff{}[]|^`<>"\\#;+',
      true,
      1,
    ],
    ["GET / HTTP/1.0\r\n\r\n", "/", undefined, false, 0],
    ["GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "/", undefined, true, 0],
    ["GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "/", undefined, false, 0],
    ["GET / HTTP/1.1\r\nHost: h\r\nconnection:close\r\n\r\n", "/", undefined, false, 1],
    ["GET / HTTP/1.1\r\nHost: h\r\nCONNECTION: \t TE ,\tClose \r\n\r\n", "/", undefined, false, 1],
    [
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
      "/",
      undefined,
      false,
      1,
    ],
    ["GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n", "/", undefined, true, 1],
    ["GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "/", undefined, true, 1],
    ["GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nUpgrade: h2c\r\n\r\n", "/", undefined, true, 1],
    ["GET / HTTP/1.1\r\nX:\r\nY: \x80\xff\t\r\nHost:\r\n\r\n", "/", undefined, true, 1],
    ["GET / HTTP/1.2\r\nHOST: h\r\n\r\n", "/", undefined, true, 1],
    ["GET / HTTP/1.9\r\nhost:h\r\nConnection: close\r\n\r\n", "/", undefined, false, 1],
    ["HEAD /announce?a HTTP/1.1\r\nHost: h\r\n\r\n", "/announce", "a", true, 1],
    ["HEAD / HTTP/1.0\r\n\r\n", "/", undefined, false, 0],
    ["OPTIONS / HTTP/1.0\r\n\r\n", "/", undefined, false, 0],
    ["OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n", "/", undefined, true, 1],
    ["\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "/", undefined, true, 1],
  ];

test("requests parse", () => {
  for (const [raw, wantedPath, query, keepAlive, minor] of accepted) {
    assert.equal(read(raw), raw.length, raw);
    assert.equal(path(raw), wantedPath, raw);
    assert.equal(raw[request.pathEnd] === "?", query !== undefined, raw);
    assert.equal(raw.slice(request.queryStart, request.targetEnd), query ?? "", raw);
    assert.equal(request.keepAlive, keepAlive, raw);
    assert.equal(request.minor, minor, raw);
  }
});

test("a request is incomplete until its last byte arrives", () => {
  for (const [raw] of accepted) {
    const bytes = bytesOf(`xx${raw}GET /next HTTP/1.1\r\nHost: h\r\n\r\n`); // bytes before and after the request do not matter
    for (let length = 0; length < raw.length; length++) {
      assert.equal(readRequest(bytes, 2, 2 + length, request), 0, `${length} bytes of ${raw}`);
    }
    assert.equal(readRequest(bytes, 2, bytes.length, request), raw.length, raw);
  }
});

const refused: [raw: string, error: number][] = [
  ["POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", method],
  ["OPTIONS /announce HTTP/1.1\r\nHost: h\r\n\r\n", method],
  ["HEADS / HTTP/1.1\r\n\r\n", method],
  ["head / HTTP/1.1\r\n\r\n", method],
  ["DELETE / HTTP/1.1\r\n\r\n", method],
  ["TRACE / HTTP/1.1\r\n\r\n", method],
  ["OPTIONS * HTTP/1.1\r\n\r\n", method],
  ["CONNECT h:1 HTTP/1.1\r\n\r\n", method],
  ["GETX / HTTP/1.1\r\n\r\n", method],
  ["get / HTTP/1.1\r\n\r\n", method],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", version],
  ["GET / HTTP/2.0\r\n\r\n", version],
  ["HEAD / HTTP/3.0\r\n\r\n", version],
  ["GET / HTTP/1.1\r\n\r\n", malformed],
  ["GET / HTTP/1.2\r\n\r\n", malformed],
  ["HEAD http://h/ HTTP/1.1\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nX-Host: h\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n", malformed],
  ["GET / HTTP/1.0\r\nHost: h\r\nHost: i\r\n\r\n", malformed],
  ["HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na", malformed],
  ["GET / HTTP/0.9\r\n\r\n", version],
  ["GET /\r\n\r\n", malformed],
  ["GET / http/1.1\r\n\r\n", malformed],
  ["GET / HTTP/1.1 \r\n\r\n", malformed],
  ["GET / HTTP/1.10\r\n\r\n", malformed],
  ["GET  / HTTP/1.1\r\n\r\n", malformed],
  ["GET /a b HTTP/1.1\r\n\r\n", malformed],
  ["GET /a\tb HTTP/1.1\r\n\r\n", malformed],
  ["GET /a\0b HTTP/1.1\r\n\r\n", malformed],
  ["GET /a\x7fb HTTP/1.1\r\n\r\n", malformed],
  ["GET announce?a=b HTTP/1.1\r\n\r\n", malformed],
  ["GET * HTTP/1.1\r\n\r\n", malformed],
  ["GET http:/announce HTTP/1.1\r\n\r\n", malformed],
  ["GET ftp://h/announce HTTP/1.1\r\n\r\n", malformed],
  ["GET / HTTP/1.1\n\n", malformed],
  ["GET / HTTP/1.1\r\nHost: h\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nHost: h\r\n\n", malformed],
  ["GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", malformed],
  ["GET / HTTP/1.1\rHost: h\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nHost : h\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nHo st: h\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\n Host: h\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\n: h\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nHost\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nX\xe9: h\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\na", malformed],
  ["GET / HTTP/1.1\r\nContent-Length: \r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nContent-Length: 0, 0\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nContent-Length: -0\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nContent-Length: 0\r\ncontent-length: 7\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", malformed],
  ["GET / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", malformed],
  ["\nGET / HTTP/1.1\r\n\r\n", malformed],
  ["\r\rGET / HTTP/1.1\r\n\r\n", malformed],
  [`${"\r\n".repeat(5)}GET / HTTP/1.1\r\n\r\n`, malformed],
  ["\x16\x03\x01\x02\0", malformed],
  ["\0", malformed],
  ["x".repeat(40), malformed],
];

test("every other request is refused, whatever follows", () => {
  for (const [raw, error] of refused) {
    assert.equal(read(raw), error, raw);
    const bytes = bytesOf(raw);
    let earlier = 0;
    for (let length = 1; length <= raw.length; length++) {
      const now = readRequest(bytes, 0, length, request);
      assert.ok(earlier === 0 ? now <= 0 : now === earlier, `${length} bytes of ${raw}`);
      earlier = now;
    }
  }
});

test("pipelined requests are read one after the other", () => {
  const first = "GET /a?1 HTTP/1.1\r\nHost: h\r\n\r\n";
  const second = "\r\nGET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  const text = first + second;
  assert.equal(read(text), first.length);
  assert.equal(path(text), "/a");
  assert.equal(readRequest(bytesOf(text), first.length, text.length, request), second.length);
  assert.equal(path(text), "/b");
  assert.equal(request.keepAlive, false);
});

test("findHeader() visits lines of one name from the last to the first", () => {
  const text =
    "GET / HTTP/1.1\r\nx-forwarded-for: 1, 2\r\nX-Forwarded-Foo: no\r\nHost: x-forwarded-for: no\r\n" +
    "X-FORWARDED-FOR:\r\nX-Forwarded-For: \t 3 ,4 \t\r\nX: y\r\n\r\nx-forwarded-for: next\r\n\r\n";
  assert.ok(read(text) > 0);
  const value = new HeaderValue();
  const values: string[] = [];
  let before = request.headersEnd;
  while (findHeader(bytesOf(text), request, "x-forwarded-for", before, value)) {
    values.push(text.slice(value.start, value.end));
    before = value.line;
  }
  assert.deepEqual(values, ["3 ,4", "", "1, 2"]);
  assert.ok(!findHeader(bytesOf(text), request, "x-real-ip", request.headersEnd, value));
  assert.ok(findHeader(bytesOf(text), request, "x", request.headersEnd, value));
  assert.equal(text.slice(value.start, value.end), "y");
});

test("a request without headers has none", () => {
  const text = "GET / HTTP/1.0\r\n\r\n";
  assert.ok(read(text) > 0);
  assert.ok(!findHeader(bytesOf(text), request, "host", request.headersEnd, new HeaderValue()));
});

test("findHeadEnd() finds the end when its last byte arrives, and searches new bytes only", () => {
  for (const [head, rest] of [
    ["GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"],
    ["GET / HTTP/1.1\n\n", "x"],
    ["GET / HTTP/1.1\r\nHost: h\r\n\n", "x"],
    ["GET / HTTP/1.1\n\r\n", "x"],
  ] as const) {
    const bytes = bytesOf(head + rest);
    for (let end = 1; end <= bytes.length; end++) {
      const wanted = end < head.length ? -1 : head.length;
      assert.equal(findHeadEnd(bytes, 0, end), wanted);
      if (end <= head.length) assert.equal(findHeadEnd(bytes, Math.max(0, end - 3), end), wanted);
    }
  }
  assert.equal(findHeadEnd(bytesOf("\r\r\n\r"), 0, 4), -1);
});

test("each error has its status", () => {
  const wanted = { malformed: 400, method: 405, tooLarge: 431, version: 505 };
  for (const [name, status] of Object.entries(wanted)) {
    assert.equal(requestErrorStatus(RequestError[name as keyof typeof wanted]), status);
  }
});
