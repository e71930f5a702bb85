import type { ComponentChildren } from "preact";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMilliseconds,
  formatNumber,
  formatShare,
} from "../../src/lib/quantities.ts";
import type { Stats } from "./api.ts";
import { type Columns, newest, secondsUntilFull, sum } from "./history.ts";

/** Values of the last ten seconds are averaged: single seconds jump too much to be read. */
function recent(values: readonly (number | null)[] | undefined): number | null {
  const known = (values ?? []).slice(-10).filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((total, value) => total + value, 0) / known.length;
}

/** Returns whether latency is unknown only for want of requests, if at all. */
export function isTimingKnown({ latency_ms: latency, rates }: Stats): boolean {
  return latency.p99 !== null || rates["60"].requests === 0;
}

/** The numbers that an operator looks at first. */
export function Overview(props: {
  readonly stats: Stats | undefined;
  readonly live: Columns;
  readonly columns: Columns;
}) {
  const { stats, live, columns } = props;
  const { series } = live;
  const seeders = stats?.seeders ?? null;
  const leechers = stats?.leechers ?? null;
  const peers = seeders === null || leechers === null ? null : seeders + leechers;
  const udp = recent(series.udp_announces);
  const http = recent(series.http_announces);
  const web = recent(series.websocket_announces);
  const hasWeb = (stats?.web.sockets ?? null) !== null;
  const errors = recent(series.errors);
  const requests = recent(
    sum(
      series.udp_announces,
      series.udp_scrapes,
      series.udp_connects,
      series.http_announces,
      series.http_scrapes,
      series.websocket_announces,
      series.websocket_scrapes,
    ),
  );
  const share = errors !== null && requests !== null && requests > 0 ? errors / requests : null;
  const { used = null, capacity = null, refused = 0 } = stats?.store ?? {};
  const fill = used !== null && capacity !== null && capacity > 0 ? used / capacity : null;
  const latency = stats?.latency_ms;
  const isTimed = stats === undefined || isTimingKnown(stats);
  const untilFull = secondsUntilFull(columns);
  return (
    <dl class="overview" aria-label="Now">
      <Figure
        name="Announces"
        id="announces"
        value={formatNumber(udp === null || http === null ? null : udp + http + (web ?? 0))}
        unit="/s"
      >
        <span>
          UDP <b>{formatNumber(udp)}</b>
        </span>
        <span>
          HTTP <b>{formatNumber(http)}</b>
        </span>
        {hasWeb && (
          <span>
            WebSocket <b>{formatNumber(web)}</b>
          </span>
        )}
      </Figure>
      <Figure name="Peers" id="peers" value={formatCount(peers)}>
        <span>
          <Exact id="seeders" value={seeders} /> seeders
        </span>
        <span>
          <Exact id="leechers" value={leechers} /> leechers
        </span>
      </Figure>
      <Figure name="Torrents" id="torrents" value={formatCount(stats?.torrents)}>
        <span>
          <Exact id="ipv4" value={stats?.peers.ipv4} /> peers IPv4
        </span>
        <span>
          <Exact id="ipv6" value={stats?.peers.ipv6} /> peers IPv6
        </span>
        {hasWeb && (
          <span>
            <Exact id="web" value={stats?.peers.web} /> peers web
          </span>
        )}
      </Figure>
      <Figure name="Latency p99, 1 min" id="p99" value={formatMilliseconds(latency?.p99)}>
        {isTimed ? (
          <>
            <span>
              p90 <b>{formatMilliseconds(latency?.p90)}</b>
            </span>
            <span>
              p50 <b>{formatMilliseconds(latency?.p50)}</b>
            </span>
          </>
        ) : (
          <>
            <span>not measured: set</span>
            <span>enable_request_timing</span>
          </>
        )}
      </Figure>
      <Figure
        name="Errors"
        id="errors"
        value={formatNumber(errors)}
        unit="/s"
        isBad={share !== null && share > 0.05}
      >
        <span>
          <b>{formatShare(share)}</b> of requests
        </span>
        <span>
          <Exact id="errors-total" value={stats?.error_responses} /> in all
        </span>
      </Figure>
      <Figure
        name="Store"
        id="fill"
        value={fill === null ? formatCount(used) : formatShare(fill)}
        isBad={fill !== null && fill > 0.9}
      >
        <span>
          <Exact id="used" value={used} />
          {capacity === null ? " peers" : ` of ${formatNumber(capacity)}`}
        </span>
        <span>
          {refused > 0 ? (
            <em>
              <Exact id="refused" value={refused} /> refused
            </em>
          ) : untilFull !== undefined && fill !== null ? (
            `full in about ${formatDuration(untilFull).replace(/^(\d+ \w+).*/, "$1")}`
          ) : capacity === null ? (
            "no limit"
          ) : (
            "none refused"
          )}
        </span>
        {fill !== null && (
          <meter class="bar" min={0} max={1} high={0.9} value={fill} aria-label="Fill of the store" />
        )}
      </Figure>
      <Figure name="CPU" id="cpu" value={formatNumber(recent(series.cpu))} unit=" cores">
        <span>
          <b data-figure="memory">{formatBytes(stats?.process.resident_bytes)}</b> memory
        </span>
        <span>
          <Exact id="connections" value={newest(series.http_connections)} /> connections
        </span>
      </Figure>
      <Figure
        name="Workers"
        id="workers"
        value={formatCount(stats?.workers)}
        isBad={(stats?.process.worker_restarts ?? 0) > 0}
      >
        <span>
          <Exact id="restarts" value={stats?.process.worker_restarts} /> restarts
        </span>
        <span title="99th percentile of the delay of the main thread's event loop">
          <b>{formatMilliseconds(newest(series.loop_lag_ms))}</b> lag
        </span>
      </Figure>
    </dl>
  );
}

function Figure(props: {
  readonly name: string;
  readonly id: string;
  readonly value: string;
  readonly unit?: string;
  readonly isBad?: boolean;
  readonly children: ComponentChildren;
}) {
  const { name, id, value, unit = "", isBad = false, children } = props;
  return (
    <div class={isBad ? "bad" : undefined}>
      <dt>{name}</dt>
      <dd class="big">
        <span data-figure={id}>{value}</span>
        <small>{unit}</small>
      </dd>
      <dd class="small">{children}</dd>
    </div>
  );
}

function Exact({ id, value }: { readonly id: string; readonly value: number | null | undefined }) {
  return <b data-figure={id}>{formatCount(value)}</b>;
}
