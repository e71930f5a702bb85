/** Named pipes that change the list of torrents of a running tracker with several workers. */
import assert from "node:assert/strict";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { announceQuery, RawClient } from "../fixtures/http-server.ts";
import { Daemon, temporaryDirectory } from "../support/daemon.ts";
import { readMetrics } from "../support/promql.ts";

const hex = (letter: string) => Buffer.alloc(20, letter).toString("hex");

async function start(t: TestContext, kind: "whitelist" | "blacklist") {
  const directory = temporaryDirectory(t);
  const [list, add, remove] = ["list", "add", "delete"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(list, `${hex("a")}\n`);
  const settings = {
    workers: 2,
    storage: { name: "memory" },
    http: { opentracker: { fifo_add: add, fifo_delete: remove } },
    prehooks: [{ name: "torrent approval", options: { [`${kind}_from`]: [list] } }],
  };
  const daemon = await Daemon.start(t, settings);
  /** Announces on several connections, and so to both workers. */
  const allows = async (letter: string): Promise<boolean> => {
    const results: boolean[] = [];
    for (let n = 0; n < 8; n++) {
      const client = new RawClient(t, daemon.port("http"));
      const query = announceQuery({ info_hash: letter.repeat(20), port: `${n + 1}` });
      results.push(!(await client.get(`/announce?${query}`)).body.includes("unapproved"));
      client.socket.destroy();
    }
    return results.every((result) => result === results[0]) ? results[0]! : allows(letter);
  };
  const until = async (letter: string, expected: boolean) => {
    while ((await allows(letter)) !== expected);
  };
  const scrape = async (letter: string) => {
    const client = new RawClient(t, daemon.port("http"));
    return (await client.get(`/scrape?info_hash=${letter.repeat(20)}`)).body;
  };
  const write = (path: string, ...lines: string[]) => appendFileSync(path, `${lines.join("\n")}\n`);
  const lines = async (pipe: string, result: string) => {
    const metric = await readMetrics(daemon.url("metrics"));
    return metric("chihaya_list_pipe_lines_total", { pipe, result });
  };
  return { daemon, settings, add, remove, list, allows, until, scrape, write, lines };
}

test("pipes add to a whitelist and delete from it, until a reload", async (t) => {
  const { daemon, settings, add, remove, allows, until, scrape, write, lines } = await start(t, "whitelist");
  assert.deepEqual([await allows("a"), await allows("b")], [true, false]);
  write(add, hex("b").toUpperCase(), "nonsense", `${hex("c")} a comment`, hex("d").slice(1), `${hex("e")}0`);
  await until("b", true);
  await until("c", true);
  assert.match(await scrape("b"), /incomplete/);
  write(remove, hex("a"));
  await until("a", false);
  assert.match(await scrape("a"), /completei0e10:downloadedi0e10:incompletei0e/, "hidden, and removed");
  assert.deepEqual([await lines("add", "taken"), await lines("add", "invalid")], [2, 3]);
  write(add, hex("a"));
  await until("a", true);
  write(remove, hex("b"));
  await until("b", false);

  assert.equal(
    (await daemon.reload({ ...settings, announce_interval: "40m" })).msg,
    "configuration reloaded",
  );
  assert.deepEqual([await allows("a"), await allows("b"), await allows("c")], [true, false, false]);
  write(add, hex("b"));
  await until("b", true);
  const wrong = {
    ...settings,
    http: { opentracker: { ...settings.http.opentracker, fifo_add: "/dev/null" } },
  };
  assert.match(
    (await daemon.reload(wrong)).msg,
    /configuration not reloaded: .*\/dev\/null is no named pipe/,
  );
  assert.equal(await allows("b"), true, "a refused reload changes nothing");
  write(remove, hex("b"));
  await until("b", false);
});

test("pipes change a blacklist", async (t) => {
  const { allows, until, add, remove, write } = await start(t, "blacklist");
  assert.deepEqual([await allows("a"), await allows("b")], [false, true]);
  write(remove, hex("a"));
  await until("a", true);
  write(add, hex("b"));
  await until("b", false);
});
