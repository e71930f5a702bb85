import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryDirectory, toYaml } from "../../test/support/daemon.ts";
import { MapStore } from "../../test/support/map-store.ts";
import { announceRequest, announceResponse } from "../../test/support/requests.ts";
import { loadConfig } from "../config/load.ts";
import { Address } from "../ip/address.ts";
import { createRandom } from "../lib/clock.ts";
import { RequestContext } from "../middleware/hook.ts";
import { silentLogger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { describeLists } from "./access-lists.ts";
import { composeSettings } from "./compose.ts";
import { LocalHub } from "./share-hub.ts";

const [a, b, c] = ["a", "b", "c"].map((digit) => digit.repeat(40)) as [string, string, string];

/** Starts the hooks of a configuration, and describes their lists. */
async function started(t: TestContext, ...preHooks: { name: string; options: object }[]) {
  const file = join(temporaryDirectory(t), "chihaya.yaml");
  writeFileSync(file, toYaml({ prehooks: preHooks, admin: {} }));
  const loaded = loadConfig({ file, env: {} });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const clock = { seconds: 1, unixSeconds: 1 };
  const random = createRandom(1);
  const hub = new LocalHub({ clock, random });
  const store = new MapStore({ clock, random, peerLifetime: 1800 });
  const own = { clock, random, metrics: new Metrics(), logger: silentLogger, hub, owner: 1, store };
  const { preHooks: hooks } = await composeSettings(loaded.config, own);
  for (const hook of hooks) await hook.start?.();
  t.after(() => Promise.all(hooks.map(async (hook) => hook.stop?.())));
  const lists = await describeLists(loaded.config, hub);
  const announce = async ({
    infoHash = a,
    address = "192.0.2.1",
    peerId = "-TR3000-xxxxxxxxxxxx",
  }: {
    infoHash?: string;
    address?: string;
    peerId?: string;
  }) => {
    const request = announceRequest(infoHash, peerId);
    request.address.copyFrom(Address.parse(address));
    for (const hook of hooks) {
      const refusal = await hook.handleAnnounce?.(request, announceResponse(), new RequestContext());
      if (refusal) return refusal.message;
    }
    return "passes";
  };
  return { lists, list: (name: string) => lists.find((one) => one.name === name)!, announce };
}

function listFile(t: TestContext, ...lines: string[]): string {
  const path = join(temporaryDirectory(t), "list.txt");
  writeFileSync(path, ["# a list", ...lines, ""].join("\n"));
  return path;
}

for (const source of ["configuration", "file"] as const) {
  test(`a whitelist of torrents from a ${source}: what it has, and edits`, async (t) => {
    const options =
      source === "file"
        ? { whitelist_from: [listFile(t, a, b)], max_entries: 100 }
        : { whitelist: [a, b.toUpperCase()] };
    const { lists, list, announce } = await started(t, { name: "torrent approval", options });
    assert.deepEqual(
      lists.map(({ name }) => name),
      ["torrent-approval-whitelist"],
    );
    const whitelist = list("torrent-approval-whitelist");
    assert.deepEqual([whitelist.size, whitelist.isLoaded, whitelist.entries], [2, true, "torrents"]);
    assert.deepEqual([...(await whitelist.snapshot())].sort(), [a, b]);
    assert.deepEqual([a, b, c].map(whitelist.has), [true, true, false]);
    assert.equal(await announce({ infoHash: c }), "unapproved torrent");
    await whitelist.write(
      new Map([
        [c, true],
        [a, false],
      ]),
    );
    assert.equal(await announce({ infoHash: c }), "passes");
    assert.equal(await announce({ infoHash: a }), "unapproved torrent");
    assert.equal(await announce({ infoHash: b }), "passes");
    await whitelist.write(new Map());
    assert.equal(await announce({ infoHash: a }), "passes");
    assert.equal(await announce({ infoHash: c }), "unapproved torrent");
  });

  test(`networks from a ${source}: what they have, and edits`, async (t) => {
    const networks = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24", "192.0.3.0/24", "2001:db8::/32"];
    const options =
      source === "file"
        ? { blacklist_from: [listFile(t, ...networks)], max_entries: 100 }
        : { blacklist: networks };
    const { lists, list, announce } = await started(t, { name: "ip approval", options });
    assert.deepEqual(
      lists.map(({ name }) => name),
      ["ip-approval-whitelist", "ip-approval-blacklist"],
    );
    const blacklist = list("ip-approval-blacklist");
    const whitelist = list("ip-approval-whitelist");
    assert.deepEqual([...(await blacklist.snapshot())].sort(), [...networks].sort());
    assert.deepEqual([...(await whitelist.snapshot())], []);
    for (const network of networks) {
      assert.equal(blacklist.has(network), true, network);
      assert.equal(whitelist.has(network), false, network);
    }
    for (const network of ["10.0.0.0/16", "192.0.2.0/23", "192.0.2.1/32"])
      assert.equal(blacklist.has(network), false, network);

    const pass = (address: string) => announce({ address });
    assert.equal(await pass("192.0.2.1"), "unapproved address");
    await blacklist.write(
      new Map([
        ["192.0.2.0/24", false],
        ["198.51.100.0/24", true],
        ["10.1.2.0/24", true],
      ]),
    );
    await whitelist.write(new Map([["10.1.0.0/16", true]]));
    for (const [address, expected] of [
      ["192.0.2.1", "passes"],
      ["192.0.3.1", "unapproved address"],
      ["198.51.100.1", "unapproved address"],
      ["10.1.1.1", "passes"],
      ["10.1.2.1", "unapproved address"],
      ["10.2.0.1", "unapproved address"],
      ["2001:db8::1", "unapproved address"],
    ] as const)
      assert.equal(await pass(address), expected, address);
    await blacklist.write(new Map());
    await whitelist.write(new Map());
    assert.equal(await pass("192.0.2.1"), "unapproved address");
    assert.equal(await pass("198.51.100.1"), "passes");
  });
}

test("clients; a second hook of the same name has lists of its own", async (t) => {
  const { lists, list, announce } = await started(
    t,
    { name: "client approval", options: { blacklist: ["TR3000"] } },
    { name: "client approval", options: {} },
  );
  assert.deepEqual(
    lists.map(({ name }) => name),
    ["client-approval-blacklist", "client-approval-2-blacklist"],
  );
  assert.equal(await announce({}), "unapproved client");
  await list("client-approval-blacklist").write(new Map([["TR3000", false]]));
  assert.equal(await announce({}), "passes");
  await list("client-approval-2-blacklist").write(new Map([["TR3000", true]]));
  assert.equal(await announce({}), "unapproved client");
  assert.deepEqual([...(await list("client-approval-blacklist").snapshot())], ["TR3000"]);
  const { parse } = list("client-approval-blacklist");
  for (const text of ["TR300", "TR30000", "TR 000", "TR\u0000000", "TR\u00e9000", ""])
    assert.ok("problem" in parse(text), text);
});

test("one spelling of each entry", async (t) => {
  const { list } = await started(
    t,
    { name: "torrent approval", options: {} },
    { name: "ip approval", options: {} },
  );
  const torrents = list("torrent-approval-blacklist");
  assert.deepEqual(torrents.parse(a.toUpperCase()), { entry: a });
  for (const text of ["", "x", "a".repeat(39), `${a} x`, "../../etc/passwd"])
    assert.ok("problem" in torrents.parse(text), text);
  assert.equal(torrents.readLine(`  ${a.toUpperCase()}  a comment`), a);
  assert.equal(torrents.readLine("neither"), undefined);
  const networks = list("ip-approval-blacklist");
  assert.deepEqual(networks.parse("::ffff:192.0.2.7"), { entry: "192.0.2.7/32" });
  assert.ok("problem" in networks.parse("192.0.2.7/24"));
  assert.equal(networks.readLine("192.0.2.7,a comment"), "192.0.2.7/32");
});
