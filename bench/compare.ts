/**
 * Compares the CPU time per request of this checkout with that of another checkout, in one run. Both use the Linux network
 * and one worker.
 *
 * Usage: npm run bench:compare -- ANOTHER-CHECKOUT [--rounds 9] [--seconds 2] [--population small]
 *          [--workloads udp,http-keep-alive,http-close] [--rates 0]
 * Rate 0 is as fast as the tracker responds.
 *
 * Both trackers get the same peers. Each round measures both under each load, in alternating order. A ratio is the median
 * over the rounds of this tracker's CPU time divided by the other's; the spread is the distance between the quartiles.
 * Make the other checkout with `git worktree add --detach ../before REF`, and run `npm ci` there.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { PopulationShape } from "../src/load/population.ts";
import { chihaya, type Workload } from "./support/contestants.ts";
import { createLoad, fill, measure } from "./support/measure.ts";
import { populations } from "./support/populations.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad } from "./support/server.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "9" },
    seconds: { type: "string", default: "2" },
    population: { type: "string", default: "small" },
    workloads: { type: "string", default: "udp,http-keep-alive,http-close" },
    rates: { type: "string", default: "0" },
  },
});
const [other] = positionals;
const shape = populations[values.population];
if (other === undefined || shape === undefined) {
  console.error(
    `usage: npm run bench:compare -- ANOTHER-CHECKOUT; populations: ${Object.keys(populations).join(", ")}`,
  );
  process.exit(2);
}

pinLoad();
const directory = createScratchDirectory();
const options = { network: "linux", workers: 1 } as const;
const sides = [chihaya(options), chihaya({ ...options, main: resolve(other, "src/cli/main.ts") })];
const servers = await Promise.all(sides.map((side) => side.start(directory, shape)));
for (const server of servers) await fill(server, shape);

for (const workload of values.workloads.split(",") as Workload[]) {
  for (const rate of values.rates.split(",").map(Number)) await compare(workload, shape, rate);
}
console.log(`RSS: ${servers.map((server) => server.rssMiB().toFixed(1)).join(" against ")} MiB`);
for (const server of servers) await server.stop();

async function compare(workload: Workload, shape: PopulationShape, rate: number): Promise<void> {
  const loads = await Promise.all(servers.map((server) => createLoad(server, workload, shape)));
  for (const load of loads) load.run({ seconds: 1 });
  const cpu: [number, number][] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const run: [number, number] = [0, 0];
    for (const side of round % 2 === 0 ? [0, 1] : [1, 0]) {
      run[side] = measure(
        servers[side]!,
        loads[side]!,
        Number(values.seconds),
        rate || undefined,
      ).cpuMicroseconds;
    }
    cpu.push(run);
  }
  for (const load of loads) load.close();
  const ratios = cpu.map(([here, there]) => here / there);
  const at = (list: number[], share: number) =>
    list.toSorted((a, b) => a - b)[Math.floor(share * (list.length - 1))]!;
  const median = (side: 0 | 1) =>
    at(
      cpu.map((run) => run[side]),
      0.5,
    ).toFixed(2);
  const spread = [0.25, 0.75].map((share) => at(ratios, share).toFixed(3)).join(" to ");
  console.log(
    `${workload}, ${rate === 0 ? "saturated" : `${rate}/s`}: ${median(0)} against ${median(1)} µs, ratio ${at(ratios, 0.5).toFixed(3)} (${spread})`,
  );
}
