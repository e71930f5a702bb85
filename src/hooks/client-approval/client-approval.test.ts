import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { approveClients } from "../../../test/support/approval.ts";
import { announceRequest, announceResponse } from "../../../test/support/requests.ts";
import { RequestContext } from "../../middleware/hook.ts";
import { unapprovedClient } from "./errors.ts";

async function result(entries: Parameters<typeof approveClients>[0], peerId: string): Promise<unknown> {
  const hook = await approveClients(entries);
  const request = announceRequest("00000000000000000001", peerId);
  return hook.handleAnnounce!(request, announceResponse(), new RequestContext());
}

describe("client approval", () => {
  const table: [string, Parameters<typeof approveClients>[0], string, boolean][] = [
    ["nothing listed", {}, "-AZ3034-6wfG2wk6wWLc", true],
    ["empty lists", { whitelist: [], blacklist: [] }, "-AZ3034-6wfG2wk6wWLc", true],
    ["in the whitelist", { whitelist: ["TR4060", "AZ3034"] }, "-AZ3034-6wfG2wk6wWLc", true],
    ["not in the whitelist", { whitelist: ["TR4060"] }, "-AZ3034-6wfG2wk6wWLc", false],
    ["in the blacklist", { blacklist: ["TR4060", "AZ3034"] }, "-AZ3034-6wfG2wk6wWLc", false],
    ["not in the blacklist", { blacklist: ["TR4060"] }, "-AZ3034-6wfG2wk6wWLc", true],
    ["another version", { whitelist: ["AZ3034"] }, "-AZ3035-6wfG2wk6wWLc", false],
    ["another client, same version", { whitelist: ["AZ3034"] }, "-BZ3034-6wfG2wk6wWLc", false],
    ["both halves listed, not together", { whitelist: ["AZ3034", "TR4060"] }, "-AZ3060-6wfG2wk6wWLc", false],
    ["without a dash", { whitelist: ["T03A0-"] }, "T03A0----f089kjsdf6e", true],
    ["the id elsewhere", { whitelist: ["AZ3034"] }, "--AZ3034-6wfG2wk6wWL", false],
  ];
  for (const [name, options, peerId, passes] of table) {
    test(name, async () => {
      assert.equal(await result(options, peerId), passes ? undefined : unapprovedClient);
    });
  }

  test("a client gets the reason, and the advice not to retry", () => {
    assert.equal(unapprovedClient.message, "unapproved client");
    assert.equal(unapprovedClient.retryIn, "never");
  });

  test("scrapes are not looked at", async () => {
    assert.equal((await approveClients({ whitelist: ["AZ3034"] })).handleScrape, undefined);
  });
});
