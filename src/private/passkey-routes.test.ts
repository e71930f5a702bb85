import assert from "node:assert/strict";
import { test } from "node:test";
import { withPasskeyRoutes } from "./passkey-routes.ts";

test("a frontend gets the routes of both kinds of sites", () => {
  assert.deepEqual(withPasskeyRoutes({ announceRoutes: ["/announce"], scrapeRoutes: ["/scrape"] }), {
    announceRoutes: ["/announce", "/:passkey/announce", "/announce/:passkey"],
    scrapeRoutes: ["/scrape", "/:passkey/scrape", "/scrape/:passkey"],
  });
  assert.deepEqual(withPasskeyRoutes({ announceRoutes: [] }), {
    announceRoutes: ["/:passkey/announce", "/announce/:passkey"],
  });
});

test("routes with the same paths stay those of the configuration", () => {
  assert.deepEqual(withPasskeyRoutes({ announceRoutes: ["/:key/announce", "/announce/:passkey"] }), {
    announceRoutes: ["/:key/announce", "/announce/:passkey"],
  });
});
