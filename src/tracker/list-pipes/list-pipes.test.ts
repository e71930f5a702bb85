import assert from "node:assert/strict";
import { appendFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate, setTimeout as wait } from "node:timers/promises";
import { temporaryDirectory, toYaml } from "../../../test/support/daemon.ts";
import { MapStore } from "../../../test/support/map-store.ts";
import { announceRequest, announceResponse } from "../../../test/support/requests.ts";
import { toHex } from "../../bittorrent/info-hash.ts";
import { loadConfig } from "../../config/load.ts";
import { createRandom } from "../../lib/clock.ts";
import { RequestContext } from "../../middleware/hook.ts";
import { silentLogger } from "../../observability/logger.ts";
import { Metrics } from "../../observability/metrics.ts";
import { describeLists } from "../access-lists.ts";
import { composeSettings } from "../compose.ts";
import { LocalHub } from "../share-hub.ts";

const [a, b, c, d] = ["a", "b", "c", "d"].map((digit) => digit.repeat(40)) as [
  string,
  string,
  string,
  string,
];

/** Starts `torrent approval` with a whitelist file, and both pipes. */
async function started(t: TestContext, ...listed: string[]) {
  const directory = temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  const replace = (...infoHashes: string[]) => {
    writeFileSync(path("new"), `${infoHashes.join("\n")}\n`);
    renameSync(path("new"), path("list"));
  };
  replace(...listed);
  const config = {
    http: { opentracker: { fifo_add: path("add"), fifo_delete: path("delete") } },
    prehooks: [
      { name: "torrent approval", options: { whitelist_from: [path("list")], check_interval: "10ms" } },
    ],
  };
  writeFileSync(path("chihaya.yaml"), toYaml(config));
  const loaded = loadConfig({ file: path("chihaya.yaml"), env: {} });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const clock = { seconds: 1, unixSeconds: 1 };
  const random = createRandom(1);
  const hub = new LocalHub({ clock, random });
  const store = new MapStore({ clock, random, peerLifetime: 1800 });
  const removed: string[] = [];
  store.remove = (infoHash) => void removed.push(toHex(infoHash));
  const own = { clock, random, metrics: new Metrics(), logger: silentLogger, hub, owner: 1, store };
  const { preHooks } = await composeSettings(loaded.config, own);
  for (const hook of preHooks) await hook.start?.();
  t.after(() => Promise.all(preHooks.map(async (hook) => hook.stop?.())));
  const refusal = async (infoHash: string) => {
    const request = announceRequest(infoHash, "-TR3000-xxxxxxxxxxxx");
    for (const hook of preHooks) {
      const result = await hook.handleAnnounce?.(request, announceResponse(), new RequestContext());
      if (result) return result;
    }
    return undefined;
  };
  const until = async (condition: () => boolean | Promise<boolean>) => {
    while (!(await condition())) await wait(1);
  };
  const write = (pipe: "add" | "delete", infoHash: string) => appendFileSync(path(pipe), `${infoHash}\n`);
  const [list] = await describeLists(loaded.config, hub);
  return { replace, removed, refusal, until, write, list: list! };
}

test("a torrent that a pipe has added keeps its swarm when the file drops the torrent", async (t) => {
  const { replace, removed, refusal, until, write } = await started(t, a, b, c, d);
  write("add", b);
  write("add", "e".repeat(40));
  await until(async () => (await refusal("e".repeat(40))) === undefined);
  replace(a);
  await until(() => removed.includes(c) && removed.includes(d));
  await setImmediate(); // the same pass may come to `b` last
  assert.equal(await refusal(b), undefined);
  assert.deepEqual(removed.sort(), [c, d]);
});

test("a refusal by a pipe is not final", async (t) => {
  const { refusal, until, write, removed } = await started(t, a, b);
  write("delete", a);
  await until(async () => (await refusal(a)) !== undefined);
  const { message, code, retryIn } = (await refusal(a))!;
  assert.deepEqual([message, code, retryIn], ["unapproved torrent", "unapproved-torrent", 15]);
  await until(() => removed.length > 0);
  assert.deepEqual(removed, [a]);
});

test("pipes win over the edits of operators", async (t) => {
  const { refusal, until, write, list } = await started(t, a);
  await list.write(
    new Map([
      [a, false],
      [b, true],
    ]),
  );
  assert.deepEqual([(await refusal(a)) === undefined, (await refusal(b)) === undefined], [false, true]);
  write("add", a);
  write("delete", b);
  await until(async () => (await refusal(a)) === undefined && (await refusal(b)) !== undefined);
});
