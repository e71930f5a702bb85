import assert from "node:assert/strict";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createAdminState } from "../../../test/support/admin-state.ts";
import { temporaryDirectory } from "../../../test/support/daemon.ts";
import { Address } from "../../ip/address.ts";
import { BanReader } from "../../middleware/bans/ban-memory.ts";
import { type LogFields, silentLogger } from "../../observability/logger.ts";
import { networksAround } from "./ban-list.ts";

const ban = { until: undefined, reason: "", since: 0, by: "ops" };
const torrent = "0123456789abcdef0123456789abcdef01234567";

function recorder() {
  const lines: string[] = [];
  const note = (_fields: LogFields, message: string) => void lines.push(message);
  return { lines, logger: { ...silentLogger, info: note, warn: note, error: note } };
}

test("bans survive the process, and those that ended meanwhile do not come back", async (t) => {
  const path = join(temporaryDirectory(t), "state");
  const clock = { seconds: 0, unixSeconds: 1000 };
  const { state } = await createAdminState({ path, clock });
  await state.start();
  state.networks.set("192.0.2.0/24", { ...ban, reason: "<b>&\u20ac\u{1f600}", since: 1000 });
  state.networks.set("2001:db8::/32", { ...ban, until: 1100 });
  state.torrents.set(torrent, { ...ban, until: 1200, since: 1000 });
  assert.equal(await state.commit(state.networks), true);
  await state.stop();

  clock.unixSeconds = 1100;
  const { state: next, memory } = await createAdminState({ path, clock });
  await next.start();
  t.after(() => next.stop());
  assert.deepEqual(
    [...next.networks.values()],
    [
      {
        target: "192.0.2.0/24",
        number: 1,
        until: undefined,
        reason: "<b>&\u20ac\u{1f600}",
        since: 1000,
        by: "ops",
      },
    ],
  );
  assert.deepEqual(next.torrents.get(torrent), {
    target: torrent,
    number: 1,
    until: 1200,
    reason: "",
    since: 1000,
    by: "ops",
  });
  const reader = new BanReader(memory);
  assert.equal(reader.hasAddress(Address.parse("192.0.2.9")), true);
  assert.equal(reader.hasTorrent(new Int32Array(new Uint8Array(Buffer.from(torrent, "hex")).buffer)), true);
});

test("a ban ends by the clock", async (t) => {
  const clock = { seconds: 0, unixSeconds: 1000 };
  const { state, memory } = await createAdminState({ clock });
  await state.start();
  t.after(() => state.stop());
  const reader = new BanReader(memory);
  const address = Address.parse("192.0.2.9");
  state.networks.set("192.0.2.9/32", { ...ban, until: 1010 });
  state.networks.set("192.0.2.10/32", { ...ban, until: 1020 });
  assert.equal(await state.commit(state.networks), false, "nothing is kept without a file");
  clock.unixSeconds = 1009;
  await state.check();
  assert.equal(reader.hasAddress(address), true);
  clock.unixSeconds = 1010;
  assert.equal(state.networks.get("192.0.2.9/32"), undefined, "also before the next look");
  await state.check();
  assert.equal(reader.hasAddress(address), false);
  assert.equal(reader.hasAddress(Address.parse("192.0.2.10")), true);
  assert.deepEqual([state.networks.size, state.networks.nextExpiry], [1, 1020]);
});

test("changes at the same time share a write, and none is lost", async (t) => {
  const path = join(temporaryDirectory(t), "state");
  const { state } = await createAdminState({ path });
  await state.start();
  const commits = Array.from({ length: 200 }, (_, n) => {
    state.networks.set(`10.0.0.${n}/32`, ban);
    return state.commit(state.networks);
  });
  assert.ok((await Promise.all(commits)).every((isKept) => isKept));
  await state.stop();
  const { state: next } = await createAdminState({ path });
  await next.start();
  assert.equal(next.networks.size, 200);
  assert.deepEqual(readdirSync(join(path, "..")), ["state"], "no temporary file is left");
});

test("a file that cannot be written: the change holds, the log says so, and the file is tried again", async (t) => {
  const folder = temporaryDirectory(t);
  const path = join(folder, "in", "state");
  mkdirSync(join(folder, "in"));
  const clock = { seconds: 0, unixSeconds: 1000 };
  const { lines, logger } = recorder();
  const { state, memory } = await createAdminState({ path, clock, logger });
  await state.start();
  renameSync(join(folder, "in"), join(folder, "away"));
  state.networks.set("192.0.2.9/32", ban);
  assert.equal(await state.commit(state.networks), false);
  assert.equal(await state.commit(state.networks), false);
  assert.equal(new BanReader(memory).hasAddress(Address.parse("192.0.2.9")), true);
  assert.match(lines.join("\n"), /^admin\.state not written; .*lost at the end.*: ENOENT.*$/, "one line");
  renameSync(join(folder, "away"), join(folder, "in"));
  clock.seconds = 59;
  await state.check();
  assert.deepEqual(readdirSync(join(folder, "in")), []);
  clock.seconds = 60;
  await state.check();
  assert.equal(lines.at(-1), "admin.state is written again");
  assert.deepEqual(readdirSync(join(folder, "in")), ["state"]);
  await state.stop();
});

test("a full disk loses nothing", { skip: process.platform !== "linux" && "needs /dev/full" }, async (t) => {
  const folder = temporaryDirectory(t);
  const path = join(folder, "state");
  const { lines, logger } = recorder();
  const { state } = await createAdminState({ path, logger });
  await state.start();
  state.networks.set("192.0.2.9/32", ban);
  assert.equal(await state.commit(state.networks), true);
  const before = readFileSync(path, "utf8");
  t.mock.method(await fileHandlePrototype(path), "sync", async () => {
    throw Object.assign(new Error("ENOSPC: no space left on device, fsync"), { code: "ENOSPC" });
  });
  state.networks.set("192.0.2.10/32", ban);
  assert.equal(await state.commit(state.networks), false);
  assert.match(lines.join(), /ENOSPC/);
  assert.equal(readFileSync(path, "utf8"), before);
  assert.deepEqual(readdirSync(folder), ["state"]);
  t.mock.restoreAll();
  await state.stop();
  assert.match(readFileSync(path, "utf8"), /192\.0\.2\.10/, "the end tries once more");
});

async function fileHandlePrototype(path: string): Promise<{ sync(): Promise<void> }> {
  const { open } = await import("node:fs/promises");
  const file = await open(path);
  await file.close();
  return Object.getPrototypeOf(file);
}

test("a file that another program has changed is not overwritten", async (t) => {
  const path = join(temporaryDirectory(t), "state");
  const { lines, logger } = recorder();
  const { state } = await createAdminState({ path, logger });
  await state.start();
  state.networks.set("192.0.2.9/32", ban);
  await state.commit(state.networks);
  writeFileSync(path, "by hand\n");
  state.networks.set("192.0.2.10/32", ban);
  assert.equal(await state.commit(state.networks), false);
  assert.match(lines.join(), /was changed by another program; restart the tracker to load it/);
  assert.equal(readFileSync(path, "utf8"), "by hand\n");
});

test("a file that has gone is written again, and a touched file is not a changed one", async (t) => {
  const path = join(temporaryDirectory(t), "state");
  const { lines, logger } = recorder();
  const { state } = await createAdminState({ path, logger });
  await state.start();
  state.networks.set("192.0.2.9/32", ban);
  await state.commit(state.networks);
  utimesSync(path, 1, 1);
  assert.equal(await state.commit(state.networks), true);
  assert.deepEqual(lines, []);
  rmSync(path);
  assert.equal(await state.commit(state.networks), true);
  assert.match(readFileSync(path, "utf8"), /192\.0\.2\.9/);
  assert.match(lines.join("\n"), /^admin\.state had gone/);
});

test("a symbolic link to nothing stops the start", async (t) => {
  const folder = temporaryDirectory(t);
  symlinkSync(join(folder, "none"), join(folder, "state"));
  const { state } = await createAdminState({ path: join(folder, "state") });
  await assert.rejects(state.start(), /is a symbolic link to a missing file; .*remove the link/);
  assert.deepEqual(readdirSync(folder), ["state"]);
});

test("a symbolic link stays one", async (t) => {
  const folder = temporaryDirectory(t);
  mkdirSync(join(folder, "real"));
  const { state: first } = await createAdminState({ path: join(folder, "real", "state") });
  await first.start();
  first.networks.set("192.0.2.9/32", ban);
  await first.commit(first.networks);
  symlinkSync(join(folder, "real", "state"), join(folder, "state"));
  const { state } = await createAdminState({ path: join(folder, "state") });
  await state.start();
  state.networks.set("192.0.2.10/32", ban);
  assert.equal(await state.commit(state.networks), true);
  assert.match(readFileSync(join(folder, "real", "state"), "utf8"), /192\.0\.2\.10/);
});

const head = '{"format":"chihaya admin state","version":1}\n';
const end = '{"end":true}\n';
for (const [what, content, message] of [
  ["nothing", "", /:1: the file is empty/],
  ["binary data", "\0\u0001\u00ff", /:1: not a JSON object/],
  ["something else", "chihaya:\n", /:1: not a JSON object/],
  ["another format", '{"a":1}\n', /:1: not a file of the format "chihaya admin state"/],
  ["a later version", '{"format":"chihaya admin state","version":2}\n', /:1: not of version 1/],
  ["half of a file", `${head}{"network":"192.0.2.0/24"}\n`, /:3: the end of the file is missing/],
  ["half of a line", `${head}{"network":"192.0.2`, /:2: not a JSON object/],
  ["no network", `${head}{"network":"192.0.2.0/33"}\n${end}`, /:2: the prefix of .* must be 0 to 32/],
  [
    "host bits",
    `${head}{"network":"192.0.2.1/24"}\n${end}`,
    /:2: .*bits beyond its prefix; write 192\.0\.2\.0\/24/,
  ],
  ["no infohash", `${head}{"info_hash":"xyz"}\n${end}`, /:2: neither a network nor an infohash/],
  ["an unknown record", `${head}{"toString":1}\n${end}`, /:2: neither a network nor an infohash/],
  [
    "a wrong time",
    `${head}{"network":"::1","until":"soon"}\n${end}`,
    /:2: "since" and "until" must be seconds since 1970/,
  ],
  [
    "a time that no calendar has",
    `${head}{"network":"::1","until":9e15}\n${end}`,
    /:2: "since" and "until" must be seconds since 1970/,
  ],
  ["lines behind the end", `${head}${end}${end}`, /:3: there are lines behind the end/],
] as const) {
  test(`a file with ${what} stops the start and is left unchanged`, async (t) => {
    const path = join(temporaryDirectory(t), "state");
    writeFileSync(path, content);
    const { state } = await createAdminState({ path });
    await assert.rejects(state.start(), (error: Error) => {
      assert.match(error.message, message);
      assert.match(error.message, /^admin\.state is damaged: \/.*restore the file from a copy, or remove it/);
      return true;
    });
    assert.equal(readFileSync(path, "utf8"), content);
  });
}

test("a directory that is missing or is a file stops the start", async (t) => {
  const folder = temporaryDirectory(t);
  writeFileSync(join(folder, "file"), "");
  for (const path of [join(folder, "none", "state"), join(folder, "file", "state")]) {
    const { state } = await createAdminState({ path });
    await assert.rejects(state.start(), /^Error: admin\.state: cannot write to \/.*: E(NOENT|NOTDIR)/);
  }
  const { state } = await createAdminState({ path: folder });
  await assert.rejects(state.start(), /admin\.state: cannot read \/.*: is a directory, not a file/);
});

test("networks around an address are all its prefixes", () => {
  const of = (text: string) => [...networksAround(Address.parse(text))];
  assert.deepEqual(of("192.0.2.129").slice(0, 4), [
    "192.0.2.129/32",
    "192.0.2.128/31",
    "192.0.2.128/30",
    "192.0.2.128/29",
  ]);
  assert.deepEqual([of("192.0.2.129").length, of("192.0.2.129").at(-1)], [33, "0.0.0.0/0"]);
  assert.deepEqual([of("2001:db8::1").length, of("2001:db8::1").at(-1)], [129, "::/0"]);
  assert.ok(of("2001:db8::1").includes("2001:db8::/32"));
});
