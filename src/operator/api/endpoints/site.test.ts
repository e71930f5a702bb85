import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startAdmin } from "../../../../test/support/admin-server.ts";
import { MapRecords } from "../../../../test/support/map-records.ts";
import { callRecords, type RecordCall } from "../../../private/site-records.ts";

const infoHash = "0123456789abcdef0123456789abcdef01234567";

async function started(t: TestContext) {
  const records = new MapRecords();
  const admin = await startAdmin(t, { callSite: (call: RecordCall) => callRecords(records, call) });
  return { ...admin, records };
}

test("a user is added, shown, changed and removed, and each change is logged", async (t) => {
  const { ask, lines, records } = await started(t);
  const added = await ask("POST", "/site/users", { name: "ann" });
  assert.equal(added.status, 201);
  const { record, passkey } = added.body;
  assert.match(passkey, /^[\da-f]{32}$/);
  assert.deepEqual(
    { ...record },
    {
      ...{ id: 1, uploaded: null, downloaded: null, raw_uploaded: null, raw_downloaded: null, name: "ann" },
      ...{
        enabled: true,
        can_leech: true,
        hidden: false,
        passkey: `${passkey.slice(0, 4)}...`,
        group_id: null,
      },
    },
  );
  for (const path of ["/site/users/1", "/site/users/name:ann"])
    assert.deepEqual((await ask("GET", path, undefined, "read")).body, record);
  assert.deepEqual((await ask("GET", "/site/users")).body, { records: [record], next: null });

  const changed = await ask("PATCH", "/site/users/1", { can_leech: false, group_id: 3 });
  assert.deepEqual(changed.body, { ...record, can_leech: false, group_id: 3 });
  const back = await ask("PATCH", "/site/users/1", { group_id: null });
  assert.deepEqual(back.body, { ...record, can_leech: false });
  assert.deepEqual((await ask("PUT", "/site/users/1", { name: "bea" })).body, { ...record, name: "bea" });
  assert.equal(
    (await records.get("users", "1"))!.passkey,
    passkey,
    "a whole record without passkey keeps it",
  );

  const reset = await ask("POST", "/site/users/1/passkey");
  assert.notEqual(reset.body.passkey, passkey);
  assert.equal((await records.get("users", "1"))!.passkey, reset.body.passkey);
  assert.equal((await ask("DELETE", "/site/users/1")).status, 204);
  for (const [method, path, body] of [
    ["GET", "/site/users/1"],
    ["DELETE", "/site/users/1"],
    ["PATCH", "/site/users/1", {}],
    ["PUT", "/site/users/1", { name: "x" }],
    ["POST", "/site/users/1/passkey"],
  ] as const)
    assert.equal((await ask(method, path, body)).status, 404, `${method} ${path}`);

  assert.deepEqual(
    lines.map(({ who, method, path }) => `${who} ${method} ${path}`),
    [
      "admin POST /api/v1/site/users",
      "admin PATCH /api/v1/site/users/1",
      "admin PATCH /api/v1/site/users/1",
      "admin PUT /api/v1/site/users/1",
      "admin POST /api/v1/site/users/1/passkey",
      "admin DELETE /api/v1/site/users/1",
    ],
  );
  assert.equal((lines[1]!.before as { group_id: unknown }).group_id, null);
  const log = JSON.stringify(lines);
  assert.ok(!log.includes(passkey) && !log.includes(reset.body.passkey), "the log has no passkey");
});

test("torrents are found by infohash; groups, grants and client rules have ends, slots and prefixes", async (t) => {
  const { ask, records } = await started(t);
  const torrent = await ask("POST", "/site/torrents", { info_hash: infoHash, down: 0, until: "24h" });
  assert.deepEqual(torrent.body.record.until, "2023-11-15T22:13:20Z");
  assert.equal((await records.get("torrents", "1"))!.until, 1_700_086_400);
  assert.equal((await ask("GET", `/site/torrents/${infoHash}`)).body.id, 1);
  assert.equal((await ask("PATCH", "/site/torrents/1", { until: null })).body.until, null);

  const group = await ask("POST", "/site/groups", { name: "power", up: 200, slots: 5 });
  assert.deepEqual(group.body, {
    record: { id: 2, name: "power", up: 200, down: null, until: null, slots: 5 },
    passkey: null,
  });
  const grant = { user_id: 7, torrent_id: 0, up: null, down: 0, until: "2033-01-01T00:00:00Z" };
  for (const until of ["2033-01-01T00:00:00Z", "2033-01-01T01:00:00+01:00"])
    assert.deepEqual((await ask("PUT", "/site/grants/7/0", { down: 0, until })).body, grant);
  assert.deepEqual((await ask("GET", "/site/grants")).body.records, [grant]);
  assert.equal((await ask("PUT", "/site/grants/0/0", { up: 200 })).body.up, 200, "global double upload");
  assert.equal((await ask("DELETE", "/site/grants/7/0")).status, 204);

  const rule = await ask("PUT", "/site/clients/-qB4%2F", { allow: true });
  assert.deepEqual(rule.body, { prefix: "-qB4/", allow: true });
  assert.deepEqual((await ask("GET", "/site/clients")).body.records, [rule.body]);
});

test("lists have pages", async (t) => {
  const { ask, records } = await started(t);
  for (let n = 1; n <= 5; n++) await records.add("users", { name: `${n}`, passkey: `${n}`.repeat(32) });
  const names: string[] = [];
  let cursor = "";
  do {
    const { body } = await ask("GET", `/site/users?limit=2&cursor=${cursor}`);
    names.push(...body.records.map(({ name }: { name: string }) => name));
    cursor = body.next ?? "";
  } while (cursor !== "");
  assert.deepEqual(names, ["1", "2", "3", "4", "5"]);
});

for (const [method, path, body, at] of [
  ["POST", "/site/users", {}, "/name"],
  ["POST", "/site/users", { name: "" }, "/name"],
  ["POST", "/site/users", { name: "a\u0000b" }, "/name"],
  ["POST", "/site/users", { name: "x".repeat(65) }, "/name"],
  ["POST", "/site/users", { name: "x", passkey: "short" }, "/passkey"],
  ["POST", "/site/users", { name: "x", group_id: "1; DROP TABLE users" }, "/group_id"],
  ["POST", "/site/users", { name: "x", uploaded: 5 }, "/uploaded"],
  ["POST", "/site/torrents", { info_hash: "00" }, "/info_hash"],
  ["POST", "/site/torrents", { info_hash: infoHash, up: 65_535 }, "/up"],
  ["POST", "/site/torrents", { info_hash: infoHash, until: "yesterday" }, "/until"],
  ["POST", "/site/torrents", { info_hash: infoHash, until: "2001-01-01T00:00:00Z" }, "/until"],
  ["PUT", "/site/grants/7/x", {}, "{torrent}"],
  ["PUT", "/site/grants/4294967296/0", {}, "{user}"],
  ["PUT", "/site/clients/-qB4", {}, "/allow"],
  ["PUT", "/site/clients/123456789012345678901", { allow: true }, "{prefix}"],
  ["GET", "/site/users/0", undefined, "{user}"],
  ["GET", "/site/torrents/xyz", undefined, "{torrent}"],
] as const) {
  test(`${method} ${path} ${JSON.stringify(body) ?? ""} is refused at ${at}`, async (t) => {
    const { ask } = await started(t);
    const reply = await ask(method, path, body);
    assert.deepEqual([reply.status, reply.body.errors?.[0]?.at], [400, at]);
  });
}

test("a conflict, a site that is away, a public tracker and a site with software say so", async (t) => {
  const { ask, records } = await started(t);
  await ask("POST", "/site/users", { name: "ann" });
  const twice = await ask("POST", "/site/users", { name: "ann" });
  assert.deepEqual([twice.status, twice.body.detail], [409, "another of the users has this name"]);
  records.get = () => Promise.reject(new Error("connection refused"));
  assert.equal((await ask("GET", "/site/users/1")).status, 503);
  const others = [undefined, () => Promise.resolve(undefined)] as const;
  for (const callSite of others) {
    const { ask } = await startAdmin(t, { callSite });
    assert.equal((await ask("GET", "/site/users")).status, 501);
  }
});

test("changes need the scope write, reads the scope read", async (t) => {
  const { ask } = await started(t);
  for (const [method, path] of [
    ["POST", "/site/users"],
    ["PUT", "/site/users/1"],
    ["PATCH", "/site/users/1"],
    ["DELETE", "/site/users/1"],
    ["POST", "/site/users/1/passkey"],
  ] as const) {
    const body = method === "DELETE" ? undefined : {};
    assert.equal((await ask(method, path, body, "read")).status, 403);
    assert.equal((await ask(method, path, body, "")).status, 401);
  }
});
