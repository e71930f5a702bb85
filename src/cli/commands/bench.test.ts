import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { startTarget } from "../../../test/fixtures/load-target.ts";
import { listEngines } from "../../../test/support/networks.ts";

const skip = (await listEngines()).find(({ name }) => name === "linux")!.skip;

function bench(...args: string[]) {
  return spawnSync(process.execPath, ["src/cli/main.ts", "bench", ...args], { encoding: "utf8" });
}

test("bench fills a tracker and says what it answers", { skip }, async (t) => {
  const target = await startTarget(t, { kind: "tracker" });
  for (const [url, ...flags] of [
    [`udp://127.0.0.1:${target.udp}`],
    [`http://127.0.0.1:${target.http}/announce`, "--keep-alive"],
    [`http://127.0.0.1:${target.http}/announce`, "--rate", "50"],
  ] as const) {
    const shape = ["--seconds", "1", "--torrents", "10", "--peers", "640", "--json"];
    const { status, stdout, stderr } = bench(url, ...flags, ...shape);
    assert.equal(stderr, "");
    const { fill, run } = JSON.parse(stdout);
    assert.deepEqual([fill.announces, fill.lost, run.lost, run.errors, status], [640, 0, 0, 0, 0]);
    assert.ok(run.announces > 0 && run.peersPerAnswer > 20);
    assert.equal(run.latencyMicroseconds !== undefined, flags.includes("--rate" as never));
  }
  assert.equal((await target.statistics()).peers4, 640);
});

test("bench announces over WebSocket, with offers that are answered", { skip }, async (t) => {
  const { ws } = await startTarget(t, { kind: "web" });
  const flags = ["--torrents", "1", "--peers", "10", "--seconds", "1", "--offers", "2"];
  const { status, stdout, stderr } = bench(`ws://127.0.0.1:${ws}/`, ...flags, "--json");
  assert.equal(stderr, "");
  const { fill, run } = JSON.parse(stdout);
  assert.deepEqual([fill.announces, run.lost, run.errors, status], [10, 0, 0, 0]);
  assert.deepEqual([run.offersRelayed, run.answersRelayed], [2 * run.announces, 2 * run.announces]);
});

test("bench asks no one else's tracker", () => {
  const { status, stderr } = bench("udp://192.0.2.1:6969");
  assert.equal(status, 2);
  assert.match(stderr, /^chihaya bench: 192\.0\.2\.1 is neither on this machine nor in a private network/);
});

test("bench fails where what is answered is wrong", { skip }, async (t) => {
  const target = await startTarget(t, { kind: "faulty" });
  const { status, stdout } = bench(`http://127.0.0.1:${target.http}/`, "--seconds", "1", "--peers", "64");
  assert.equal(status, 1);
  assert.match(stdout, /^wrong {9}[1-9]/m);
});
