import assert from "node:assert/strict";
import { test } from "node:test";
import { refuseForeign } from "./guard.ts";

const rows: [what: string, bound: string | undefined, headers: Record<string, string>, status: number][] = [
  ["the bound address", "127.0.0.1", { host: "127.0.0.1:6880" }, 200],
  ["another loopback address", "127.0.0.1", { host: "[::1]:6880" }, 200],
  ["localhost", "127.0.0.1", { host: "LocalHost:6880" }, 200],
  ["a configured name", "10.0.0.5", { host: "Tracker.internal" }, 200],
  ["the bound address without a port", "10.0.0.5", { host: "10.0.0.5" }, 200],
  ["any address of a listener on all", "0.0.0.0", { host: "203.0.113.9:6880" }, 200],
  ["any address of a listener on all of IPv6", "::", { host: "[2001:db8::1]:6880" }, 200],
  ["any name over a unix socket", undefined, { host: "anything" }, 200],
  ["another address", "127.0.0.1", { host: "10.0.0.5" }, 421],
  ["another name", "127.0.0.1", { host: "evil.example:6880" }, 421],
  ["a name of a listener on all", "0.0.0.0", { host: "evil.example" }, 421],
  ["a name that begins like an address", "127.0.0.1", { host: "127.0.0.1.evil.example" }, 421],
  ["a name that ends like a known one", "127.0.0.1", { host: "evil.localhost" }, 421],
  ["an address in another form", "127.0.0.1", { host: "127.1" }, 421],
  ["a user before the name", "127.0.0.1", { host: "localhost@evil.example" }, 421],
  ["no address in brackets", "127.0.0.1", { host: "[evil.example]" }, 421],
  ["an empty Host", "127.0.0.1", { host: "" }, 421],
  ["no Host", "127.0.0.1", {}, 421],
  ["an impossible port", "127.0.0.1", { host: "127.0.0.1:70000", referer: "http://x" }, 421],
  ["digits that are no address, on a socket", undefined, { host: "1.2.3.4.5", origin: "http://x" }, 421],
  ["two Hosts", "127.0.0.1", { host: "localhost, evil.example" }, 421],
  ["a page of this listener", "127.0.0.1", { host: "localhost", "sec-fetch-site": "same-origin" }, 200],
  ["no page", "127.0.0.1", { host: "localhost", "sec-fetch-site": "none" }, 200],
  ["a page of another site", "127.0.0.1", { host: "localhost", "sec-fetch-site": "cross-site" }, 403],
  ["a page of another port", "127.0.0.1", { host: "localhost", "sec-fetch-site": "same-site" }, 403],
  ["two sites", "127.0.0.1", { host: "localhost", "sec-fetch-site": "none, cross-site" }, 403],
  ["its own origin", "127.0.0.1", { host: "localhost:6880", origin: "http://localhost:6880" }, 200],
  [
    "its own origin behind TLS",
    "0.0.0.0",
    { host: "tracker.internal", origin: "https://tracker.internal" },
    200,
  ],
  ["another origin", "127.0.0.1", { host: "localhost:6880", origin: "http://localhost:8080" }, 403],
  ["an opaque origin", "127.0.0.1", { host: "localhost", origin: "null" }, 403],
  ["a link of another site", "127.0.0.1", { host: "localhost", referer: "http://evil.example/" }, 403],
];

for (const [what, bound, headers, status] of rows) {
  test(`${what}: ${status}`, () => {
    const ask = (target: string, method = "GET") =>
      refuseForeign(
        { method, target, headers: new Map(Object.entries(headers)) },
        { bound, hosts: ["tracker.internal"] },
      )?.status ?? 200;
    assert.equal(ask("/api/v1/stats"), status);
    assert.equal(ask("/api/v1/reload", "POST"), status);
    assert.equal(ask("/api/v1/stats", "OPTIONS"), status === 200 ? 403 : status);
    if (bound !== undefined)
      assert.equal(ask("http://evil.example/api/v1/stats"), 421, "whatever the target names");
  });
}
