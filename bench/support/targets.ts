import type { Workload } from "./contestants.ts";
import { type Figures, median } from "./measure.ts";
import type { Measured, Report } from "./report.ts";

const own = "chihaya, linux, 1 worker";
/** The contestants that look every torrent up in a list, as this tracker then does too. */
const withList: ReadonlySet<string> = new Set(["opentracker"]);
const echo = "floor: C, batched echo";

/** At most this ratio of CPU time a request to another contestant. */
interface Target {
  of: string;
  to: string;
  workload: Workload;
  torrents: number;
  /** Requests a second; undefined if saturated. */
  rate?: number;
  most: number;
}

/** Maximum ratios of CPU time per request for this tracker. */
const targets: readonly Target[] = [
  ...against("udp", 10_000, 200, { aquatic: 1, opentracker: 1 }),
  ...against("udp", 10_000, 2000, { aquatic: 1, opentracker: 1 }),
  ...against("udp", 10_000, 5000, { aquatic: 0.6, opentracker: 0.6 }),
  ...against("udp", 10_000, 20_000, { aquatic: 0.42, opentracker: 0.42 }),
  ...against("udp", 10_000, 60_000, { aquatic: 0.95, opentracker: 0.95 }),
  ...against("udp", 10_000, undefined, {
    [echo]: 1.28,
    opentracker: 0.65,
    aquatic: 0.95,
    "bittorrent-tracker": 0.15,
  }),
  ...against("udp", 1_000_000, undefined, { [echo]: 1.6, opentracker: 0.7 }),
  ...against("http-keep-alive", 10_000, undefined, { "floor: node:http, constant": 0.5 }),
  ...against("http-close", 10_000, 1000, { opentracker: 1 }),
  ...against("http-close", 10_000, 5000, { opentracker: 1 }),
  ...against("http-close", 10_000, undefined, { opentracker: 0.85 }),
  ...[200, 2000, 5000, 20_000, 60_000].map((rate) => twoWorkers({ rate })),
  twoWorkers({}),
];

function against(
  workload: Workload,
  torrents: number,
  rate: number | undefined,
  others: Record<string, number>,
): Target[] {
  return Object.entries(others).map(([to, most]) => ({
    of: withList.has(to) ? `${own}, whitelist` : own,
    to,
    workload,
    torrents,
    ...(rate === undefined ? {} : { rate }),
    most,
  }));
}

function twoWorkers(at: Pick<Target, "rate">): Target {
  return { of: "chihaya, linux, 2 workers", to: own, workload: "udp", torrents: 10_000, ...at, most: 1.25 };
}

/**
 * Renders a line for each target with figures in a report. A ratio is the median over the rounds. Each round measures both
 * servers shortly after each other, because the speed of the machine changes from minute to minute.
 */
export function checkTargets({ measured }: Report): string[] {
  return targets.flatMap((target) => {
    const [one, other] = [find(measured, target, target.of), find(measured, target, target.to)];
    if (one === undefined || other === undefined) return [];
    const ratio = median(one.map((run, i) => run.cpuMicroseconds / other[i]!.cpuMicroseconds));
    const verdict = ratio <= target.most ? "kept" : "**missed**";
    const rate = target.rate === undefined ? "saturated" : `${target.rate.toLocaleString("en-US")}/s`;
    const what = `${target.workload}, ${target.torrents.toLocaleString("en-US")} torrents, ${rate}`;
    return [`${what}: ${target.of} / ${target.to} = ${ratio.toFixed(2)}, at most ${target.most}: ${verdict}`];
  });
}

function find(measured: readonly Measured[], target: Target, contestant: string): Figures[] | undefined {
  const { workload, torrents, rate } = target;
  const found = measured.find(
    (each) => each.contestant === contestant && each.workload === workload && each.torrents === torrents,
  );
  if (rate === undefined) return found?.saturated;
  return found?.paced.find((paced) => paced.rate === rate)?.runs;
}
