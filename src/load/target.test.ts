import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveTarget } from "./target.ts";

for (const [url, expected] of [
  ["udp://127.0.0.1:6969", { protocol: "udp", host: "127.0.0.1", port: 6969, path: "" }],
  ["http://10.1.2.3/announce", { protocol: "http", host: "10.1.2.3", port: 80, path: "/announce" }],
  [
    "http://[::1]:6969/x/announce?key=1",
    { protocol: "http", host: "::1", port: 6969, path: "/x/announce?key=1" },
  ],
  ["ws://10.1.2.3/announce", { protocol: "ws", host: "10.1.2.3", port: 80, path: "/announce" }],
  ["udp://192.168.1.1:1/", { protocol: "udp", host: "192.168.1.1", port: 1, path: "/" }],
] as const) {
  test(`${url} may be asked`, async () => assert.deepEqual(await resolveTarget(url), expected));
}

for (const [url, message] of [
  ["udp://192.0.2.1:6969", /neither on this machine nor in a private network/],
  ["http://172.32.0.1/announce", /neither on this machine/],
  ["http://[2001:db8::1]/announce", /neither on this machine/],
  ["udp://127.0.0.1", /has no port/],
  ["https://127.0.0.1/announce", /not a URL with udp:, http: or ws:/],
  ["wss://127.0.0.1/announce", /not a URL with udp:, http: or ws:/],
  ["127.0.0.1:6969", /not a URL/],
] as const) {
  test(`${url} may not`, () => assert.rejects(resolveTarget(url), message));
}
