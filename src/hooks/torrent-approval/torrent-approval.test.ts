import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { approveTorrents } from "../../../test/support/approval.ts";
import { announceRequest, announceResponse } from "../../../test/support/requests.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { RequestContext } from "../../middleware/hook.ts";
import { unapprovedTorrent } from "./errors.ts";

const listed = "0123456789abcdef0123456789ABCDEF01234567";
const near = "0123456789abcdef0123456789abcdef01234566";
const far = "3532cf2d327fad8448c075b4cb42c8136964a435";

const table: [string, Parameters<typeof approveTorrents>[0], string, boolean][] = [
  ["nothing listed", {}, listed, true],
  ["empty lists", { whitelist: [], blacklist: [] }, listed, true],
  ["in the whitelist", { whitelist: [far, listed] }, listed, true],
  ["not in the whitelist", { whitelist: [listed] }, near, false],
  ["in the blacklist", { blacklist: [far, listed] }, listed, false],
  ["not in the blacklist", { blacklist: [listed] }, near, true],
];

describe("torrent approval", () => {
  for (const [name, options, infoHash, passes] of table) {
    test(`announce: ${name}`, async () => {
      const hook = await approveTorrents(options);
      const request = announceRequest(infoHash, "-AZ3034-6wfG2wk6wWLc");
      const result = hook.handleAnnounce!(request, announceResponse(), new RequestContext());
      assert.equal(result, passes ? undefined : unapprovedTorrent);
    });

    test(`scrape: ${name}`, async () => {
      const request = new ScrapeRequest(8);
      for (let n = 0; n < 3; n++) request.add(Buffer.from(infoHash, "hex"), 0);
      const hook = await approveTorrents(options);
      assert.equal(hook.handleScrape!(request, new ScrapeResponse(8), new RequestContext()), undefined);
      for (let n = 0; n < 3; n++) assert.equal(request.isHidden(n), !passes);
    });
  }

  test("a scrape hides only what is not approved", async () => {
    const request = new ScrapeRequest(8);
    for (const infoHash of [far, listed, near, listed]) request.add(Buffer.from(infoHash, "hex"), 0);
    const hook = await approveTorrents({ blacklist: [listed] });
    hook.handleScrape!(request, new ScrapeResponse(8), new RequestContext());
    assert.deepEqual(
      [0, 1, 2, 3].map((n) => request.isHidden(n)),
      [false, true, false, true],
    );
  });

  test("a client gets the reason, and the advice not to retry", () => {
    assert.equal(unapprovedTorrent.message, "unapproved torrent");
    assert.equal(unapprovedTorrent.retryIn, "never");
  });
});
