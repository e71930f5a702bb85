import assert from "node:assert/strict";
import { test } from "node:test";
import { Incomplete, readResponse, Wrong } from "./http-response.ts";

const body = (peers: string) => `d8:completei1e8:intervali1800e${peers}e`;
const two = body(`5:peers12:${"x".repeat(12)}`);
const response = (text: string, head = `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}`) =>
  `${head}\r\n\r\n${text}`;

for (const [name, text, open, ended] of [
  ["nothing", "", Incomplete, Wrong],
  ["half a head", "HTTP/1.1 200 OK\r\nContent-", Incomplete, Wrong],
  ["half a body", response(two).slice(0, -1), Incomplete, Wrong],
  ["two peers", response(two), 2, 2],
  ["no peers", response(body("5:peers0:")), 0, 0],
  ["IPv6 peers", response(body(`6:peers618:${"x".repeat(18)}`)), 1, 1],
  ["both", response(body(`5:peers6:${"x".repeat(6)}6:peers618:${"x".repeat(18)}`)), 2, 2],
  ["a header in another case", response(two, `HTTP/1.1 200 OK\r\ncontent-length:${two.length}`), 2, 2],
  ["HTTP/1.0 without a length", response(two, "HTTP/1.0 200 OK"), Incomplete, 2],
  ["a failure", response("d14:failure reason4:nopee"), Wrong, Wrong],
  ["another status", response(two, `HTTP/1.1 500 No\r\nContent-Length: ${two.length}`), Wrong, Wrong],
  ["no bencode", response("<html></html>"), Wrong, Wrong],
  ["a peer and a half", response(body(`5:peers9:${"x".repeat(9)}`)), Wrong, Wrong],
  ["fewer peers than it says", response(body(`5:peers60:${"x".repeat(6)}`)), Wrong, Wrong],
  ["more than it says", `${response(two)}x`, Wrong, Wrong],
] as const) {
  test(`a response with ${name}`, () => {
    const bytes = Buffer.from(`${text}rubbish of an earlier answer`, "latin1");
    assert.equal(readResponse(bytes, text.length, false), open);
    assert.equal(readResponse(bytes, text.length, true), ended);
  });
}
