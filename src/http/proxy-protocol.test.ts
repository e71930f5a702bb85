import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyHeader, readProxyHeader } from "./proxy-protocol.ts";

const signature = "0d0a0d0a000d0a515549540a";
/** 192.0.2.1:51413 to 198.51.100.1:443. */
const addresses4 = "c0000201c6336401c8d501bb";
const addresses6 = `20010db8${"00".repeat(11)}01${"20010db8"}${"00".repeat(11)}02c8d501bb`;
const mapped6 = `${"00".repeat(10)}ffffc0000201${"00".repeat(10)}ffffc6336401c8d501bb`;

const version1 = (text: string) => Buffer.from(text, "latin1");
const version2 = (hex: string) => Buffer.from(signature + hex, "hex");

const good: [what: string, header: Buffer, client: string | undefined][] = [
  ["v1, IPv4", version1("PROXY TCP4 192.0.2.1 198.51.100.1 51413 443\r\n"), "192.0.2.1"],
  ["v1, IPv6", version1("PROXY TCP6 2001:db8::1 2001:db8::2 51413 443\r\n"), "2001:db8::1"],
  ["v1, mapped", version1("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 1 2\r\n"), "192.0.2.1"],
  ["v1, unknown", version1("PROXY UNKNOWN\r\n"), undefined],
  ["v1, unknown with more", version1("PROXY UNKNOWN ffff:f...f:ffff nonsense 0 0\r\n"), undefined],
  ["v1, the longest", version1(`PROXY UNKNOWN ${"f".repeat(107 - 16)}\r\n`), undefined],
  ["v2, IPv4", version2(`2111000c${addresses4}`), "192.0.2.1"],
  ["v2, IPv6", version2(`21210024${addresses6}`), "2001:db8::1"],
  ["v2, mapped", version2(`21210024${mapped6}`), "192.0.2.1"],
  ["v2, with TLVs", version2(`21110011${addresses4}0300020102`), "192.0.2.1"],
  ["v2, local", version2("20000000"), undefined],
  ["v2, local with addresses", version2(`2011000c${addresses4}`), undefined],
  ["v2, unspecified family", version2("21000000"), undefined],
  ["v2, UDP", version2(`2112000c${addresses4}`), undefined],
  ["v2, Unix sockets", version2(`213100d8${"00".repeat(216)}`), undefined],
];

const bad: [what: string, header: Buffer][] = [
  ["no header", version1("GET /announce HTTP/1.1\r\n")],
  ["another case", version1("proxy TCP4 192.0.2.1 198.51.100.1 51413 443\r\n")],
  ["another protocol", version1("PROXY UDP4 192.0.2.1 198.51.100.1 51413 443\r\n")],
  ["a family that is not the address's", version1("PROXY TCP4 2001:db8::1 2001:db8::2 51413 443\r\n")],
  ["the other way round", version1("PROXY TCP6 192.0.2.1 198.51.100.1 51413 443\r\n")],
  ["no addresses", version1("PROXY TCP4\r\n")],
  ["no ports", version1("PROXY TCP4 192.0.2.1 198.51.100.1\r\n")],
  ["one port", version1("PROXY TCP4 192.0.2.1 198.51.100.1 51413\r\n")],
  ["a port too large", version1("PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n")],
  ["letters for a port", version1("PROXY TCP4 192.0.2.1 198.51.100.1 http 443\r\n")],
  ["one field more", version1("PROXY TCP4 192.0.2.1 198.51.100.1 51413 443 1\r\n")],
  ["two spaces", version1("PROXY TCP4  192.0.2.1 198.51.100.1 51413 443\r\n")],
  ["a malformed address", version1("PROXY TCP4 192.0.2 198.51.100.1 51413 443\r\n")],
  ["a malformed destination", version1("PROXY TCP4 192.0.2.1 x 51413 443\r\n")],
  ["a carriage return alone", version1("PROXY UNKNOWN\rx")],
  ["no end in sight", version1(`PROXY UNKNOWN ${"x".repeat(100)}`)],
  ["v2, version 1", version2("1111000c")],
  ["v2, another command", version2("2211000c")],
  ["v2, too short for IPv4", version2("2111000b")],
  ["v2, too short for IPv6", version2("21210023")],
];

test("a header names the client, whatever follows it", () => {
  for (const [what, header, client] of good) {
    const out = new ProxyHeader();
    const bytes = Buffer.concat([Buffer.from("xx"), header, Buffer.from("GET / HTTP/1.1\r\n\r\n")]);
    assert.equal(readProxyHeader(bytes, 2, bytes.length, out), header.length, what);
    assert.equal(out.isNamed ? `${out.client}` : undefined, client, what);
  }
});

test("a header that has not arrived whole is waited for, byte by byte", () => {
  for (const [what, header] of good) {
    const out = new ProxyHeader();
    for (let length = 0; length < header.length; length++) {
      assert.equal(readProxyHeader(header, 0, length, out), 0, `${what}: ${length} bytes`);
    }
    assert.equal(out.isNamed, false, what);
  }
});

test("anything else is refused, at the latest when it is whole, and names nobody", () => {
  for (const [what, header] of bad) {
    const out = new ProxyHeader();
    assert.equal(readProxyHeader(header, 0, header.length, out), -1, what);
    assert.equal(out.isNamed, false, what);
    for (let length = 0; length < header.length; length++) {
      assert.ok(readProxyHeader(header, 0, length, out) <= 0, `${what}: ${length} bytes`);
    }
  }
});
