import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { approvalOptions } from "../../../test/support/approval.ts";
import { announceRequest, announceResponse } from "../../../test/support/requests.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { Address } from "../../ip/address.ts";
import { createRandom } from "../../lib/clock.ts";
import type { HookDeps } from "../../middleware/define-hook.ts";
import { type Hook, RequestContext } from "../../middleware/hook.ts";
import type { SharedState } from "../../middleware/shared-state.ts";
import { silentLogger } from "../../observability/logger.ts";
import { Metrics } from "../../observability/metrics.ts";
import { unapprovedAddress } from "./errors.ts";
import { createIpApproval } from "./ip-approval.ts";

const clock = { seconds: 1, unixSeconds: 1 };

function deps(buffers = new Map<string, SharedArrayBuffer>()): HookDeps {
  const shared = {
    isFirst: true,
    buffer: async (name: string, bytes: number) => {
      const buffer = buffers.get(name) ?? new SharedArrayBuffer(bytes);
      buffers.set(name, buffer);
      return buffer;
    },
    publish() {},
  } as unknown as SharedState;
  const store = { remove() {} };
  const lifetime = { peerLifetime: 60, gcInterval: 60 };
  return {
    ...{ clock, random: createRandom(1), logger: silentLogger, metrics: new Metrics() },
    ...{ shared, store, lifetime },
  };
}

function passes(hook: Hook, text: string): boolean {
  const request = announceRequest("00".repeat(20), "00".repeat(20));
  request.address.copyFrom(Address.parse(text));
  const result = hook.handleAnnounce!(request, announceResponse(), new RequestContext());
  const scrape = new ScrapeRequest(1);
  scrape.address.copyFrom(request.address);
  assert.equal(hook.handleScrape!(scrape, new ScrapeResponse(1), new RequestContext()), result);
  assert.ok(result === undefined || result === unapprovedAddress);
  return result === undefined;
}

test("a second address that would not pass is left out", async () => {
  const hook = await createIpApproval(
    approvalOptions({ blacklist: ["2001:db8::/32", "192.0.2.0/24"] }),
    deps(),
  );
  for (const [other, expected] of [
    ["2001:db8::1", false],
    ["2001:db9::1", true],
  ] as const) {
    const request = announceRequest("00".repeat(20), "00".repeat(20));
    request.address.copyFrom(Address.parse("198.51.100.1"));
    request.otherAddress.copyFrom(Address.parse(other));
    request.hasOtherAddress = true;
    assert.equal(hook.handleAnnounce!(request, announceResponse(), new RequestContext()), undefined);
    assert.equal(request.hasOtherAddress, expected, other);
  }
});

const rows: [name: string, Parameters<typeof approvalOptions>[0], passing: string[], refused: string[]][] = [
  ["no list", {}, ["192.0.2.1", "2001:db8::1"], []],
  [
    "a blacklist",
    { blacklist: ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"] },
    ["192.0.3.0", "2001:db9::", "198.51.100.6", "198.51.100.8"],
    ["192.0.2.0", "192.0.2.255", "2001:db8:ffff::1", "198.51.100.7", "::ffff:192.0.2.3"],
  ],
  [
    "a whitelist",
    { whitelist: ["10.0.0.0/8", "fd00::/8"] },
    ["10.255.255.255", "fd12::1"],
    ["11.0.0.0", "9.255.255.255", "fc00::1", "::1"],
  ],
  [
    "both: the longest prefix decides",
    { whitelist: ["192.0.2.128/25", "0.0.0.0/0"], blacklist: ["192.0.2.0/24", "192.0.2.200"] },
    ["192.0.2.129", "192.0.2.199", "8.8.8.8"],
    ["192.0.2.127", "192.0.2.200", "2001:db8::1"],
  ],
  [
    "the same network in both is refused",
    { blacklist: ["192.0.2.0/24"], whitelist: ["192.0.2.0/24", "10.0.0.0/8"] },
    ["10.0.0.1"],
    ["192.0.2.1"],
  ],
];

describe("ip approval", () => {
  for (const [name, options, passing, refused] of rows) {
    test(name, async () => {
      const hook = await createIpApproval(approvalOptions(options), deps());
      for (const address of passing) assert.ok(passes(hook, address), address);
      for (const address of refused) assert.ok(!passes(hook, address), address);
    });
  }

  test("networks from files, followed as they change", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "chihaya-ip-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const [white, black] = [join(folder, "white"), join(folder, "black")];
    const write = (path: string, text: string) => {
      writeFileSync(`${path}.new`, text);
      renameSync(`${path}.new`, path);
    };
    write(white, "# those of the house\n192.0.2.7 ; the printer\n2001:db8::/48\n198.51.100.0/24\n");
    write(black, '["192.0.2.0/24", "2001:db8::/32", "198.51.100.0/24"]');
    const lists = {
      ...{ whitelistFrom: [white], blacklistFrom: [black], checkInterval: 0.01, fetchInterval: 1 },
      ...{ maxEntries: 10, onFailure: "refuse" as const },
    };
    const hook = await createIpApproval(
      approvalOptions({ whitelist: ["10.0.0.0/8"], blacklist: ["10.1.0.0/16"], ...lists }),
      deps(),
    );
    await hook.start!();
    t.after(() => hook.stop!());
    const all = (...addresses: string[]) => addresses.map((address) => passes(hook, address));
    assert.deepEqual(all("192.0.2.7", "2001:db8::1", "10.2.0.0"), [true, true, true]);
    assert.deepEqual(all("192.0.2.8", "2001:db8:1::", "10.1.0.0", "203.0.113.1", "198.51.100.1"), [
      ...[false, false, false, false, false],
    ]);
    write(black, "192.0.2.7,\n");
    while (passes(hook, "192.0.2.7")) await wait(1);
    assert.ok(passes(hook, "198.51.100.1"));
    assert.ok(!passes(hook, "192.0.2.8"));
  });

  test("a reload between a whitelist and a blacklist does not change how the old hook judges", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "chihaya-ip-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "networks");
    writeFileSync(file, "192.0.2.0/24\n");
    const lists = { checkInterval: 1000, fetchInterval: 1, maxEntries: 10, onFailure: "refuse" as const };
    const buffers = new Map<string, SharedArrayBuffer>();
    const start = async (from: { whitelistFrom: string[]; blacklistFrom: string[] }) => {
      const hook = await createIpApproval(approvalOptions({ ...lists, ...from }), deps(buffers));
      await hook.start!();
      t.after(() => hook.stop!());
      return hook;
    };
    const old = await start({ whitelistFrom: [file], blacklistFrom: [] });
    const next = await start({ whitelistFrom: [], blacklistFrom: [file] });
    assert.deepEqual([passes(old, "192.0.2.1"), passes(old, "203.0.113.1")], [true, false]);
    assert.deepEqual([passes(next, "192.0.2.1"), passes(next, "203.0.113.1")], [false, true]);
  });
});
