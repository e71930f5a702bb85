/** What operators keep in the site `sql`, on each database: records by the admin API, and the rules that the directory gets. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { RecordError, type SiteRow } from "../../src/private/site-records.ts";
import { openDatabase } from "../../src/private/sites/sql/open-database.ts";
import { createTables } from "../../src/private/sites/sql/schema.ts";
import { SqlSite } from "../../src/private/sites/sql/sql-site.ts";
import { createTestDatabase, type DatabaseKind, databaseKinds } from "../support/private-database.ts";

/** Texts that change a statement if they become a part of it. */
const hostile = [
  "'; DROP TABLE users; --",
  '" OR 1=1 --',
  "\\'; DELETE FROM users; #",
  "?",
  "$1",
  "%",
  "`users`",
  "a' UNION SELECT passkey FROM users -- ",
  "/*",
  "😀ß",
];

async function open(t: TestContext, kind: DatabaseKind) {
  const { address } = await createTestDatabase(t, kind);
  const opened = await openDatabase(address, "");
  await createTables(opened);
  await opened.database.close();
  const site = new SqlSite(await openDatabase(address, ""));
  t.after(() => site.close());
  let count = 0;
  const addUser = (name: string, more: SiteRow = {}) =>
    site.records.add("users", { name, passkey: `${++count}`.padStart(32, "p"), ...more });
  return { site, records: site.records, addUser };
}

const isRefused = (message: RegExp) => (error: unknown) =>
  error instanceof RecordError && message.test(error.message);

for (const [kind, skip] of databaseKinds) {
  test(`${kind}: records are added, found, changed, listed and removed`, { skip }, async (t) => {
    const { records, addUser } = await open(t, kind);
    const ann = await addUser("ann");
    assert.deepEqual(ann, {
      ...{
        id: 1,
        name: "ann",
        passkey: "1".padStart(32, "p"),
        enabled: true,
        can_leech: true,
        hidden: false,
      },
      ...{ group_id: null, uploaded: 0n, downloaded: 0n, raw_uploaded: 0n, raw_downloaded: 0n },
    });
    await addUser("bea", { hidden: true });
    assert.deepEqual(await records.get("users", "1"), ann);
    assert.deepEqual(await records.get("users", "name:ann"), ann);
    for (const key of ["3", "name:", "ann", "name:Ann", "1:1", "4294967296"])
      assert.equal(await records.get("users", key), undefined, key);
    const changed = await records.change("users", "name:ann", { can_leech: false, group_id: 9 });
    assert.deepEqual(changed, { ...ann, can_leech: false, group_id: 9 });
    assert.deepEqual(await records.change("users", "1", {}), changed);
    assert.equal(await records.change("users", "3", { enabled: false }), undefined);
    assert.deepEqual(
      (await records.list("users", "", 1)).map(({ id }) => id),
      [1],
    );
    assert.deepEqual(
      (await records.list("users", "1", 10)).map(({ id }) => id),
      [2],
    );

    const [v1, v2] = ["ab".repeat(20), "cd".repeat(32)];
    const torrent = await records.add("torrents", { info_hash: v1, info_hash_v2: v2, down: 0, until: 4e9 });
    assert.deepEqual([torrent.info_hash, torrent.up, torrent.down, torrent.until], [v1, 100, 0, 4e9]);
    for (const key of [v1, v2, v1.toUpperCase(), "1"])
      assert.deepEqual(await records.get("torrents", key), torrent, key);

    await records.add("groups", { name: "power", up: 200, slots: 5 });
    await records.change("users", "1", { group_id: 1 });
    await records.add("grants", { user_id: 1, torrent_id: 0, down: 0 });
    await records.add("grants", { user_id: 1, torrent_id: 1, up: 300, until: 5 });
    await records.add("grants", { user_id: 0, torrent_id: 1, down: 50 });
    const keys = (rows: SiteRow[]) => rows.map(({ user_id, torrent_id }) => `${user_id}:${torrent_id}`);
    assert.deepEqual(keys(await records.list("grants", "", 10)), ["0:1", "1:0", "1:1"]);
    assert.deepEqual(keys(await records.list("grants", "0:1", 1)), ["1:0"]);
    assert.deepEqual(keys(await records.list("grants", "1:0", 5)), ["1:1"]);
    assert.deepEqual(await records.get("grants", "1:1"), {
      ...{ user_id: 1, torrent_id: 1, up: 300, down: null, until: 5 },
    });
    await records.add("clients", { prefix: "-qB\xff'", allow: true });
    assert.deepEqual(await records.list("clients", "", 5), [{ prefix: "-qB\xff'", allow: true }]);
    assert.deepEqual(await records.change("clients", "-qB\xff'", { allow: false }), {
      ...{ prefix: "-qB\xff'", allow: false },
    });

    assert.equal(await records.remove("groups", "name:power"), true);
    assert.equal((await records.get("users", "1"))!.group_id, null, "nobody is in a group that is gone");
    assert.equal(await records.remove("users", "1"), true);
    assert.equal(await records.remove("users", "1"), false);
    assert.deepEqual(keys(await records.list("grants", "", 10)), ["0:1"], "grants go with their user");
    assert.equal(await records.remove("torrents", v2), true);
    assert.deepEqual(await records.list("grants", "", 10), [], "and with their torrent");
  });

  test(`${kind}: a record that cannot be is refused, and changes nothing`, { skip }, async (t) => {
    const { records, addUser } = await open(t, kind);
    const ann = await addUser("ann");
    await addUser("bea");
    await assert.rejects(addUser("ann"), isRefused(/another of the users has this name/));
    await assert.rejects(records.change("users", "2", { name: "ann" }), isRefused(/this name/));
    await assert.rejects(
      records.change("users", "2", { passkey: ann.passkey! }),
      isRefused(/another of the users has this passkey/),
    );
    await assert.rejects(addUser("cat", { passkey: "short" }), isRefused(/the database refuses the record/));
    await assert.rejects(records.add("torrents", { name: "x" }), isRefused(/needs an infohash/));
    await assert.rejects(records.add("torrents", { info_hash: "ab" }), isRefused(/refuses the record/));
    await records.add("grants", { user_id: 0, torrent_id: 0, down: 0 });
    await assert.rejects(records.add("grants", { user_id: 0, torrent_id: 0, down: 0 }), isRefused(/refuses/));
    await assert.rejects(records.add("grants", { user_id: 7, torrent_id: 0, up: -1 }), isRefused(/refuses/));
    assert.equal((await records.list("users", "", 10)).length, 2);
  });

  test(`${kind}: SQL in a text is a text`, { skip }, async (t) => {
    const { records, addUser } = await open(t, kind);
    for (const [n, text] of hostile.entries()) {
      const user = await addUser(text);
      assert.equal(user.name, text);
      assert.equal((await records.get("users", `name:${text}`))?.id, user.id, text);
      const torrent = await records.add("torrents", { info_hash: `${n}`.padStart(40, "0"), name: text });
      assert.equal(torrent.name, text);
      const group = await records.add("groups", { name: text });
      assert.equal((await records.get("groups", `name:${text}`))?.id, group.id);
      const prefix = Buffer.from(text).toString("latin1").slice(0, 20);
      assert.equal((await records.add("clients", { prefix, allow: false })).prefix, prefix);
      assert.equal((await records.get("clients", prefix))?.prefix, prefix);
      for (const kind of ["users", "torrents", "groups", "grants"] as const) {
        assert.equal(await records.get(kind, text), undefined);
        assert.equal(await records.remove(kind, text), false);
        assert.equal((await records.list(kind, text, 5)).length, 0);
      }
    }
    assert.equal((await records.list("users", "", 100)).length, hostile.length);
    assert.equal((await records.list("clients", "", 100)).length, hostile.length);
  });

  test(`${kind}: the directory gets grants, groups and rules, and each change of them`, {
    skip,
  }, async (t) => {
    const { site, records, addUser } = await open(t, kind);
    const changes = async () => {
      const change = await site.changes();
      await site.changes(); // forgets what the directory has
      return change;
    };
    await addUser("ann", { group_id: 1 });
    await records.add("torrents", { info_hash: "ab".repeat(20), until: 77 });
    await records.add("groups", { name: "g", up: 200, slots: 2, until: 88 });
    await records.add("grants", { user_id: 1, torrent_id: 1, down: 0, until: 99 });
    await records.add("clients", { prefix: "-qB", allow: true });
    const listed = async <Item>(items: AsyncIterable<Item>): Promise<Item[]> => {
      const list: Item[] = [];
      for await (const item of items) list.push(item);
      return list;
    };
    assert.deepEqual(await site.size(), { users: 1, torrents: 1, groups: 1, grants: 1, clients: 1 });
    assert.equal((await listed(site.users()))[0]!.group, 1);
    assert.equal((await listed(site.torrents()))[0]!.until, 77);
    const grant = { user: 1, torrent: 1, up: undefined, down: 0, until: 99 };
    assert.deepEqual(await listed(site.grants!()), [grant]);
    const group = { id: 1, up: 200, down: undefined, until: 88, slots: 2 };
    const rules = { groups: [group], clients: [{ prefix: Buffer.from("-qB"), isAllowed: true }] };
    const bytes = ({ groups, clients }: Awaited<ReturnType<typeof site.rules>>) => ({
      groups,
      clients: clients.map((rule) => ({ ...rule, prefix: Buffer.from(rule.prefix) })),
    });
    assert.deepEqual(bytes(await site.rules()), rules);
    assert.equal(await changes(), undefined, "all of it is in what was read");

    await records.change("users", "1", { group_id: 2 });
    assert.equal((await changes())!.users[0]!.group, 2);
    await records.change("torrents", "1", { until: null });
    assert.equal((await changes())!.torrents[0]!.until, undefined);
    await records.change("grants", "1:1", { up: 150 });
    await records.add("grants", { user_id: 0, torrent_id: 0, down: 0 });
    const both = (await changes())!.grants!;
    assert.deepEqual(
      [...both].sort((a, b) => a.user - b.user),
      [
        { user: 0, torrent: 0, up: undefined, down: 0, until: undefined },
        { ...grant, up: 150 },
      ],
    );
    await records.remove("grants", "1:1");
    assert.deepEqual((await changes())!.grants, [{ user: 1, torrent: 1, isRemoved: true }]);
    await records.change("groups", "1", { slots: 3 });
    const change = (await changes())!;
    assert.deepEqual([change.groups![0]!.slots, change.clients!.length], [3, 1]);
    await records.remove("clients", "-qB");
    assert.deepEqual((await changes())!.clients, []);
    assert.equal(await changes(), undefined);
  });
}
