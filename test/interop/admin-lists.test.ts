/** Edits of access lists by the admin API of a running tracker. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { askAt, adminTokens as tokens } from "../support/admin-server.ts";
import { Daemon, type DaemonSettings, temporaryDirectory } from "../support/daemon.ts";

const letters = ["a", "b", "c"] as const;
const [a, b, c] = letters.map((letter) => Buffer.from(letter.repeat(20)).toString("hex")) as [
  string,
  string,
  string,
];
const list = "/lists/torrent-approval-whitelist";

/** Announces so often, each time by a new connection, that every worker gets some. */
const attempts = 12;

async function start(t: TestContext, settings: DaemonSettings) {
  const daemon = await Daemon.start(t, settings);
  const { url } = await daemon.until(({ msg }) => msg.endsWith("admin API"));
  /** Which torrents every worker serves. */
  const served = async () => {
    const all: string[] = [];
    for (const letter of letters) {
      const query = `info_hash=${letter.repeat(20)}&peer_id=-TR3000-xxxxxxxxxxxx&port=9&left=1&uploaded=0&downloaded=0`;
      const results = new Set<boolean>();
      for (let n = 0; n < attempts; n++) {
        const response = await fetch(`${daemon.url("http")}/announce?${query}`, {
          headers: { connection: "close" },
        });
        results.add(!(await response.text()).includes("unapproved torrent"));
      }
      assert.equal(results.size, 1, "all workers agree");
      if (results.has(true)) all.push(letter);
    }
    return all.join("");
  };
  return { daemon, ask: askAt(url!), served };
}

for (const workers of [1, 3]) {
  test(`an edit reaches ${workers} workers at once, and outlives a reload of the list and a restart`, async (t) => {
    const folder = temporaryDirectory(t);
    const file = join(folder, "list.txt");
    writeFileSync(file, `${a}\n`);
    const settings = {
      workers,
      admin: { tokens, state: join(folder, "state") },
      prehooks: [{ name: "torrent approval", options: { whitelist_from: [file], check_interval: "10ms" } }],
    };
    const { daemon, ask, served } = await start(t, settings);
    assert.equal(await served(), "a");
    assert.deepEqual((await ask("PUT", `${list}/entries/${b}`)).body, {
      entry: b,
      listed: true,
      persisted: true,
    });
    assert.equal(await served(), "ab");
    assert.equal((await ask("DELETE", `${list}/entries/${a}`)).status, 200);
    assert.equal(await served(), "b");
    assert.match(
      await (await fetch(`${daemon.url("metrics")}/metrics`)).text(),
      /^chihaya_storage_infohashes_count 1$/m,
      "the torrent that was removed from the list is gone",
    );
    const loads = daemon.lines.length;
    writeFileSync(file, `${a}\n${c}\n`);
    await daemon.until(({ msg }) => msg === "list loaded", loads);
    assert.equal(await served(), "bc");
    assert.equal((await daemon.reload({ ...settings, announce_interval: "20m" })).level, "info");
    assert.equal(await served(), "bc", "after a reload");

    daemon.child.kill("SIGTERM");
    await daemon.ended;
    const again = await start(t, settings);
    assert.equal(await again.served(), "bc", "after a restart");
    assert.equal(readFileSync(file, "utf8"), `${a}\n${c}\n`, "the file is the operator's");
  });
}

test("persist=true writes to the file of the list, and leaves nothing in the state", async (t) => {
  const folder = temporaryDirectory(t);
  const file = join(folder, "list.txt");
  writeFileSync(file, `# approved\n${a} first\n`);
  const { daemon, ask, served } = await start(t, {
    workers: 2,
    admin: { tokens },
    prehooks: [{ name: "torrent approval", options: { whitelist_from: [file], check_interval: "10ms" } }],
  });
  const from = daemon.lines.length;
  assert.deepEqual((await ask("PUT", `${list}/entries/${b}?persist=true`)).body, {
    entry: b,
    listed: true,
    persisted: true,
  });
  assert.equal(await served(), "ab", "before the file is read again");
  assert.equal((await ask("DELETE", `${list}/entries/${a}?persist=true`)).status, 200);
  assert.equal(readFileSync(file, "utf8"), `# approved\n${b}\n`);
  assert.equal(await served(), "b");
  await daemon.until(({ msg }) => msg === "list loaded", from);
  for (;;) {
    const { body } = await ask("GET", list);
    if (body.added + body.removed === 0 && body.size === 1) break;
    await new Promise(setImmediate);
  }
  assert.equal(await served(), "b");
  writeFileSync(file, "# none\n");
  const loaded = daemon.lines.length;
  await daemon.until(({ msg }) => msg === "list loaded", loaded);
  assert.equal(await served(), "", "nothing of the edits is left");
});
