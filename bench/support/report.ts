import type { PopulationShape } from "../../src/load/population.ts";
import type { Workload } from "./contestants.ts";
import { type Figures, median } from "./measure.ts";

/** All runs of one contestant under one load. */
export interface Measured extends PopulationShape {
  contestant: string;
  workload: Workload;
  /** At fixed rates, the lowest first. */
  paced: { rate: number; runs: Figures[] }[];
  /** As fast as the contestant responds. */
  saturated: Figures[];
}

/** All results of a comparison. */
export interface Report {
  machine: string;
  seconds: number;
  rounds: number;
  measured: Measured[];
}

/** One contestant under one load at one rate: medians. */
export interface Row extends PopulationShape {
  contestant: string;
  workload: Workload;
  /** Requests a second; undefined if saturated. */
  rate: number | undefined;
  requestsPerSecond: number;
  cpuMicroseconds: number;
  busy: number;
  rssMiB: number;
  peersPerAnswer: number;
  /** Requests of all runs without a response, and with a wrong response. */
  lost: number;
  errors: number;
  sent: number;
  /** Microseconds; undefined if saturated. */
  p50: number | undefined;
  p99: number | undefined;
}

const workloadNames: Readonly<Record<Workload, string>> = {
  udp: "UDP",
  "http-keep-alive": "HTTP, keep-alive",
  "http-close": "HTTP, a connection each",
};

/** Names a load and its population. */
export function titleOf({ workload, torrents, peers }: Row): string {
  return `${workloadNames[workload]}, ${count(torrents)} torrents, ${count(peers)} peers`;
}

/** Groups the rows by load and population, in their order. */
export function groups(report: Report): Row[][] {
  const rows = report.measured.flatMap((measured) => summarize(measured, report.seconds));
  return [...Map.groupBy(rows, titleOf).values()];
}

function summarize(measured: Measured, seconds: number): Row[] {
  const { paced, saturated, ...what } = measured;
  return [...paced, { rate: undefined, runs: saturated }].map(({ rate, runs }) => {
    const of = (pick: (figures: Figures) => number) => median(runs.map(pick));
    const sum = (pick: (figures: Figures) => number) => runs.reduce((total, run) => total + pick(run), 0);
    return {
      ...what,
      rate,
      requestsPerSecond: of((run) => run.requestsPerSecond),
      cpuMicroseconds: of((run) => run.cpuMicroseconds),
      busy: of((run) => run.busy),
      rssMiB: of((run) => run.rssMiB),
      peersPerAnswer: of((run) => run.peersPerAnswer),
      lost: sum((run) => run.lost),
      errors: sum((run) => run.errors),
      sent: sum((run) => run.requestsPerSecond * seconds + run.lost + run.errors),
      p50: rate === undefined ? undefined : of((run) => run.latency!.p50),
      p99: rate === undefined ? undefined : of((run) => run.latency!.p99),
    };
  });
}

/** Writes two tables in Markdown for each load and population: at fixed rates, and saturated. */
export function table(report: Report): string {
  return groups(report)
    .map((rows) => `### ${titleOf(rows[0]!)}\n\n${pacedTable(rows)}\n${saturatedTable(rows)}`)
    .join("\n");
}

/** Renders a table of the CPU time of each contestant at each rate, for the first load. */
export function overview(report: Report): string {
  const rows = groups(report)[0] ?? [];
  const rates = [...new Set(rows.map(({ rate }) => rate))].sort((a, b) => (a ?? Infinity) - (b ?? Infinity));
  const head = rates.map((rate) => (rate === undefined ? "saturated" : `${count(rate)}/s`));
  const lines = [...Map.groupBy(rows, ({ contestant }) => contestant)].map(([contestant, own]) => {
    const cells = rates.map(
      (rate) => own.find((row) => row.rate === rate)?.cpuMicroseconds.toFixed(1) ?? "–",
    );
    return `| ${[contestant, ...cells].join(" | ")} |\n`;
  });
  return `| CPU µs a request | ${head.join(" | ")} |\n|---|${"---:|".repeat(rates.length)}\n${lines.join("")}`;
}

function pacedTable(rows: readonly Row[]): string {
  const paced = rows.filter(({ rate }) => rate !== undefined).sort((a, b) => a.rate! - b.rate!);
  return markdown(
    ["requests/s", "", "CPU µs a request", "busy", "p50 µs", "p99 µs", "lost"],
    paced.map((row) => [
      count(row.rate!),
      row.contestant,
      row.cpuMicroseconds.toFixed(1),
      row.busy.toFixed(3),
      count(Math.round(row.p50!)),
      count(Math.round(row.p99!)),
      share(row.lost + row.errors, row.sent),
    ]),
  );
}

function saturatedTable(rows: readonly Row[]): string {
  const saturated = rows.filter(({ rate }) => rate === undefined);
  return markdown(
    ["saturated, requests/s", "", "CPU µs a request", "busy", "RSS MiB", "peers", "lost", "wrong"],
    saturated.map((row) => [
      count(Math.round(row.requestsPerSecond)),
      row.contestant,
      row.cpuMicroseconds.toFixed(1),
      row.busy.toFixed(2),
      row.rssMiB.toFixed(0),
      row.peersPerAnswer.toFixed(1),
      share(row.lost, row.sent),
      share(row.errors, row.sent),
    ]),
  );
}

/** Writes a table whose second column has names and whose other columns have numbers. */
function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = head.map((_, column) => (column === 1 ? "---" : "---:"));
  return [head, line, ...rows].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

function share(part: number, of: number): string {
  return part === 0 ? "0" : `${((100 * part) / of).toPrecision(2)} %`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
