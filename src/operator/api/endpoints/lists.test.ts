import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startAdmin } from "../../../../test/support/admin-server.ts";
import { createAdminState } from "../../../../test/support/admin-state.ts";
import { temporaryDirectory, toYaml } from "../../../../test/support/daemon.ts";
import { MapStore } from "../../../../test/support/map-store.ts";
import { loadConfig } from "../../../config/load.ts";
import { createRandom } from "../../../lib/clock.ts";
import { describeLists } from "../../../tracker/access-lists.ts";
import { LocalHub } from "../../../tracker/share-hub.ts";
import { SwarmReader } from "../../swarms/swarm-reader.ts";

const [a, b, c] = ["a", "b", "c"].map((digit) => digit.repeat(40)) as [string, string, string];

/** Starts the API over lists in a configuration, without hooks. */
async function started(t: TestContext, path = "") {
  const file = join(temporaryDirectory(t), "chihaya.yaml");
  const prehooks = [
    { name: "torrent approval", options: { whitelist: [a, b] } },
    { name: "ip approval", options: { blacklist: ["192.0.2.0/24", "192.0.2.128/25", "2001:db8:1:2::/64"] } },
    { name: "client approval", options: {} },
  ];
  writeFileSync(file, toYaml({ prehooks, admin: {} }));
  const loaded = loadConfig({ file, env: {} });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
  const random = createRandom(1);
  const { state } = await createAdminState({ clock, path });
  await state.start();
  t.after(() => state.stop());
  await state.edits.take(await describeLists(loaded.config, new LocalHub({ clock, random })));
  const removed: string[] = [];
  const reader = new SwarmReader(new MapStore({ clock, random, peerLifetime: 1800 }));
  const swarms = Object.assign(reader, {
    async remove(infoHash: Uint8Array) {
      removed.push(Buffer.from(infoHash).toString("hex"));
    },
  });
  return { ...(await startAdmin(t, { clock, state, swarms })), state, removed };
}

const entriesOf = (text: string) =>
  text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line).entry);
const torrents = "/lists/torrent-approval-whitelist";
const networks = "/lists/ip-approval-blacklist";

test("the lists of the configuration, and one of them", async (t) => {
  const { ask } = await started(t);
  const { body } = await ask("GET", "/lists", undefined, "");
  assert.deepEqual(
    body.lists.map(({ name }: { name: string }) => name),
    [
      "torrent-approval-whitelist",
      "ip-approval-whitelist",
      "ip-approval-blacklist",
      "client-approval-blacklist",
    ],
  );
  assert.deepEqual((await ask("GET", torrents, undefined, "")).body, {
    name: "torrent-approval-whitelist",
    hook: "torrent approval",
    kind: "whitelist",
    entries: "torrents",
    size: 2,
    loaded: true,
    files: [],
    urls: [],
    configured: 2,
    added: 0,
    removed: 0,
  });
  for (const name of ["none", "..%2F..%2Fetc%2Fpasswd", "%3Cb%3E", "__proto__", "torrent%20approval", "%00"])
    assert.equal((await ask("GET", `/lists/${name}`)).status, 404, name);
});

test("entries are added and removed; a change is kept where there is a file", async (t) => {
  const path = join(temporaryDirectory(t), "state");
  const { ask, removed, lines } = await started(t, path);
  const one = (entry: string) => ask("GET", `${torrents}/entries/${entry}`, undefined, "");
  assert.deepEqual((await one(c)).body, { entry: c, listed: false, edited: false });
  const added = await ask("PUT", `${torrents}/entries/${c.toUpperCase()}`);
  assert.deepEqual([added.status, added.body], [200, { entry: c, listed: true, persisted: true }]);
  assert.deepEqual((await one(c)).body, { entry: c, listed: true, edited: true });
  assert.equal((await ask("PUT", `${torrents}/entries/${c}`)).status, 200, "again");
  assert.deepEqual(removed, []);
  const gone = await ask("DELETE", `${torrents}/entries/${a}`);
  assert.deepEqual(gone.body, { entry: a, listed: false, persisted: true });
  assert.deepEqual(removed, [a], "its peers leave the store, as with a reload of the list");
  assert.equal((await ask("DELETE", `${torrents}/entries/${a}`)).status, 404);
  const { text, headers } = await ask("GET", `${torrents}/entries`, undefined, "");
  assert.equal(headers["content-type"], "application/x-ndjson");
  assert.deepEqual(entriesOf(text).sort(), [b, c]);
  const { added: plus, removed: minus } = (await ask("GET", torrents)).body;
  assert.deepEqual([plus, minus], [1, 1]);
  assert.equal(lines.length, 3);
  assert.deepEqual(lines[2], {
    ...{ who: "admin", from: "127.0.0.1", method: "DELETE", path: `/api/v1${torrents}/entries/${a}` },
    ...{
      list: "torrent-approval-whitelist",
      added: { count: 0, first: [] },
      removed: { count: 1, first: [a] },
    },
    ...{ files: [], persisted: true },
  });

  const next = await started(t, path);
  assert.deepEqual(entriesOf((await next.ask("GET", `${torrents}/entries`)).text).sort(), [b, c]);
  await next.ask("DELETE", `${torrents}/entries/${c}`);
  await next.ask("PUT", `${torrents}/entries/${a}`);
  assert.deepEqual(entriesOf((await next.ask("GET", `${torrents}/entries`)).text).sort(), [a, b]);
});

test("many changes at once: all or none", async (t) => {
  const { ask } = await started(t);
  const done = await ask("POST", `${torrents}/entries`, { add: [c, a], remove: [b] });
  assert.deepEqual([done.status, done.body], [200, { added: 1, removed: 1, persisted: false }]);
  const wrong = await ask("POST", `${torrents}/entries`, { add: ["d".repeat(40), "x"], remove: [`${a}0`] });
  assert.equal(wrong.status, 400);
  assert.deepEqual(
    wrong.body.errors.map(({ at }: { at: string }) => at),
    ["/add/1", "/remove/0"],
  );
  const both = await ask("POST", `${torrents}/entries`, { add: [b, c], remove: [a, b.toUpperCase()] });
  assert.deepEqual(
    [both.status, both.body.errors],
    [
      400,
      [{ at: "/remove/1", detail: "the request adds the same entry; leave the entry out of add or remove" }],
    ],
  );
  assert.deepEqual(entriesOf((await ask("GET", `${torrents}/entries`)).text).sort(), [a, c]);
  const many = Array.from({ length: 10_001 }, (_, n) => n.toString(16).padStart(40, "0"));
  assert.equal((await ask("POST", `${torrents}/entries`, { add: many })).status, 400);
  assert.equal((await ask("POST", `${torrents}/entries`, { add: many.slice(1) })).body.added, 10_000);
  const all = entriesOf((await ask("GET", `${torrents}/entries`)).text);
  assert.deepEqual([all.length, new Set(all).size], [10_002, 10_002]);
});

test("networks are cut for those who may not see addresses of peers", async (t) => {
  const { ask } = await started(t);
  await ask("PUT", `${networks}/entries/198.51.100.7`);
  const seen = async (token: "" | "peers:read") =>
    entriesOf((await ask("GET", `${networks}/entries`, undefined, token)).text);
  assert.deepEqual(await seen(""), ["192.0.2.0/24", "2001:db8:1::/48", "198.51.100.0/24"]);
  assert.deepEqual(await seen("peers:read"), [
    "192.0.2.0/24",
    "192.0.2.128/25",
    "2001:db8:1:2::/64",
    "198.51.100.7/32",
  ]);
});

test("a change needs the scope, a list that has a file to persist, and a proper entry", async (t) => {
  const { ask, state } = await started(t);
  for (const [token, status] of [
    ["", 401],
    ["read", 403],
  ] as const) {
    assert.equal((await ask("PUT", `${torrents}/entries/${c}`, undefined, token)).status, status);
    assert.equal((await ask("DELETE", `${torrents}/entries/${a}`, undefined, token)).status, status);
    assert.equal((await ask("POST", `${torrents}/entries`, {}, token)).status, status);
  }
  const persist = await ask("PUT", `${torrents}/entries/${c}?persist=true`);
  assert.deepEqual([persist.status, /not read from a file/.test(persist.text)], [409, true]);
  for (const entry of ["x", "..%2F..%2Fetc%2Fpasswd", "%3Cscript%3E", `${c}%0A`, "%00", "y".repeat(3000)]) {
    const { status, body } = await ask("PUT", `${torrents}/entries/${entry}`);
    assert.deepEqual([status, body.errors?.[0]?.at], [400, "{entry}"], entry);
  }
  for (const entry of ["192.0.2.1%2F24", "192.0.2.0%2F33", "fe80::1%25eth0"])
    assert.equal((await ask("PUT", `${networks}/entries/${entry}`)).status, 400, entry);
  for (const entry of ["TR 000", "TR%C3%A9000", "TR%1B000"])
    assert.equal((await ask("PUT", `/lists/client-approval-blacklist/entries/${entry}`)).status, 400, entry);
  assert.equal((await ask("PUT", "/lists/client-approval-blacklist/entries/%3Cb%3E%26%22%27")).status, 200);
  assert.equal((await ask("PUT", `${torrents}/entries/${c}?persist=maybe`)).status, 400);
  assert.equal(state.edits.of("torrent-approval-whitelist").size, 0);
});

test("more edits than there is room for are refused", async (t) => {
  const { ask, state } = await started(t);
  t.mock.method(state.edits, "hasRoom", () => false);
  assert.equal((await ask("PUT", `${torrents}/entries/${c}`)).status, 409);
});

test("requests for the head of a list do not count as readers", async (t) => {
  const { ask } = await started(t);
  for (let n = 0; n < 5; n++) assert.equal((await ask("HEAD", `${torrents}/entries`)).status, 200);
  assert.equal((await ask("GET", `${torrents}/entries`)).status, 200);
});

test("a removal is kept although the list has not loaded the entry from its file yet", async (t) => {
  const folder = temporaryDirectory(t);
  const file = join(folder, "list");
  writeFileSync(file, "");
  const path = join(folder, "state");
  const { ask, state } = await started(t, path);
  let loaded = new Set<string>();
  const [first] = state.edits.lists;
  await state.edits.take([
    {
      ...{ name: first!.name, hook: first!.hook, kind: "whitelist", entries: "torrents" },
      ...{ files: [file], urls: [], fixed: new Set(), isLoaded: true, size: 0 },
      parse: (text) => ({ entry: text }),
      readLine: (line) => line,
      has: (entry) => loaded.has(entry),
      snapshot: async () => loaded,
      write: async () => undefined,
    },
  ]);
  await ask("PUT", `${torrents}/entries/${c}?persist=true`);
  assert.match(readFileSync(file, "utf8"), new RegExp(c));
  assert.equal((await ask("DELETE", `${torrents}/entries/${c}`)).body.persisted, true);
  await ask("POST", `${torrents}/entries`, { remove: [c] });
  loaded = new Set([c]);
  await state.check();
  assert.equal((await ask("GET", `${torrents}/entries/${c}`)).body.listed, false);
  assert.match(readFileSync(path, "utf8"), /"listed":false/);
});
