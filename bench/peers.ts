/**
 * Compares this tracker with other trackers, and with the cost of the kernel alone, in one run on one machine.
 *
 * Usage: npm run bench:peers -- [--rounds 5] [--seconds 3] [--populations small,large] [--only WORD] [--write]
 *
 * All servers get their peers first. Then each load and each round measures the servers in turn, so that a disturbance of
 * the machine affects all of them.
 * --only selects the contestants whose names contain a word. --write puts the table and the plot into docs/performance.md,
 * and all figures into bench/results/peers.json.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Load } from "../src/load/load.ts";
import type { PopulationShape } from "../src/load/population.ts";
import {
  bittorrentTracker,
  type Contestant,
  chihaya,
  httpFloor,
  opentracker,
  udpFloor,
  type Workload,
} from "./support/contestants.ts";
import { createLoad, type Figures, fill, measure } from "./support/measure.ts";
import { plot } from "./support/plot.ts";
import { populations } from "./support/populations.ts";
import { type Measured, type Report, summarize, table } from "./support/report.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad, type Server } from "./support/server.ts";
import { checkTargets } from "./support/targets.ts";

const contestants: readonly Contestant[] = [
  chihaya({ network: "linux", workers: 1 }),
  chihaya({ network: "linux", workers: 1, whitelist: true }),
  chihaya({ network: "linux", workers: 2 }),
  chihaya({ network: "portable", workers: 1 }),
  chihaya({ network: "portable", workers: 2 }),
  opentracker,
  bittorrentTracker,
  udpFloor,
  httpFloor,
];

/** Requests per second for the comparison of latencies; well below the peak of the slowest contestant. */
const rates: Readonly<Record<Workload, number>> = {
  udp: 1000,
  "http-keep-alive": 1000,
  "http-close": 500,
};

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    populations: { type: "string", default: "small,large" },
    only: { type: "string", default: "" },
    write: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

interface Runner {
  contestant: Contestant;
  server: Server;
  loads: { workload: Workload; load: Load; runs: Figures[]; paced: Figures[] }[];
}

const report: Report = {
  machine: `${cpus()[0]!.model.trim()}, ${availableParallelism()} processors, Linux ${release()}, Node.js ${process.version}`,
  seconds,
  rounds,
  measured: [],
};
pinLoad();
const directory = createScratchDirectory();
for (const name of values.populations.split(",")) {
  const shape = populations[name];
  if (shape === undefined) throw new Error(`${name}: the populations are ${Object.keys(populations)}`);
  report.measured.push(...(await comparePopulation(shape)));
}
console.log(table(report));
for (const line of checkTargets(report)) console.log(line);
if (values.write) write();

async function comparePopulation(shape: PopulationShape): Promise<Measured[]> {
  const runners: Runner[] = [];
  for (const contestant of contestants.filter(({ name }) => name.includes(values.only))) {
    if (shape.peers > (contestant.mostPeers ?? Number.POSITIVE_INFINITY)) continue;
    if (contestant.missing !== undefined) console.error(`${contestant.name}: ${contestant.missing}`);
    else runners.push(await enter(contestant, shape));
  }
  const all = runners.flatMap(({ contestant, server, loads }) =>
    loads.map((load) => ({ name: contestant.name, server, ...load })),
  );
  const byWorkload = Object.values(Object.groupBy(all, ({ workload }) => workload)).flat();
  for (let round = 0; round < rounds; round++) {
    for (const { name, server, workload, load, runs } of byWorkload) {
      const run = measure(server, load, seconds);
      runs.push(run);
      console.error(
        `${name}, ${workload}: ${run.cpuMicroseconds.toFixed(2)} µs, ` +
          `${Math.round(run.requestsPerSecond)}/s, busy ${run.busy.toFixed(2)}, lost ${run.lost}`,
      );
    }
    for (const { server, workload, load, paced } of byWorkload) {
      paced.push(measure(server, load, seconds, rates[workload]));
    }
  }
  const measured: Measured[] = [];
  for (const { contestant, server, loads } of runners) {
    for (const { workload, load, runs, paced } of loads) {
      load.close();
      measured.push({ contestant: contestant.name, workload, ...shape, runs, paced });
    }
    await server.stop();
  }
  return measured;
}

/** Starts a contestant, announces all peers to it and warms it up. */
async function enter(contestant: Contestant, shape: PopulationShape): Promise<Runner> {
  const server = await contestant.start(directory, shape);
  if (contestant.isTracker) {
    const filled = await fill(server, shape);
    const { announces, sent } = filled;
    console.error(`${contestant.name}: ${announces} of ${sent} peers in ${filled.seconds.toFixed(0)} s`);
  }
  const loads = [];
  for (const workload of contestant.workloads) {
    const load = await createLoad(server, workload, shape);
    load.run({ seconds: 1 });
    loads.push({ workload, load, runs: [], paced: [] });
  }
  return { contestant, server, loads };
}

function write(): void {
  const bench = import.meta.dirname;
  mkdirSync(join(bench, "results"), { recursive: true });
  writeFileSync(join(bench, "results/peers.json"), `${JSON.stringify(report, null, 1)}\n`);
  const rows = summarize(report);
  writeFileSync(join(bench, "../docs/performance.svg"), plot(rows));
  const file = join(bench, "../docs/performance.md");
  const marked = /(<!-- begin: npm run bench:peers -- --write -->\n)[\s\S]*(<!-- end: peers -->)/;
  const text = readFileSync(file, "utf8");
  if (!marked.test(text)) throw new Error("docs/performance.md has no markers");
  const targets = checkTargets(report).map((line) => `- ${line}`);
  const section = `\n${report.machine}. Medians of ${rounds} runs of ${seconds} s.\n\n![CPU time a request](performance.svg)\n\n${table(report)}\n${targets.join("\n")}\n`;
  writeFileSync(
    file,
    text.replace(marked, (_, begin, end) => `${begin}${section}\n${end}`),
  );
}
