/** The screen of `chihaya top`, as lines of text. */
import { legible } from "../lib/legible.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMilliseconds,
  formatNumber,
  formatRate,
  formatShare,
} from "../lib/quantities.ts";
import type { Stats } from "../operator/api/endpoints/stats.ts";

/** What the screen shows. A part that the tracker does not have is undefined. */
export interface TopState {
  readonly stats: Stats;
  /** Values of the last seconds, by the name of their series. */
  readonly series: Readonly<Record<string, readonly (number | null)[]>>;
  readonly workers?: readonly Worker[] | undefined;
  readonly torrents?: readonly Torrent[] | undefined;
  /** The stats of some seconds ago, for rates of errors. */
  readonly before?: Stats | undefined;
}

export interface Worker {
  readonly worker: number;
  readonly state: string;
  readonly cpu: number | null;
  readonly loop_lag_ms: number | null;
  readonly heap_bytes: number | null;
  readonly restarts: number;
  readonly uptime_seconds: number | null;
}

export interface Torrent {
  readonly info_hash: string;
  readonly peers: number;
  readonly seeders: number;
  readonly leechers: number;
  readonly completed: number;
}

/** How a text stands out. */
export interface Style {
  strong(text: string): string;
  faint(text: string): string;
  bad(text: string): string;
}

const same = (text: string): string => text;

/** For files and pipes. */
export const plainStyle: Style = { strong: same, faint: same, bad: same };

const sgr =
  (code: number) =>
  (text: string): string =>
    `\u001b[${code}m${text}\u001b[0m`;

/** For terminals. */
export const ansiStyle: Style = { strong: sgr(1), faint: sgr(2), bad: sgr(31) };

/** Rows of errors. */
const shownErrors = 6;
/** Columns of labels. */
const labelWidth = 11;

/**
 * Renders the screen. Texts of peers and of the tracker are escaped, so the lines have no control characters but those of
 * the style.
 * @param where  what is shown as the place of the tracker
 * @param width  columns; longer lines are cut
 * @param height lines at most; the list of torrents gets what is left
 */
export function renderTop(
  { stats, series, workers, torrents, before }: TopState,
  style: Style,
  where: string,
  width: number,
  height: number,
): string[] {
  const lines: string[] = [];
  const add = (text: string, paint: (text: string) => string = same) => lines.push(paint(cut(text, width)));
  const row = (label: string, text: string, isBad = false) =>
    add(label.padEnd(labelWidth) + text, isBad ? style.bad : same);
  const rate = (...names: readonly string[]) => formatRate(sumOf(names.map((name) => mean(series[name]))));

  const { store, process, web } = stats;
  const hasWeb = web.sockets !== null;
  add(
    `chihaya ${legible(stats.version)}  up ${formatDuration(stats.uptime_seconds)}  ${formatCount(stats.workers)} workers  ${legible(where)}`,
    style.strong,
  );
  add("");
  row(
    "Announces",
    `${rate("udp_announces", "http_announces", "websocket_announces")}   UDP ${rate("udp_announces")}   HTTP ${rate("http_announces")}${hasWeb ? `   WebSocket ${rate("websocket_announces")}` : ""}   scrapes ${rate("udp_scrapes", "http_scrapes", "websocket_scrapes")}   connects ${rate("udp_connects")}`,
  );
  const { seeders, leechers } = stats;
  row(
    "Peers",
    `${formatCount(seeders === null || leechers === null ? null : seeders + leechers)}   ${formatCount(seeders)} seeders   ${formatCount(leechers)} leechers   IPv4 ${formatCount(stats.peers.ipv4)}   IPv6 ${formatCount(stats.peers.ipv6)}${hasWeb ? `   web ${formatCount(stats.peers.web)}` : ""}`,
  );
  row("Torrents", formatCount(stats.torrents));
  if (hasWeb)
    row(
      "Browsers",
      `${formatCount(web.sockets)} WebSockets   offers ${rate("web_offers")}   answers ${rate("web_answers")}   ${formatShare(web.answered_share)} answered in the last 15 min`,
    );
  const { p50, p90, p99 } = stats.latency_ms;
  row(
    "Latency",
    p99 === null
      ? "not measured, or no requests; enable_request_timing measures it"
      : `p50 ${formatMilliseconds(p50)}   p90 ${formatMilliseconds(p90)}   p99 ${formatMilliseconds(p99)}   in the last minute`,
  );
  row(
    "Errors",
    `${rate("errors")}   ${formatCount(stats.error_responses)} in all   dropped ${rate("dropped")}`,
  );
  const fill = store.used !== null && store.capacity ? store.used / store.capacity : null;
  row(
    "Store",
    fill === null
      ? `${formatCount(store.used)} peers`
      : `${bar(fill)} ${formatShare(fill)}   ${formatCount(store.used)} of ${formatCount(store.capacity)}   ${formatCount(store.refused)} refused`,
    (fill ?? 0) > 0.9 || store.refused > 0,
  );
  row(
    "Process",
    `${formatNumber(mean(series.cpu))} cores   ${formatBytes(process.resident_bytes)}   ${formatCount(newest(series.http_connections))} HTTP connections   ${formatCount(process.worker_restarts)} restarts`,
    process.worker_restarts > 0,
  );

  if (stats.errors.length > 0) {
    add("");
    add(`${"TOTAL".padStart(14)}${"NOW/S".padStart(9)}  ERROR`, style.faint);
    const seconds = before === undefined ? 0 : stats.uptime_seconds - before.uptime_seconds;
    for (const { protocol, error, count } of stats.errors.slice(0, shownErrors)) {
      const earlier =
        before?.errors.find((one) => one.protocol === protocol && one.error === error)?.count ?? 0;
      const now = seconds > 0 ? formatNumber(Math.max(0, count - earlier) / seconds) : "–";
      add(`${formatCount(count).padStart(14)}${now.padStart(9)}  ${legible(protocol)}: ${legible(error)}`);
    }
  }

  if (workers !== undefined && workers.length > 0) {
    add("");
    add("WORKER  STATE          CPU   LAG P99       HEAP          UP  RESTARTS", style.faint);
    for (const { worker, state, cpu, loop_lag_ms, heap_bytes, restarts, uptime_seconds } of workers) {
      add(
        `${`${worker}`.padStart(6)}  ${legible(state).padEnd(12)}${formatShare(cpu).padStart(6)}${formatMilliseconds(loop_lag_ms).padStart(10)}${formatBytes(heap_bytes).padStart(11)}${formatDuration(uptime_seconds).padStart(12)}${formatCount(restarts).padStart(10)}`,
        state === "serving" ? same : style.bad,
      );
    }
  }

  if (torrents !== undefined) {
    add("");
    add(
      `${"INFO HASH".padEnd(40)}${"PEERS".padStart(12)}${"SEEDERS".padStart(12)}${"LEECHERS".padStart(12)}${"COMPLETED".padStart(14)}`,
      style.faint,
    );
    if (torrents.length === 0) add("no torrents yet");
    for (const { info_hash, peers, ...counts } of torrents.slice(0, Math.max(0, height - lines.length))) {
      add(
        `${legible(info_hash).padEnd(40)}${formatCount(peers).padStart(12)}${formatCount(counts.seeders).padStart(12)}${formatCount(counts.leechers).padStart(12)}${formatCount(counts.completed).padStart(14)}`,
      );
    }
  }
  return lines.slice(0, height);
}

function bar(share: number): string {
  const cells = Math.round(Math.min(1, Math.max(0, share)) * 20);
  return `[${"#".repeat(cells)}${"-".repeat(20 - cells)}]`;
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : text.slice(0, width);
}

function mean(values: readonly (number | null)[] = []): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

function newest(values: readonly (number | null)[] = []): number | null {
  return values.findLast((value) => value !== null) ?? null;
}

function sumOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}
