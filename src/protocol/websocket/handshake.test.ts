import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpRequest, readRequest } from "../http/request-reader.ts";
import { acceptKey, Handshake, readHandshake, readKey } from "./handshake.ts";

const key = "dGhlIHNhbXBsZSBub25jZQ==";
const whole = [
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  `Sec-WebSocket-Key: ${key}`,
];

function read(
  headers: readonly string[],
  line = "GET / HTTP/1.1",
): { result: Handshake; key: string | undefined } {
  const bytes = Buffer.from(`${line}\r\nHost: h\r\n${headers.map((header) => `${header}\r\n`).join("")}\r\n`);
  const request = new HttpRequest();
  assert.ok(readRequest(bytes, 0, bytes.length, request) > 0);
  return { result: readHandshake(bytes, request), key: readKey(bytes, request) };
}

test("accepts the example of RFC 6455", () => {
  assert.deepEqual(read(whole), { result: Handshake.accepted, key });
  assert.equal(acceptKey(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

test("accepts lists, any case, several lines, and further headers", () => {
  const [upgrade, connection, ...rest] = whole as [string, string, ...string[]];
  const others = ["Origin: https://example.com", "Sec-WebSocket-Extensions: permessage-deflate"];
  for (const headers of [
    [upgrade, "Connection: keep-alive, Upgrade", ...rest],
    ["UPGRADE:  WebSocket ", "connection:\tupgrade", ...rest],
    [upgrade, "Connection: keep-alive", "Connection: upgrade", ...rest],
    ["Upgrade: h2c, websocket", connection, ...rest],
    [...others, ...whole],
  ])
    assert.equal(read(headers).result, Handshake.accepted, headers.join("; "));
});

test("tells a request that a proxy has cut down from other requests", () => {
  const without = (name: string) => whole.filter((header) => !header.startsWith(name));
  assert.equal(read([]).result, Handshake.absent);
  assert.equal(read(["Upgrade: echo", "Connection: Upgrade"]).result, Handshake.absent);
  assert.equal(read(["Connection: Upgrade"]).result, Handshake.absent);
  assert.equal(read(whole, "HEAD / HTTP/1.1").result, Handshake.absent);
  for (const headers of [
    without("Upgrade"),
    without("Connection"),
    without("Sec-WebSocket-Version"),
    [...without("Connection"), "Connection: close"],
    [...without("Connection"), "Connection: upgraded"],
    [...without("Sec-WebSocket-Version"), "Sec-WebSocket-Version: 8"],
  ])
    assert.equal(read(headers).result, Handshake.incomplete, headers.join("; "));
  assert.equal(read(whole, "GET / HTTP/1.0").result, Handshake.incomplete);
  assert.equal(read(without("Sec-WebSocket-Key")).result, Handshake.malformed);
  for (const bad of ["", "c2hvcnQ=", `${key}=`, "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25j\tQ=="])
    assert.equal(
      read([...without("Sec-WebSocket-Key"), `Sec-WebSocket-Key: ${bad}`]).result,
      Handshake.malformed,
      bad,
    );
});
