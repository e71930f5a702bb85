import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { scrapeUrl } from "./scrape-url.ts";

describe("scrapeUrl", () => {
  const derived: [announce: string, scrape: string][] = [
    // the table of BEP 48
    ["http://example.com/announce", "http://example.com/scrape"],
    ["http://example.com/x/announce", "http://example.com/x/scrape"],
    ["http://example.com/announce.php", "http://example.com/scrape.php"],
    ["http://example.com/announce?x2%0644", "http://example.com/scrape?x2%0644"],
    ["http://example.com/announce/announce", "http://example.com/announce/scrape"],
    ["https://example.com:1/passkey/announce?a=announce", "https://example.com:1/passkey/scrape?a=announce"],
    ["http://example.com/scrape", "http://example.com/scrape"],
  ];
  for (const [announce, scrape] of derived) {
    it(announce, () => assert.equal(scrapeUrl(new URL(announce)).href, scrape));
  }
  for (const announce of ["http://example.com/a", "http://example.com/", "http://example.com/announce/key"]) {
    it(`${announce} cannot be scraped`, () =>
      assert.throws(() => scrapeUrl(new URL(announce)), { kind: "unsupported" }));
  }
});
