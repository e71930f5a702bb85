import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startAdmin } from "../../../../test/support/admin-server.ts";
import { createAdminState } from "../../../../test/support/admin-state.ts";
import { temporaryDirectory } from "../../../../test/support/daemon.ts";
import { MapStore } from "../../../../test/support/map-store.ts";
import { Address } from "../../../ip/address.ts";
import { createRandom } from "../../../lib/clock.ts";
import { BanReader } from "../../../middleware/bans/ban-memory.ts";
import { SwarmReader } from "../../swarms/swarm-reader.ts";

const torrent = "0123456789abcdef0123456789abcdef01234567";

async function started(t: TestContext, path = "") {
  const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
  const { state, memory } = await createAdminState({ clock, path });
  await state.start();
  t.after(() => state.stop());
  const reader = new BanReader(memory);
  const removed: string[] = [];
  let failure: Error | undefined;
  const errors: Error[] = [];
  const admin = await startAdmin(t, {
    clock,
    state,
    swarms: Object.assign(
      new SwarmReader(new MapStore({ clock, random: createRandom(1), peerLifetime: 1800 })),
      {
        async remove(infoHash: Uint8Array) {
          if (failure) throw failure;
          const words = new Int32Array(infoHash.slice().buffer);
          const isRefused = reader.hasTorrent(words) ? "refused by then" : "still announced";
          removed.push(`${Buffer.from(infoHash).toString("hex")} ${isRefused}`);
        },
      },
    ),
    onError: (error) => void errors.push(error),
  });
  return {
    ...admin,
    state,
    clock,
    removed,
    errors,
    isBanned: (address: string) => reader.hasAddress(Address.parse(address)),
    fail: (error: Error) => {
      failure = error;
    },
  };
}

test("a ban is made, shown, changed and lifted", async (t) => {
  const { ask, isBanned, lines } = await started(t);
  const made = await ask("PUT", "/bans/192.0.2.0%2F24", {
    until: "2033-01-01T00:00:00+01:00",
    reason: "floods",
  });
  const ban = {
    network: "192.0.2.0/24",
    until: "2032-12-31T23:00:00Z",
    reason: "floods",
    since: "2023-11-14T22:13:20Z",
    by: "admin",
  };
  assert.deepEqual([made.status, made.body], [200, { ban, persisted: false }]);
  assert.equal(isBanned("192.0.2.1"), true, "when the response is there");
  assert.deepEqual((await ask("GET", "/bans", undefined, "")).body, { total: 1, bans: [ban], next: null });
  assert.deepEqual((await ask("GET", "/bans/192.0.2.0%2f24", undefined, "read")).body, ban);

  const changed = await ask("PUT", "/bans/192.0.2.0%2F24", { until: "24h" });
  const next = { ...ban, until: "2023-11-15T22:13:20Z", reason: "" };
  assert.deepEqual(changed.body, { ban: next, persisted: false });
  const lifted = await ask("DELETE", "/bans/192.0.2.0%2F24");
  assert.deepEqual([lifted.status, lifted.body], [200, { persisted: false }]);
  assert.equal(isBanned("192.0.2.1"), false);
  assert.equal((await ask("DELETE", "/bans/192.0.2.0%2F24")).status, 404);
  assert.equal((await ask("GET", "/bans/192.0.2.0%2F24")).status, 404);

  const path = "/api/v1/bans/192.0.2.0%2F24";
  assert.deepEqual(lines, [
    { who: "admin", from: "127.0.0.1", method: "PUT", path, ban, before: undefined, persisted: false },
    { who: "admin", from: "127.0.0.1", method: "PUT", path, ban: next, before: ban, persisted: false },
    { who: "admin", from: "127.0.0.1", method: "DELETE", path, lifted: next, persisted: false },
  ]);
});

test("a network has one spelling; a change needs the scope", async (t) => {
  const { ask, state } = await started(t, join(temporaryDirectory(t), "state"));
  for (const [path, network] of [
    ["198.51.100.7", "198.51.100.7/32"],
    ["198.51.100.7%2F32", "198.51.100.7/32"],
    ["::ffff:198.51.100.7", "198.51.100.7/32"],
    ["::ffff:198.51.100.0%2F120", "198.51.100.0/24"],
    ["2001:DB8:0::%2F32", "2001:db8::/32"],
    ["2001:db8::1", "2001:db8::1/128"],
    ["0.0.0.0%2F0", "0.0.0.0/0"],
  ]) {
    const { status, body } = await ask("PUT", `/bans/${path}`, {});
    assert.deepEqual([status, body.ban?.network, body.persisted], [200, network, true], path);
  }
  assert.equal(state.networks.size, 5);
  assert.equal((await ask("PUT", "/bans/198.51.100.8")).status, 200, "without a body");
  for (const [token, status] of [
    ["", 401],
    ["read", 403],
  ] as const) {
    assert.equal((await ask("PUT", "/bans/198.51.100.9", {}, token)).status, status);
    assert.equal((await ask("DELETE", "/bans/198.51.100.8", undefined, token)).status, status);
    assert.equal((await ask("PUT", `/torrents/${torrent}/ban`, {}, token)).status, status);
    assert.equal((await ask("DELETE", `/torrents/${torrent}/ban`, undefined, token)).status, status);
  }
  assert.equal(state.networks.size, 6);
});

test("the bans of an address, the longest prefix first; pages", async (t) => {
  const { ask } = await started(t);
  const networks = ["192.0.2.7/32", "192.0.2.0/24", "192.0.0.0/16", "2001:db8::/32"];
  for (const network of networks) await ask("PUT", `/bans/${encodeURIComponent(network)}`, {});
  const list = async (query: string) => {
    const { body } = await ask("GET", `/bans?${query}`);
    return [body.bans.map(({ network }: { network: string }) => network), body.next];
  };
  assert.deepEqual(await list("address=192.0.2.7"), [networks.slice(0, 3), null]);
  assert.deepEqual(await list("address=::ffff:192.0.2.8"), [networks.slice(1, 3), null]);
  assert.deepEqual(await list("address=2001:db8::1"), [networks.slice(3), null]);
  assert.deepEqual(await list("address=203.0.113.1"), [[], null]);
  assert.deepEqual(await list("limit=3"), [networks.slice(0, 3), 3]);
  await ask("DELETE", `/bans/${encodeURIComponent(networks[2]!)}`);
  assert.deepEqual(await list("limit=3&cursor=3"), [networks.slice(3), null]);
  for (const query of ["address=x", "limit=0", "limit=1001", "cursor=-1", "kind=client", "x=1"])
    assert.equal((await ask("GET", `/bans?${query}`)).status, 400, query);
});

test("whole addresses are for those who may see addresses of peers", async (t) => {
  const { ask } = await started(t);
  for (const network of ["192.0.2.7", "192.0.2.128%2F25", "10.0.0.0%2F8", "2001:db8:1:2::1"])
    await ask("PUT", `/bans/${network}`, {}, "write");
  const seen = async (token: "" | "read" | "write" | "peers:read", query = "") =>
    (await ask("GET", `/bans${query}`, undefined, token)).body.bans.map(
      ({ network }: { network: string }) => network,
    );
  const masked = ["192.0.2.0/24", "192.0.2.0/24", "10.0.0.0/8", "2001:db8:1::/48"];
  for (const token of ["", "read", "write"] as const) assert.deepEqual(await seen(token), masked);
  assert.deepEqual(await seen("", "?address=192.0.2.7"), ["192.0.2.0/24"]);
  assert.deepEqual(await seen("peers:read"), [
    "192.0.2.7/32",
    "192.0.2.128/25",
    "10.0.0.0/8",
    "2001:db8:1:2::1/128",
  ]);
});

test("a torrent is removed once all workers refuse it", async (t) => {
  const { ask, removed, errors, fail } = await started(t);
  const { status, body } = await ask("PUT", `/torrents/${torrent.toUpperCase()}/ban`, { reason: "notice" });
  assert.deepEqual([status, body.ban.info_hash, body.removed], [200, torrent, true]);
  assert.deepEqual(removed, [`${torrent} refused by then`]);
  assert.equal((await ask("GET", `/torrents/${torrent}/ban`)).body.reason, "notice");
  assert.deepEqual((await ask("GET", "/bans?kind=torrent")).body.total, 1);
  assert.deepEqual((await ask("GET", "/bans")).body.total, 0);
  assert.equal((await ask("DELETE", `/torrents/${torrent}/ban`)).status, 200);
  assert.equal((await ask("DELETE", `/torrents/${torrent}/ban`)).status, 404);

  fail(new Error("Redis is away"));
  const late = await ask("PUT", `/torrents/${torrent}/ban`, {});
  assert.deepEqual([late.status, late.body.removed], [200, false], "the ban is in effect");
  assert.match(errors[0]!.message, /Redis is away/);
});

test("hostile input is refused with its place", async (t) => {
  const { ask, state } = await started(t);
  const long = "x".repeat(501);
  for (const [path, body, at, detail] of [
    ["/bans/192.0.2.1%2F24", {}, "{network}", /bits beyond its prefix; write 192\.0\.2\.0\/24/],
    ["/bans/192.0.2.0%2F33", {}, "{network}", /must be 0 to 32/],
    ["/bans/%3Cimg%20src=x%3E", {}, "{network}", /not a network/],
    ["/bans/..%2F..%2Fetc%2Fpasswd", {}, "{network}", /not a network/],
    ["/bans/fe80::1%25eth0", {}, "{network}", /no zone/],
    ["/bans/192.0.2.1%00", {}, "{network}", /not a network/],
    [`/bans/${"1".repeat(3000)}`, {}, "{network}", /not a network/],
    ["/bans/192.0.2.1", { reason: long }, "/reason", /at most 500 characters, got 501/],
    ["/bans/192.0.2.1", { reason: "a\nb" }, "/reason", /without control characters/],
    ["/bans/192.0.2.1", { reason: "\u001b[2J" }, "/reason", /without control characters/],
    ["/bans/192.0.2.1", { reason: "\u202etxt" }, "/reason", /without control characters/],
    ["/bans/192.0.2.1", '{"reason":"\\ud800"}', "/reason", /without control characters/],
    ["/bans/192.0.2.1", { reason: 1 }, "/reason", /expected text/],
    ["/bans/192.0.2.1", { until: "soon" }, "/until", /expected a time/],
    ["/bans/192.0.2.1", { until: "2020-01-01T00:00:00Z" }, "/until", /a time to come/],
    ["/bans/192.0.2.1", { until: "0" }, "/until", /a time to come/],
    ["/bans/192.0.2.1", { until: "99999999999h" }, "/until", /expected a time/],
    ["/bans/192.0.2.1", { until: "2033-13-01T00:00:00Z" }, "/until", /expected a time/],
    ["/bans/192.0.2.1", { reasons: "x" }, "/reasons", /unknown key/],
    ["/bans/192.0.2.1", [], "", /expected a block of keys/],
    [`/torrents/${torrent.slice(1)}/ban`, {}, "{info_hash}", /expected an infohash/],
  ] as const) {
    const reply = await ask("PUT", path, body);
    assert.deepEqual(
      [reply.status, reply.body.errors?.[0]?.at],
      [400, at],
      `${path} ${JSON.stringify(body)}: ${reply.text}`,
    );
    assert.match(reply.body.errors[0].detail, detail);
  }
  assert.deepEqual([state.networks.size, state.torrents.size], [0, 0]);

  const html = "<script>alert(1)</script>";
  const { headers, body } = await ask("PUT", "/bans/192.0.2.1", { reason: html });
  assert.equal(body.ban.reason, html, "text of operators stays text");
  assert.deepEqual(
    [headers["content-type"], headers["x-content-type-options"]],
    ["application/json", "nosniff"],
  );
});

test("many bans at once: all or none", async (t) => {
  const { ask, state, isBanned, lines } = await started(t);
  const bans = Array.from({ length: 600 }, (_, n) => ({ network: `10.0.${n >> 8}.${n & 255}`, until: "1h" }));
  const done = await ask("POST", "/bans", { bans });
  assert.deepEqual([done.status, done.body], [200, { banned: 600, persisted: false }]);
  assert.deepEqual([isBanned("10.0.2.87"), isBanned("10.0.2.88")], [true, false]);
  assert.equal(lines.length, 1);
  for (const [body, at] of [
    [{ bans: [{ network: "10.1.0.1" }, { network: "10.1.0.1/8" }] }, "/bans/1/network"],
    [{ bans: [{ network: "10.1.0.1", until: "soon" }] }, "/bans/0/until"],
    [{ bans: [{ network: "10.1.0.1", reason: "\n" }] }, "/bans/0/reason"],
    [{ bans: [{ reason: "x" }] }, "/bans/0/network"],
    [{ bans: [] }, "/bans"],
    [{ bans: Array.from({ length: 10_001 }, () => ({ network: "10.1.0.1" })) }, "/bans"],
    [{}, "/bans"],
  ] as const) {
    const reply = await ask("POST", "/bans", body);
    assert.deepEqual([reply.status, reply.body.errors?.[0]?.at], [400, at], reply.text.slice(0, 200));
  }
  assert.equal((await ask("POST", "/bans", { bans }, "read")).status, 403);
  assert.equal(state.networks.size, 600);
});

test("more bans than there is room for are refused", async (t) => {
  const { ask, state } = await started(t);
  t.mock.getter(state.networks, "isFull", () => true);
  assert.equal((await ask("PUT", "/bans/192.0.2.1", {})).status, 409);
});
