import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "./load.ts";
import { settle } from "./settle.ts";

function load(...set: string[]) {
  const loaded = loadConfig({ env: {}, set });
  assert.ok(loaded.ok);
  return loaded;
}

/** Settles two configurations, given as flags. */
function reload(from: string[], to: string[]) {
  const next = load(...to);
  return settle(load(...from).config, next.config, next.restartMarks);
}

test("what a reload can change is taken, what it cannot stays and is named", () => {
  const { config, needsRestart } = reload(
    ["http.addr=127.0.0.1:1"],
    ["http.addr=127.0.0.1:2", "http.max_numwant=7", "announce_interval=40m", "storage.config.max_peers=5"],
  );
  assert.deepEqual(needsRestart, ["http.addr", "storage.config.max_peers"]);
  assert.deepEqual(config.http?.listen, [{ host: "127.0.0.1", port: 1 }]);
  assert.equal(config.http.maxNumWant, 7);
  assert.equal(config.announceInterval, 2400);
  assert.equal((config.storage.config as { maxPeers: number }).maxPeers, 16_000_000);
});

test("a store of another name is one name, and the running one is kept whole", () => {
  const { config, needsRestart } = reload([], ["storage.name=redis", "storage.config.peer_lifetime=2h"]);
  assert.deepEqual(needsRestart, ["storage.name"]);
  assert.deepEqual(config.storage, load().config.storage);
});

test("a frontend that comes or goes is one name, and the running one is kept whole", () => {
  const both = load("http.announce_routes=/a").config;
  const { udp, ...alone } = load("http.announce_routes=/b", "announce_interval=40m").config;
  const marks = load().restartMarks;
  const gone = settle<typeof both>(both, alone, marks);
  assert.deepEqual([gone.needsRestart, gone.config.udp], [["udp"], both.udp]);
  assert.deepEqual(gone.config.http?.announceRoutes, ["/b"]);
  assert.deepEqual(settle<typeof both>(gone.config, alone, marks).needsRestart, ["udp"]);
  const come = settle<typeof both>(alone, { ...alone, udp }, marks);
  assert.deepEqual([come.needsRestart, come.config.udp], [["udp"], undefined]);
});

test("ports and keys that the tracker has chosen are kept where the next configuration leaves them open", () => {
  const running = load("http.addr=127.0.0.1:7000,[::1]:7001", "udp.private_key=0123456789abcdef").config;
  const next = load("http.addr=127.0.0.1:0,[::1]:7001");
  assert.deepEqual(settle(running, next.config, next.restartMarks), {
    config: {
      ...next.config,
      http: { ...next.config.http, listen: running.http?.listen },
      udp: { ...next.config.udp, privateKey: "0123456789abcdef" },
    },
    needsRestart: [],
  });
});

test("neither configuration is changed", () => {
  const [running, next] = [load("udp.addr=127.0.0.1:1"), load("udp.addr=127.0.0.1:2")];
  const before = structuredClone([running.config, next.config]);
  settle(running.config, next.config, next.restartMarks);
  assert.deepEqual([running.config, next.config], before);
});

test("options of hooks are compared with those of the hook of that name, counted from the front", () => {
  const mine = (size: number) => ({ name: "mine", options: { size, rate: size } });
  const other = { name: "other", options: {} };
  const marks = [{ name: "prehooks[1].options.size", path: ["preHooks", 1, "options", "size"] }];
  const settled = settle({ preHooks: [mine(1)] }, { preHooks: [other, mine(2)] }, marks);
  assert.deepEqual(settled, {
    config: { preHooks: [other, { name: "mine", options: { size: 1, rate: 2 } }] },
    needsRestart: ["prehooks[1].options.size"],
  });
  assert.deepEqual(settle({ preHooks: [] }, { preHooks: [other, mine(2)] }, marks).needsRestart, []);
});
