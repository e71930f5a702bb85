import type { Workload } from "./contestants.ts";
import { type Figures, median } from "./measure.ts";

/** All runs of one contestant under one load. */
export interface Measured {
  contestant: string;
  workload: Workload;
  torrents: number;
  peers: number;
  /** Runs as fast as the contestant responded. */
  runs: Figures[];
  /** Runs at a fixed rate. */
  paced: Figures[];
}

/** All results of a comparison. */
export interface Report {
  machine: string;
  seconds: number;
  rounds: number;
  measured: Measured[];
}

/** Medians of one contestant under one load. */
export interface Row {
  contestant: string;
  workload: Workload;
  torrents: number;
  peers: number;
  requestsPerSecond: number;
  cpuMicroseconds: number;
  busy: number;
  rssMiB: number;
  peersPerAnswer: number;
  /** Numbers of requests of all runs without a response, and with a wrong response. */
  lost: number;
  errors: number;
  sent: number;
  p50: number;
  p99: number;
  p999: number;
  rate: number;
}

export const workloadNames: Readonly<Record<Workload, string>> = {
  udp: "UDP",
  "http-keep-alive": "HTTP, keep-alive",
  "http-close": "HTTP, a connection each",
};

export function summarize(report: Report): Row[] {
  return report.measured.map(({ contestant, workload, torrents, peers, runs, paced }) => {
    const of = (pick: (figures: Figures) => number, from: Figures[] = runs) => median(from.map(pick));
    const sum = (pick: (figures: Figures) => number) => runs.reduce((total, run) => total + pick(run), 0);
    return {
      contestant,
      workload,
      torrents,
      peers,
      requestsPerSecond: of((run) => run.requestsPerSecond),
      cpuMicroseconds: of((run) => run.cpuMicroseconds),
      busy: of((run) => run.busy),
      rssMiB: of((run) => run.rssMiB),
      peersPerAnswer: of((run) => run.peersPerAnswer),
      lost: sum((run) => run.lost),
      errors: sum((run) => run.errors),
      sent: sum((run) => run.requestsPerSecond * report.seconds + run.lost + run.errors),
      p50: of((run) => run.latency!.p50, paced),
      p99: of((run) => run.latency!.p99, paced),
      p999: of((run) => run.latency!.p999, paced),
      rate: paced[0]!.latency!.rate,
    };
  });
}

/** Renders a table in Markdown for each load and population. */
export function table(report: Report): string {
  const rows = summarize(report);
  const groups = Map.groupBy(rows, ({ workload, torrents }) => `${torrents} ${workload}`);
  return [...groups.values()].map(groupTable).join("\n");
}

function groupTable(rows: Row[]): string {
  const { workload, torrents, peers, rate } = rows[0]!;
  const title = `### ${workloadNames[workload]}, ${count(torrents)} torrents, ${count(peers)} peers`;
  const head = `| | CPU µs a request | requests/s | busy | RSS MiB | peers | lost | wrong | p50 µs | p99 µs | p99.9 µs |`;
  const line = "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";
  const lines = rows.map((row) => {
    const cells = [
      row.contestant,
      row.cpuMicroseconds.toFixed(1),
      count(Math.round(row.requestsPerSecond)),
      row.busy.toFixed(2),
      row.rssMiB.toFixed(0),
      row.peersPerAnswer.toFixed(1),
      share(row.lost, row.sent),
      share(row.errors, row.sent),
      ...[row.p50, row.p99, row.p999].map((value) => count(Math.round(value))),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return `${title}\n\nLatencies at ${count(rate)} requests a second.\n\n${head}\n${line}\n${lines.join("\n")}\n`;
}

function share(part: number, of: number): string {
  return part === 0 ? "0" : `${((100 * part) / of).toPrecision(2)} %`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
