/**
 * Compares this tracker with others, and with the least that the kernel costs, in one run on one machine: at fixed rates, and
 * saturated.
 *
 * Usage: npm run bench:peers -- [--rounds 5] [--seconds 3] [--populations small,large] [--workloads udp,http-close]
 *   [--only WORD]... [--peer NAME=PROGRAM]... [--write]
 *
 * All servers are filled first. Then they get the same load in turn, load by load and round by round, so that what disturbs the
 * machine disturbs all. opentracker and aquatic take part if they are in PATH; `--peer` names other programs, such as
 * `--peer aquatic=/opt/aquatic_udp --peer "aquatic, io_uring=/opt/other" --peer chihaya-go=/opt/chihaya`. --only leaves the
 * contestants whose names contain one of the words. --write puts tables and plot into docs/performance.md, and all figures into
 * bench/results/peers.json; the loads that did not run keep their figures there.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Load } from "../src/load/load.ts";
import type { PopulationShape } from "../src/load/population.ts";
import {
  bittorrentTracker,
  type Contestant,
  chihaya,
  findForeign,
  httpFloor,
  udpFloor,
  type Workload,
} from "./support/contestants.ts";
import { createLoad, type Figures, fill, measure } from "./support/measure.ts";
import { plot } from "./support/plot.ts";
import { populations } from "./support/populations.ts";
import { type Measured, overview, type Report, table } from "./support/report.ts";
import { createScratchDirectory } from "./support/scratch.ts";
import { pinLoad, type Server } from "./support/server.ts";
import { checkTargets } from "./support/targets.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    populations: { type: "string", default: "small,large" },
    workloads: { type: "string", default: "udp,http-keep-alive,http-close" },
    only: { type: "string", multiple: true, default: [""] },
    peer: { type: "string", multiple: true, default: [] },
    write: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const workloads = values.workloads.split(",");

const main = "dist/cli/main.js"; // what users install; the sources need memory for the compiler as well
const contestants: readonly Contestant[] = [
  chihaya({ network: "linux", workers: 1, main }),
  chihaya({ network: "linux", workers: 1, whitelist: true, main }),
  chihaya({ network: "linux", workers: 2, main }),
  chihaya({ network: "portable", workers: 1, main }),
  chihaya({ network: "portable", workers: 2, main }),
  ...findForeign(values.peer),
  bittorrentTracker,
  udpFloor,
  httpFloor,
].filter(({ name }) => values.only.some((word) => name.includes(word)));

/** Requests a second. */
const rates: Readonly<Record<Workload, readonly number[]>> = {
  udp: [200, 2000, 5000, 20_000, 60_000],
  "http-keep-alive": [1000, 5000],
  "http-close": [1000, 5000],
};
/** A contestant that cannot do this share more than a rate is left out at that rate. */
const headroom = 1.1;

interface Runner {
  contestant: Contestant;
  server: Server;
  loads: { workload: Workload; load: Load; saturated: Figures[]; paced: Measured["paced"] }[];
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
  for (const contestant of contestants) {
    if (!contestant.workloads.some((workload) => workloads.includes(workload))) continue;
    if (shape.peers > (contestant.mostPeers ?? Number.POSITIVE_INFINITY)) continue;
    if (contestant.missing !== undefined) console.error(`${contestant.name}: ${contestant.missing}`);
    else runners.push(await enter(contestant, shape));
  }
  const all = runners.flatMap(({ contestant, server, loads }) =>
    loads.map((load) => ({ name: contestant.name, server, ...load })),
  );
  const byWorkload = Object.values(Object.groupBy(all, ({ workload }) => workload)).flat();
  for (let round = 0; round < rounds; round++) {
    for (const { name, server, workload, load, saturated } of byWorkload) {
      saturated.push(measureAndLog(name, workload, server, load));
    }
    for (const rate of new Set(Object.values(rates).flat())) {
      for (const { name, server, workload, load, saturated, paced } of byWorkload) {
        if (!rates[workload].includes(rate) || saturated[0]!.requestsPerSecond < headroom * rate) continue;
        const run = measureAndLog(name, workload, server, load, rate);
        const known = paced.find((each) => each.rate === rate);
        if (known === undefined) paced.push({ rate, runs: [run] });
        else known.runs.push(run);
      }
    }
  }
  const measured: Measured[] = [];
  for (const { contestant, server, loads } of runners) {
    for (const { workload, load, saturated, paced } of loads) {
      load.close();
      paced.sort((a, b) => a.rate - b.rate);
      measured.push({ contestant: contestant.name, workload, ...shape, paced, saturated });
    }
    await server.stop();
  }
  return measured;
}

function measureAndLog(name: string, workload: Workload, server: Server, load: Load, rate?: number): Figures {
  const run = measure(server, load, seconds, rate);
  console.error(
    `${name}, ${workload}${rate === undefined ? "" : ` at ${rate}/s`}: ${run.cpuMicroseconds.toFixed(2)} µs, ` +
      `${Math.round(run.requestsPerSecond)}/s, busy ${run.busy.toFixed(2)}, lost ${run.lost}`,
  );
  return run;
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
    if (!workloads.includes(workload)) continue;
    const load = await createLoad(server, workload, shape);
    load.run({ seconds: 1 });
    loads.push({ workload, load, saturated: [], paced: [] });
  }
  return { contestant, server, loads };
}

function write(): void {
  const bench = import.meta.dirname;
  const results = join(bench, "results/peers.json");
  const before: Report = JSON.parse(readFileSync(results, "utf8"));
  const key = ({ workload, torrents }: Measured) => `${workload} ${torrents}`;
  const ran = new Set(report.measured.map(key));
  report.measured.push(...before.measured.filter((measured) => !ran.has(key(measured))));
  report.measured.sort((a, b) => order(a) - order(b)); // stable: contestants stay in their order
  writeFileSync(results, `${JSON.stringify(report, null, 1)}\n`);
  writeFileSync(join(bench, "../docs/performance.svg"), plot(report));
  const file = join(bench, "../docs/performance.md");
  const machine = `${report.machine}. Medians of ${rounds} runs of ${seconds} s.`;
  const targets = checkTargets(report).map((line) => `- ${line}`);
  let text = readFileSync(file, "utf8");
  text = replaceSection(
    text,
    "overview",
    `![CPU time a request at each rate](performance.svg)\n\n${overview(report)}\n${machine}`,
  );
  text = replaceSection(text, "all", `${table(report)}\n${targets.join("\n")}`);
  writeFileSync(file, text);
}

function replaceSection(text: string, name: string, section: string): string {
  const marked = new RegExp(
    `(<!-- begin: npm run bench:peers -- --write, ${name} -->\n)[^]*(<!-- end: ${name} -->)`,
  );
  if (!marked.test(text)) throw new Error(`docs/performance.md has no markers for "${name}"`);
  return text.replace(marked, (_, begin, end) => `${begin}\n${section}\n\n${end}`);
}

/** Sorts by population, then by load. */
function order({ torrents, workload }: Measured): number {
  return torrents * 10 + Object.keys(rates).indexOf(workload);
}
