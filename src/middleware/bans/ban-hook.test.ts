import assert from "node:assert/strict";
import { test } from "node:test";
import { createAdminState } from "../../../test/support/admin-state.ts";
import { announceRequest, announceResponse } from "../../../test/support/requests.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { Address } from "../../ip/address.ts";
import type { BanList } from "../../operator/state/ban-list.ts";
import { RequestContext } from "../hook.ts";
import { createBanHook } from "./ban-hook.ts";
import { bannedAddress, bannedTorrent } from "./errors.ts";

const ban = { until: undefined, reason: "", since: 0, by: "" };
const torrent = "0123456789abcdef0123456789abcdef01234567";
const other = "f".repeat(40);

async function hooked() {
  const { state, memory } = await createAdminState();
  const hook = createBanHook(memory);
  const change = async (list: BanList, ...targets: string[]) => {
    for (const target of [...list.values()].map((entry) => entry.target)) list.delete(target);
    for (const target of targets) list.set(target, ban);
    await list.apply();
  };
  const announce = (address: string, infoHash = other, otherAddress?: string) => {
    const request = announceRequest(infoHash, "-TR3000-xxxxxxxxxxxx");
    request.address.copyFrom(Address.parse(address));
    if (otherAddress !== undefined) {
      request.hasOtherAddress = true;
      request.otherAddress.copyFrom(Address.parse(otherAddress));
    }
    const result = hook.handleAnnounce!(request, announceResponse(), new RequestContext());
    return { result, request };
  };
  const scrape = (address: string, ...infoHashes: string[]) => {
    const request = new ScrapeRequest(8);
    request.address.copyFrom(Address.parse(address));
    for (const infoHash of infoHashes) request.add(Buffer.from(infoHash, "hex"), 0);
    const result = hook.handleScrape!(request, new ScrapeResponse(8), new RequestContext());
    return { result, hidden: infoHashes.map((_, i) => request.isHidden(i)) };
  };
  return { ...state, networks: state.networks, torrents: state.torrents, change, announce, scrape, hook };
}

test("a ban of networks refuses announces and scrapes, from the swap on and until the next", async () => {
  const { networks, change, announce, scrape } = await hooked();
  assert.equal(announce("192.0.2.1").result, undefined, "before the first ban");
  await change(networks, "192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32");
  for (const address of ["192.0.2.1", "::ffff:192.0.2.255", "2001:db8:1::1", "198.51.100.7"]) {
    assert.equal(announce(address).result, bannedAddress, address);
    assert.equal(scrape(address, other).result, bannedAddress, address);
  }
  for (const address of ["192.0.3.1", "2001:db9::1", "198.51.100.8", "198.51.100.6"])
    assert.equal(announce(address).result, undefined, address);
  await change(networks);
  assert.equal(announce("192.0.2.1").result, undefined);
  await change(networks, "0.0.0.0/0");
  assert.equal(announce("1.2.3.4").result, bannedAddress);
  assert.equal(announce("2001:db8::1").result, undefined, "the other family is not concerned");
});

test("a banned second address is left out, and the peer stays", async () => {
  const { networks, change, announce } = await hooked();
  await change(networks, "2001:db8::/32");
  const { result, request } = announce("192.0.2.1", other, "2001:db8::1");
  assert.deepEqual([result, request.hasOtherAddress], [undefined, false]);
});

test("a banned torrent is refused; a scrape hides it beside others", async () => {
  const { torrents, change, announce, scrape, hook } = await hooked();
  const zero = "0".repeat(40);
  await change(torrents, torrent, zero);
  assert.equal(announce("192.0.2.1", torrent).result, bannedTorrent);
  assert.equal(announce("192.0.2.1", zero).result, bannedTorrent);
  assert.equal(announce("192.0.2.1", other).result, undefined);
  assert.deepEqual(scrape("192.0.2.1", torrent, other, torrent), {
    result: undefined,
    hidden: [true, false, true],
  });
  assert.equal(scrape("192.0.2.1", torrent, zero).result, bannedTorrent);
  assert.equal(scrape("192.0.2.1").result, undefined);

  // An announce that a later hook held back for longer than the ban took.
  let steps = 0;
  const step = hook.aroundAnnounce!(() => void steps++);
  assert.throws(() => step(announceRequest(torrent, "x".repeat(20)), announceResponse(), 3), bannedTorrent);
  step(announceRequest(other, "x".repeat(20)), announceResponse(), 3);
  assert.equal(steps, 1);
});
