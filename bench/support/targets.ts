import type { Workload } from "./contestants.ts";
import { median } from "./measure.ts";
import type { Measured, Report } from "./report.ts";

const own = "chihaya, linux, 1 worker";
/** Contestants with a whitelist; this tracker is compared with them with a whitelist too. */
const withList: ReadonlySet<string> = new Set(["opentracker"]);

interface Target {
  of: string;
  to: string;
  workload: Workload;
  torrents: number;
  most: number;
}

/** Maximum ratios of CPU time per request for this tracker. */
const targets: readonly Target[] = [
  ...against("udp", 10_000, { "floor: C, batched echo": 1.35, opentracker: 0.6, "bittorrent-tracker": 0.15 }),
  ...against("udp", 1_000_000, { "floor: C, batched echo": 1.6, opentracker: 0.7 }),
  ...against("http-keep-alive", 10_000, { "floor: node:http, constant": 0.5 }),
  ...against("http-close", 10_000, { opentracker: 0.9 }),
  { of: "chihaya, linux, 2 workers", to: own, workload: "udp", torrents: 10_000, most: 1.15 },
];

function against(workload: Workload, torrents: number, others: Record<string, number>): Target[] {
  return Object.entries(others).map(([to, most]) => ({
    of: withList.has(to) ? `${own}, whitelist` : own,
    to,
    workload,
    torrents,
    most,
  }));
}

/**
 * Renders a line for each target with figures in a report. A ratio is the median over the rounds. Each round measures both
 * servers shortly after each other, because the speed of the machine changes from minute to minute.
 */
export function checkTargets({ measured }: Report): string[] {
  return targets.flatMap(({ of, to, workload, torrents, most }) => {
    const find = (contestant: string): Measured | undefined =>
      measured.find(
        (each) => each.contestant === contestant && each.workload === workload && each.torrents === torrents,
      );
    const [one, other] = [find(of), find(to)];
    if (one === undefined || other === undefined) return [];
    const ratio = median(one.runs.map((run, i) => run.cpuMicroseconds / other.runs[i]!.cpuMicroseconds));
    const result = ratio <= most ? "kept" : "**missed**";
    const what = `${workload}, ${torrents.toLocaleString("en-US")} torrents: ${of} / ${to}`;
    return [`${what} = ${ratio.toFixed(2)}, at most ${most}: ${result}`];
  });
}
