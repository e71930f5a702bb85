/** `chihaya top` on a running tracker. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { announce } from "../../src/client/tracker-client.ts";
import { hashToken } from "../../src/operator/api/access.ts";
import { findFreePort } from "../e2e/ports.ts";
import { Daemon, main, Program, temporaryDirectory } from "../support/daemon.ts";

const tokens = [{ name: "ops", hash: hashToken("secret"), scopes: ["read"] }];

test("one plain screen of a tracker, also without --once when there is no terminal", async (t) => {
  const daemon = await Daemon.start(t, { admin: {}, workers: 2 });
  const infoHash = Buffer.alloc(20, 0xab);
  for (let i = 0; i < 3; i++) {
    const peer = {
      infoHash,
      peerId: Buffer.alloc(20, i),
      port: 1000 + i,
      left: BigInt(i),
      event: 0,
    } as const;
    await announce(`${daemon.url("udp")}/announce`, peer);
  }
  for (const flags of [["--once"], []]) {
    const top = new Program(t, process.execPath, [main, "top", "--url", daemon.url("metrics"), ...flags]);
    assert.deepEqual(await top.ended, { code: 0, signal: null }, top.stderr);
    assert.match(top.stdout, /^chihaya \S+ {2}up .* 2 workers {2}http:\/\/127/);
    assert.match(
      top.stdout,
      /^Announces {2}\d\S*\/s .*UDP \d/m,
      "rates are known, though the tracker is new",
    );
    assert.match(top.stdout, /^Peers {6}3 {3}1 seeders {3}2 leechers {3}IPv4 3 {3}IPv6 0$/m);
    assert.match(top.stdout, /^(ab){20} +3 +1 +2 /m);
    assert.doesNotMatch(top.stdout, /\u001b/);
    assert.equal(top.stderr, "");
  }
});

test("rates are asked for until the tracker knows them", async (t) => {
  const daemon = await Daemon.start(t, { admin: {} });
  let unknown = 5;
  const proxy = createServer(async ({ url }, response) => {
    const reply = await fetch(`${daemon.url("metrics")}${url}`);
    const isUnknown = url!.startsWith("/api/v1/stats/history") && unknown-- > 0;
    response.end(isUnknown ? '{"series":{"cpu":[null]}}' : await reply.text());
  }).listen(0, "127.0.0.1");
  t.after(() => proxy.close());
  await once(proxy, "listening");
  const { port } = proxy.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const top = new Program(t, process.execPath, [main, "top", "--once", "--url", url]);
  assert.deepEqual(await top.ended, { code: 0, signal: null }, top.stderr);
  assert.match(top.stdout, /^Announces {2}\d/m);
  assert.ok(unknown < 0);
});

test("what is wrong is said in one line", async (t) => {
  const directory = temporaryDirectory(t);
  const wrong = join(directory, "wrong");
  writeFileSync(wrong, "guess\n");
  const open = await Daemon.start(t, { admin: { tokens } });
  const closed = await Daemon.start(t, {});
  const free = `http://127.0.0.1:${await findFreePort()}`;
  for (const [args, code, said] of [
    [["--url", free], 1, /^chihaya top: http:\S+: no tracker listens there; is it running\?$/],
    [["--url", closed.url("metrics")], 1, /there is no admin API on this listener; add the block admin$/],
    [
      ["--url", open.url("metrics"), "--token-file", wrong],
      1,
      /the token is wrong; give one with --token-file FILE$/,
    ],
    [["--url", "udp://127.0.0.1:1"], 2, /--url: expected the URL of the listener/],
    [["--twice"], 2, /--twice/],
  ] as const) {
    const top = new Program(t, process.execPath, [main, "top", "--once", ...args]);
    assert.equal((await top.ended).code, code, top.stderr);
    const [first = ""] = top.stderr.split("\n");
    assert.match(first, said);
    assert.equal(top.stdout, "");
  }
});
