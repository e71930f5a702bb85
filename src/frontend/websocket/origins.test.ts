import assert from "node:assert/strict";
import { test } from "node:test";
import { checkOrigin, Origins } from "./origins.ts";

test("an entry stands for origins as browsers write them, without the port of the scheme", () => {
  for (const [entry, origin, expected] of [
    ["https://example.com", "https://example.com", true],
    ["https://example.com:443", "https://example.com", true],
    ["http://example.com:80", "http://example.com", true],
    ["https://example.com", "https://example.com:443", true],
    ["https://example.com:80", "https://example.com", false],
    ["https://example.com:443", "http://example.com", false],
    ["https://example.com:8443", "https://example.com:8443", true],
    ["https://example.com:8443", "https://example.com", false],
    ["https://example.com", "https://example.com:8443", false],
    ["example.com:443", "https://example.com", true],
    ["example.com:443", "http://example.com", false],
    ["example.com:80", "http://example.com", true],
    ["example.com:8443", "https://example.com:8443", true],
    ["example.com", "app://example.com:1234", true],
    ["*.example.com:443", "https://a.example.com", true],
    ["https://*.example.com:443", "https://a.example.com", true],
    ["https://*.example.com:443", "https://a.example.com:444", false],
    ["https://[::1]:443", "https://[::1]", true],
    ["[::1]", "http://[::1]:8080", true],
    ["app://localhost", "app://localhost", true],
    ["null", "null", true],
  ] as const) {
    assert.equal(checkOrigin(entry), undefined, entry);
    assert.equal(new Origins([entry]).has(origin), expected, `${entry} and ${origin}`);
  }
});

test("an entry that no page can have is refused with what to write", () => {
  for (const [entry, remedy] of [
    ["https://Example.com", /in lower case/],
    ["https://example.com/", /is no origin; write "https:\/\/example\.com"/],
    ["*", /is no origin/],
    ["*.[::1]", /is no origin/],
    ["*.192.0.2.1", /is no origin/],
    ["wss://example.com", /write "https:\/\/example\.com"/],
    ["ws://*.example.com:8080", /write "http:\/\/\*\.example\.com:8080"/],
    ["https://example.com:0", /from 1 to 65535/],
    ["https://example.com:0443", /from 1 to 65535/],
    ["example.com:65536", /from 1 to 65535/],
    ["http://127.1", /write the host as "127\.0\.0\.1"/],
    ["[0:0::1]:8080", /write the host as "\[::1\]"/],
    ["https://example.256", /browsers refuse the host "example\.256"/],
  ] as const)
    assert.match(checkOrigin(entry) ?? "", remedy, entry);
});
