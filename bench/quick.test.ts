/**
 * Fails when an announce over UDP has become dearer: CPU time a request, as a multiple of what the bare echo costs on the same
 * machine, against the recorded one (bench/results/ratio.json) and a quarter.
 *
 * Record a new one after a change that is meant to cost, on a quiet machine: RECORD=1 npm run bench:quick
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chihaya, udpFloor } from "./support/contestants.ts";
import { createLoad, fill, measure } from "./support/measure.ts";
import { pinLoad } from "./support/server.ts";

const shape = { torrents: 10_000, peers: 100_000 };
const rounds = 8;
const seconds = 0.5;
const allowance = 1.25;
const file = join(import.meta.dirname, "results/ratio.json");

const skip =
  process.platform !== "linux"
    ? "the batched engine is for Linux"
    : availableParallelism() < 2
      ? "the load needs a processor of its own"
      : (udpFloor.missing ?? false);

test("an announce over UDP costs no more of the echo's time than it did", { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-quick-"));
  t.after(() => rmSync(directory, { recursive: true }));
  pinLoad();
  const tracker = await chihaya({ network: "linux", workers: 1 }).start(directory, shape);
  t.after(() => tracker.stop());
  const echo = await udpFloor.start(directory, shape);
  t.after(() => echo.stop());
  await fill(tracker, shape);
  const loads = [];
  for (const server of [tracker, echo]) {
    const load = await createLoad(server, "udp", shape);
    t.after(() => load.close());
    load.run({ seconds: 1 });
    loads.push({ server, load, least: Number.POSITIVE_INFINITY });
  }
  // In turn, and the least of each: whatever else the machine does can only make a run dearer.
  for (let round = 0; round < rounds; round++) {
    for (const each of loads) {
      const { cpuMicroseconds, peersPerAnswer } = measure(each.server, each.load, seconds);
      assert.ok(peersPerAnswer > 20, "answers have peers");
      each.least = Math.min(each.least, cpuMicroseconds);
    }
  }
  const [own, floor] = loads.map(({ least }) => least) as [number, number];
  const ratio = own / floor;
  t.diagnostic(`${own.toFixed(2)} µs, echo ${floor.toFixed(2)} µs: ratio ${ratio.toFixed(3)}`);
  if (process.env.RECORD !== undefined) {
    writeFileSync(file, `${JSON.stringify({ udp: Number(ratio.toFixed(3)) })}\n`);
    return;
  }
  const recorded: { udp: number } = JSON.parse(readFileSync(file, "utf8"));
  const most = recorded.udp * allowance;
  assert.ok(ratio <= most, `ratio ${ratio.toFixed(3)}, at most ${most.toFixed(3)}`);
});
