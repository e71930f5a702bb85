/** Real transfers between WebTorrent clients that meet through the tracker: pages of a real browser, and programs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createTracker } from "../../src/tracker/create-tracker.ts";
import { skipReason } from "../support/chromium.ts";
import { listEngines } from "../support/networks.ts";
import { openPages } from "./web/pages.ts";

const length = 1 << 20;

for (const { name, skip } of await listEngines()) {
  test(`page to page, ${name} network`, { skip: skipReason || skip, timeout: 60_000 }, async (t) => {
    const tracker = createTracker({
      http: { listen: [{ host: "127.0.0.1", port: 0 }] },
      udp: false,
      network: name,
    });
    await tracker.start();
    t.after(() => tracker.stop());
    const url = tracker.urls().find((each) => each.startsWith("ws:"))!;
    const open = await openPages(t);
    const [seeder, leecher] = [await open(), await open()];
    const { magnet } = await seeder.seed([url], length);
    assert.deepEqual(await leecher.download(magnet), { length, isRight: true, types: ["webrtc"] });
    assert.deepEqual([await seeder.failures(), await leecher.failures()], [[], []]);
  });
}
