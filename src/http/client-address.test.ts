import assert from "node:assert/strict";
import { test } from "node:test";
import { Address } from "../ip/address.ts";
import { Networks } from "../ip/networks.ts";
import { HttpRequest, readRequest } from "../protocol/http/request-reader.ts";
import { resolveClient } from "./client-address.ts";

const trusted = Networks.parse(["10.0.0.0/8", "::1", "fd00::/8"]);

/** What the client's address is said to be, or "refused". */
function resolve(peer: string, headers: string, header = "x-forwarded-for"): string {
  const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: x\r\n${headers}\r\n`, "latin1");
  const request = new HttpRequest();
  assert.equal(readRequest(bytes, 0, bytes.length, request), bytes.length);
  const out = new Address();
  return resolveClient(bytes, request, header, trusted, Address.parse(peer), out) ? `${out}` : "refused";
}

const one = (value: string) => `X-Forwarded-For:${value}\r\n`;

const rows: [what: string, peer: string, headers: string, client: string][] = [
  ["no header", "10.0.0.1", "", "10.0.0.1"],
  ["an empty header", "10.0.0.1", one(""), "10.0.0.1"],
  ["only commas", "10.0.0.1", one(" , ,"), "10.0.0.1"],
  ["a header of one who is not trusted", "192.0.2.9", one("203.0.113.1"), "192.0.2.9"],
  ["nonsense of one who is not trusted", "192.0.2.9", one("nonsense"), "192.0.2.9"],
  ["one address", "10.0.0.1", one("203.0.113.1"), "203.0.113.1"],
  ["blanks around it", "10.0.0.1", one(" \t203.0.113.1 \t "), "203.0.113.1"],
  ["the right one of a list", "10.0.0.1", one("203.0.113.1, 203.0.113.2"), "203.0.113.2"],
  [
    "the one before trusted hops",
    "10.0.0.1",
    one("203.0.113.1, 203.0.113.2, 10.9.9.9,10.1.1.1"),
    "203.0.113.2",
  ],
  ["the first of trusted hops only", "10.0.0.1", one("10.0.0.3, 10.0.0.2"), "10.0.0.3"],
  ["empty entries between", "10.0.0.1", one("203.0.113.1,, ,10.0.0.2,"), "203.0.113.1"],
  [
    "a list over several lines",
    "10.0.0.1",
    one("203.0.113.1") + one("203.0.113.2, 10.0.0.3") + one("10.0.0.2"),
    "203.0.113.2",
  ],
  ["several lines of trusted hops", "10.0.0.1", one("203.0.113.1") + one("10.0.0.2"), "203.0.113.1"],
  [
    "other headers between",
    "10.0.0.1",
    `${one("203.0.113.1")}Accept: */*\r\nX-Forwarded-For-2: 1.1.1.1\r\n`,
    "203.0.113.1",
  ],
  ["any case of the name", "10.0.0.1", "x-FORWARDED-for: 203.0.113.1\r\n", "203.0.113.1"],
  ["a port", "10.0.0.1", one("203.0.113.1:51413"), "203.0.113.1"],
  ["IPv6", "::1", one("2001:db8::1"), "2001:db8::1"],
  ["IPv6 in brackets", "::1", one("[2001:db8::1]"), "2001:db8::1"],
  ["IPv6 with a port", "::1", one("[2001:db8::1]:443"), "2001:db8::1"],
  ["IPv6 with a zone", "::1", one("fe80::1%eth0"), "fe80::1"],
  ["IPv6 with a zone in brackets", "::1", one("[fe80::1%eth0]:443"), "fe80::1"],
  ["IPv6 with its port unbracketed is an address", "::1", one("2001:db8::1:443"), "2001:db8::1:443"],
  ["a mapped address", "::1", one("::ffff:203.0.113.1"), "203.0.113.1"],
  ["a mapped trusted hop", "::1", one("203.0.113.1, ::ffff:10.0.0.2"), "203.0.113.1"],
  ["an IPv4 client of an IPv6 proxy", "fd00::7", one("203.0.113.1"), "203.0.113.1"],
  ["nonsense left of the client", "10.0.0.1", one("unknown, 203.0.113.1"), "203.0.113.1"],
  ["nonsense on the right", "10.0.0.1", one("203.0.113.1, unknown"), "refused"],
  ["nonsense left of trusted hops", "10.0.0.1", one("unknown, 10.0.0.2"), "refused"],
  ["a host name", "10.0.0.1", one("localhost"), "refused"],
  ["quotes", "10.0.0.1", one('"203.0.113.1"'), "refused"],
  ["an empty port", "10.0.0.1", one("203.0.113.1:"), "refused"],
  ["letters for a port", "10.0.0.1", one("203.0.113.1:http"), "refused"],
  ["six digits of port", "10.0.0.1", one("203.0.113.1:123456"), "refused"],
  ["an open bracket", "10.0.0.1", one("[2001:db8::1"), "refused"],
  ["rubbish after a bracket", "10.0.0.1", one("[2001:db8::1]x"), "refused"],
  ["two addresses without a comma", "10.0.0.1", one("203.0.113.1 203.0.113.2"), "refused"],
];

test("a client is who the rightmost untrusted entry of a trusted proxy's header says", () => {
  for (const [what, peer, headers, client] of rows) assert.equal(resolve(peer, headers), client, what);
});

test("another header than the configured one, or none, names nobody", () => {
  assert.equal(resolve("10.0.0.1", one("203.0.113.1"), "x-real-ip"), "10.0.0.1");
  assert.equal(resolve("10.0.0.1", one("203.0.113.1"), ""), "10.0.0.1");
});
