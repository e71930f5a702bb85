/**
 * Fails if the CPU time of an announce over UDP has grown. The CPU time is measured as a multiple of that of a plain echo on
 * the same machine. The multiple may exceed the recorded one (bench/results/ratio.json) by a quarter. A failure is measured
 * again, because other work on the machine can only increase the multiple.
 *
 * To record a new multiple after a change that costs time on purpose, run on a quiet machine: RECORD=1 npm run bench:quick
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Load } from "../src/load/load.ts";
import { chihaya, udpFloor } from "./support/contestants.ts";
import { createLoad, fill, measure, median } from "./support/measure.ts";
import { pinLoad, type Server } from "./support/server.ts";

const shape = { torrents: 10_000, peers: 100_000 };
const rounds = 11;
const attempts = 2;
const seconds = 0.5;
const allowance = 1.25;
const file = join(import.meta.dirname, "results/ratio.json");

const skip =
  process.platform !== "linux"
    ? "the batched network needs Linux"
    : availableParallelism() < 2
      ? "the load needs a processor of its own"
      : (udpFloor.missing ?? false);

/** A server and its load generator. */
interface Running {
  server: Server;
  load: Load;
}

test("an announce over UDP costs no more of the echo's time than it did", { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-quick-"));
  t.after(() => rmSync(directory, { recursive: true }));
  pinLoad();
  const tracker = await chihaya({ network: "linux", workers: 1 }).start(directory, shape);
  t.after(() => tracker.stop());
  const echo = await udpFloor.start(directory, shape);
  t.after(() => echo.stop());
  await fill(tracker, shape);
  const loads: Running[] = [];
  for (const server of [tracker, echo]) {
    const load = await createLoad(server, "udp", shape);
    t.after(() => load.close());
    load.run({ seconds: 1 });
    loads.push({ server, load });
  }
  const [own, floor] = loads as [Running, Running];
  const recorded: { udp: number } = JSON.parse(readFileSync(file, "utf8"));
  const most = recorded.udp * allowance;
  let ratio = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < attempts && ratio > most; attempt++) {
    ratio = medianRatio(own, floor);
    t.diagnostic(`ratio ${ratio.toFixed(3)}, at most ${most.toFixed(3)}`);
  }
  if (process.env.RECORD !== undefined) {
    writeFileSync(file, `${JSON.stringify({ udp: Number(ratio.toFixed(3)) })}\n`);
    return;
  }
  assert.ok(ratio <= most, `ratio ${ratio.toFixed(3)}, at most ${most.toFixed(3)}`);
});

/** Measures both servers in turn, and compares them within each round, under the same conditions. */
function medianRatio(own: Running, floor: Running): number {
  return median(Array.from({ length: rounds }, () => cpuPerRequest(own) / cpuPerRequest(floor)));
}

function cpuPerRequest({ server, load }: Running): number {
  const { cpuMicroseconds, peersPerAnswer } = measure(server, load, seconds);
  assert.ok(peersPerAnswer > 20, "answers have peers");
  return cpuMicroseconds;
}
