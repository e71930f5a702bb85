/**
 * Fails when an announce over UDP costs more than recorded: CPU time a request as a multiple of what the echo in C costs on the
 * same machine, saturated and at a fixed rate, compared with bench/results/ratio.json and an allowance. A failure is measured again,
 * because anything else that the machine does at the same time can only raise the ratio.
 *
 * Record new ratios after a change that is meant to cost, on a quiet machine: RECORD=1 npm run bench:quick
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Load } from "../src/load/load.ts";
import { chihaya, udpFloor } from "./support/contestants.ts";
import { createLoad, fill, measure, median } from "./support/measure.ts";
import { pinLoad, type Server } from "./support/server.ts";

const shape = { torrents: 10_000, peers: 100_000 };
const rounds = 11;
const attempts = 2;
const seconds = 0.5;
/** A sleeping server's cost varies more from run to run. */
const allowance = { saturated: 1.25, paced: 1.5 };
/** Requests a second of the fixed rate: few enough that the server sleeps between them. */
const pacedRate = 5000;
const file = join(import.meta.dirname, "results/ratio.json");

/** Ratios of this tracker's CPU time to the echo's. */
type Ratios = Record<"saturated" | "paced", number>;

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

describe("an announce over UDP costs no more of the echo's time than recorded", { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-quick-"));
  const running: Running[] = [];
  const measured: Partial<Ratios> = {};
  const recorded: Ratios = JSON.parse(readFileSync(file, "utf8"));

  before(async () => {
    pinLoad();
    for (const contestant of [chihaya({ network: "linux", workers: 1 }), udpFloor]) {
      const server = await contestant.start(directory, shape);
      if (contestant.isTracker) await fill(server, shape);
      const load = await createLoad(server, "udp", shape);
      running.push({ server, load });
      load.run({ seconds: 1 });
    }
  });

  after(async () => {
    for (const { server, load } of running) {
      load.close();
      await server.stop();
    }
    rmSync(directory, { recursive: true });
    if (process.env.RECORD !== undefined)
      writeFileSync(file, `${JSON.stringify({ ...recorded, ...measured })}\n`);
  });

  for (const [name, rate] of Object.entries({ saturated: undefined, paced: pacedRate })) {
    test(`${name}: ${rate ?? "as many"} requests a second`, (t) => {
      const kind = name as keyof Ratios;
      const most = recorded[kind] * allowance[kind];
      let ratio = Number.POSITIVE_INFINITY;
      for (let attempt = 0; attempt < attempts && ratio > most; attempt++) {
        ratio = medianRatio(running, rate);
        t.diagnostic(`ratio ${ratio.toFixed(3)}, at most ${most.toFixed(3)}`);
      }
      measured[kind] = Number(ratio.toFixed(3));
      if (process.env.RECORD !== undefined) return;
      assert.ok(ratio <= most, `ratio ${ratio.toFixed(3)}, at most ${most.toFixed(3)}`);
    });
  }
});

/** Compares the two in turn, within each round, so that both have had the same machine. */
function medianRatio(running: readonly Running[], rate: number | undefined): number {
  const ratios = Array.from({ length: rounds }, () => {
    const [own, floor] = running.map((each) => cpuPerRequest(each, rate));
    return own! / floor!;
  });
  return median(ratios);
}

function cpuPerRequest({ server, load }: Running, rate: number | undefined): number {
  const { cpuMicroseconds, peersPerAnswer } = measure(server, load, seconds, rate);
  assert.ok(peersPerAnswer > 20, "responses have peers");
  return cpuMicroseconds;
}
