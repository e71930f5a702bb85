import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { announce, scrape } from "chihaya/testing";
import { startTracker } from "./main.ts";

const infoHash = new Uint8Array(20).fill(1);
const peer = { infoHash, peerId: new Uint8Array(20).fill(2), port: 6881, left: 1n };

describe("an embedded tracker", () => {
  const announces = new Map<string, number>();
  let tracker: Awaited<ReturnType<typeof startTracker>>;

  before(async () => {
    tracker = await startTracker(0, new Map([["7d1f40c2", "alice"]]), announces);
  });
  after(() => tracker.stop());

  for (const scheme of ["http", "udp"]) {
    const url = (passkey: string) =>
      `${tracker.urls().find((base) => base.startsWith(scheme))}/announce?passkey=${passkey}`;

    it(`lets a member announce over ${scheme}, and counts it`, async () => {
      const before = announces.get("alice") ?? 0;
      const response = await announce(url("7d1f40c2"), peer);
      assert.equal(response.incomplete, 1);
      assert.equal(announces.get("alice"), before + 1);
    });

    it(`refuses strangers over ${scheme}, and does not count them`, async () => {
      const before = new Map(announces);
      await assert.rejects(announce(url("guess"), peer), /unknown passkey/);
      assert.deepEqual(announces, before);
    });
  }

  it("refuses the scrape of a stranger", async () => {
    const http = tracker.urls().find((base) => base.startsWith("http"));
    await assert.rejects(scrape(`${http}/announce?passkey=guess`, [infoHash]), /unknown passkey/);
    const [counts] = await scrape(`${http}/announce?passkey=7d1f40c2`, [infoHash]);
    assert.equal(counts?.incomplete, 1);
  });
});
