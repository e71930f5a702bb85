/**
 * Writes `deploy/grafana/chihaya.json`, a dashboard for Grafana 10 and newer; with --check, says whether the file is out of
 * date (exit code 1).
 */
import { readFileSync, writeFileSync } from "node:fs";

/** A query and the name of its lines. */
type Query = readonly [expr: string, legend: string];

/** What a panel shows. */
interface PanelOptions {
  title: string;
  /** What the panel means, and what to look for. */
  description: string;
  /** A unit of Grafana: `reqps`, `bytes`, `percentunit`. */
  unit: string;
  queries: readonly Query[];
  /** Columns of 24. */
  width?: number;
  /** Whether the areas of the lines are on top of each other. */
  isStacked?: boolean;
  /** Upper end of the axis. */
  max?: number;
  /** From these values on, the number or the line is yellow or red. */
  yellow?: number;
  red?: number;
}

type Panel = Record<string, unknown> & { gridPos: { h: number; w: number; x: number; y: number } };

const chosen = 'job=~"$job",instance=~"$instance"';
const columns = 24;

/** Writes a selector of the chosen trackers. */
function of(name: string, labels = ""): string {
  return `${name}{${chosen}${labels === "" ? "" : `,${labels}`}}`;
}

function rate(name: string, labels = ""): string {
  return `rate(${of(name, labels)}[$__rate_interval])`;
}

type Protocol = "http" | "udp" | "websocket";

const duration = (protocol: Protocol, part: "count" | "bucket"): string =>
  `chihaya_${protocol}_response_duration_milliseconds_${part}`;

/** Adds up the requests of all protocols; a tracker may have only one of them. */
function requestRate(labels = ""): string {
  const rates = (["udp", "http", "websocket"] as const).map(
    (protocol) => `(sum(${rate(duration(protocol, "count"), labels)}) or vector(0))`,
  );
  return `(${rates.join(" + ")})`;
}

function quantile(q: number, protocol: Protocol): string {
  return `histogram_quantile(${q}, sum by (le) (${rate(duration(protocol, "bucket"), 'error=""')}))`;
}

const datasource = { type: "prometheus", uid: "$datasource" };

function thresholdsOf({ yellow, red }: PanelOptions): object {
  return {
    mode: "absolute",
    steps: [
      { color: "green", value: null },
      ...(yellow === undefined ? [] : [{ color: "orange", value: yellow }]),
      ...(red === undefined ? [] : [{ color: "red", value: red }]),
    ],
  };
}

function targetsOf(queries: readonly Query[]): object[] {
  return queries.map(([expr, legendFormat], i) => ({
    datasource,
    expr,
    legendFormat,
    refId: String.fromCharCode(65 + i),
    editorMode: "code",
    range: true,
  }));
}

/** Makes a number with a small graph behind it. */
function stat(options: PanelOptions): Panel {
  const { title, description, unit, queries, width = 4 } = options;
  return {
    type: "stat",
    title,
    description,
    datasource,
    targets: targetsOf(queries),
    fieldConfig: {
      defaults: { unit, decimals: unit === "short" ? 0 : 1, thresholds: thresholdsOf(options) },
      overrides: [],
    },
    options: {
      colorMode: options.red === undefined && options.yellow === undefined ? "none" : "value",
      graphMode: "area",
      justifyMode: "auto",
      reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
      textMode: "auto",
    },
    gridPos: { h: 4, w: width, x: 0, y: 0 },
  };
}

/** Makes a graph over time, with a table of last and largest values as its legend. */
function graph(options: PanelOptions): Panel {
  const { title, description, unit, queries, width = 8, isStacked = false, max, red } = options;
  return {
    type: "timeseries",
    title,
    description,
    datasource,
    targets: targetsOf(queries),
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        ...(max === undefined ? {} : { max }),
        thresholds: thresholdsOf(options),
        custom: {
          drawStyle: "line",
          lineWidth: 1,
          fillOpacity: isStacked ? 30 : 10,
          showPoints: "never",
          spanNulls: false,
          stacking: { mode: isStacked ? "normal" : "none", group: "A" },
          thresholdsStyle: { mode: red === undefined ? "off" : "dashed" },
        },
      },
      overrides: [],
    },
    options: {
      legend: { displayMode: "table", placement: "bottom", calcs: ["lastNotNull", "max"], showLegend: true },
      tooltip: { mode: "multi", sort: "desc" },
    },
    gridPos: { h: 8, w: width, x: 0, y: 0 },
  };
}

const overview: Panel[] = [
  stat({
    title: "Announces",
    description: "Announces per second over all protocols.",
    unit: "reqps",
    queries: [[requestRate('action="announce"'), "announces"]],
  }),
  stat({
    title: "Peers",
    description: "Seeders and leechers.",
    unit: "short",
    queries: [[`sum(${of("chihaya_storage_peers")})`, "peers"]],
  }),
  stat({
    title: "Swarms",
    description: "Torrents with peers; a torrent with peers of both address families counts twice.",
    unit: "short",
    queries: [[`sum(${of("chihaya_storage_infohashes_count")})`, "swarms"]],
  }),
  stat({
    title: "Refused requests",
    description: "Share of the requests that got an error, by fault of the client or of the tracker.",
    unit: "percentunit",
    queries: [[`${requestRate('error!=""')} / ${requestRate()}`, "refused"]],
    yellow: 0.2,
    red: 0.5,
  }),
  stat({
    title: "Store",
    description:
      "Fill of the fullest store. Stores without a limit of their own, such as Redis, show nothing.",
    unit: "percentunit",
    queries: [
      [
        `max((${of("chihaya_storage_seeders_count")} + ${of("chihaya_storage_leechers_count")}) / ${of("chihaya_storage_capacity_peers")})`,
        "fill",
      ],
    ],
    yellow: 0.8,
    red: 0.9,
  }),
  stat({
    title: "Failures",
    description: "Failures of hooks and of the tracker itself in the last hour. The log has the causes.",
    unit: "short",
    queries: [[`sum(increase(${of("chihaya_failures_total")}[1h]))`, "failures"]],
    yellow: 1,
    red: 100,
  }),
];

const requests: Panel[] = [
  graph({
    title: "Requests by protocol",
    description: "Requests per second that got a response of the tracker, errors included.",
    unit: "reqps",
    isStacked: true,
    queries: [
      [`sum by (action) (${rate(duration("udp", "count"))})`, "UDP {{action}}"],
      [`sum by (action) (${rate(duration("http", "count"))})`, "HTTP {{action}}"],
      [`sum by (action) (${rate(duration("websocket", "count"))})`, "WebSocket {{action}}"],
    ],
  }),
  graph({
    title: "Traffic",
    description: "Bytes per second, without the headers of TCP, UDP and TLS.",
    unit: "Bps",
    queries: [
      [`sum by (protocol) (${rate("chihaya_received_bytes_total")})`, "received {{protocol}}"],
      [`sum by (protocol) (${rate("chihaya_sent_bytes_total")})`, "sent {{protocol}}"],
    ],
  }),
  graph({
    title: "HTTP connections",
    description: "Open connections, and accepted connections per second.",
    unit: "short",
    queries: [
      [`sum(${of("chihaya_http_connections")})`, "open"],
      [`sum(${rate("chihaya_http_connections_accepted_total")})`, "accepted per second"],
    ],
  }),
];

const latency: Panel[] = (["udp", "http"] as const).map((protocol) =>
  graph({
    title: `Response time, ${protocol.toUpperCase()}`,
    description:
      "From the arrival of a request to its response, in the tracker. All values are in the first bucket if enable_request_timing is off.",
    unit: "ms",
    width: 12,
    queries: [0.5, 0.9, 0.99].map((q): Query => [quantile(q, protocol), `p${q * 100}`]),
  }),
);

const errors: Panel[] = [
  graph({
    title: "Refused requests by error",
    description: "The ten most frequent error texts of each protocol. docs/errors.md explains each text.",
    unit: "reqps",
    queries: [
      [`topk(10, sum by (error) (${rate(duration("udp", "count"), 'error!=""')}))`, "UDP {{error}}"],
      [`topk(10, sum by (error) (${rate(duration("http", "count"), 'error!=""')}))`, "HTTP {{error}}"],
      [
        `topk(10, sum by (error) (${rate(duration("websocket", "count"), 'error!=""')}))`,
        "WebSocket {{error}}",
      ],
    ],
  }),
  graph({
    title: "Requests without a response",
    description:
      "Dropped datagrams, and HTTP requests, connections and WebSocket messages that were refused before they became an announce or a scrape.",
    unit: "reqps",
    queries: [
      [`sum by (reason) (${rate("chihaya_udp_dropped_datagrams_total")})`, "UDP {{reason}}"],
      [`sum by (reason) (${rate("chihaya_http_rejected_total")})`, "HTTP {{reason}}"],
      [`sum by (reason) (${rate("chihaya_websocket_rejected_total")})`, "WebSocket {{reason}}"],
      [`sum(${rate("chihaya_udp_kernel_drops_total")})`, "UDP dropped by the kernel"],
    ],
  }),
  graph({
    title: "Failures",
    description:
      "Failures inside the tracker, by hook or component. Any failure is worth a look into the log.",
    unit: "short",
    queries: [
      [`sum by (where) (increase(${of("chihaya_failures_total")}[$__rate_interval]))`, "{{where}}"],
      [`sum(increase(${of("chihaya_log_dropped_total")}[$__rate_interval]))`, "dropped log lines"],
    ],
  }),
];

const swarms: Panel[] = [
  graph({
    title: "Peers by role",
    description: "Seeders and leechers of all swarms.",
    unit: "short",
    isStacked: true,
    queries: [
      [`sum(${of("chihaya_storage_seeders_count")})`, "seeders"],
      [`sum(${of("chihaya_storage_leechers_count")})`, "leechers"],
    ],
  }),
  graph({
    title: "Peers by address family",
    description: "A client with both families is a peer of each.",
    unit: "short",
    isStacked: true,
    queries: [[`sum by (address_family) (${of("chihaya_storage_peers")})`, "{{address_family}}"]],
  }),
  graph({
    title: "Clients",
    description: "The ten client programs with the most announces. A client can claim any name.",
    unit: "reqps",
    queries: [[`topk(10, sum by (client) (${rate("chihaya_announces_by_client_total")}))`, "{{client}}"]],
  }),
];

const store: Panel[] = [
  graph({
    title: "Fill",
    description: "Share of the capacity that is used, by tracker. A full store refuses new peers.",
    unit: "percentunit",
    max: 1,
    red: 0.9,
    queries: [
      [
        `(${of("chihaya_storage_seeders_count")} + ${of("chihaya_storage_leechers_count")}) / ${of("chihaya_storage_capacity_peers")}`,
        "{{instance}}",
      ],
    ],
  }),
  graph({
    title: "Refused peers",
    description: "Peers per second that were not stored, because the store was full.",
    unit: "ops",
    queries: [[`sum by (instance) (${rate("chihaya_storage_refused_peers_total")})`, "{{instance}}"]],
  }),
  graph({
    title: "Removal of expired peers",
    description: "99th percentile of the duration of a pass.",
    unit: "ms",
    queries: [
      [
        `histogram_quantile(0.99, sum by (instance, le) (${rate("chihaya_storage_gc_duration_milliseconds_bucket")}))`,
        "{{instance}}",
      ],
    ],
  }),
];

const relayed = 'result="relayed"';

const browsers: Panel[] = [
  graph({
    title: "WebSockets",
    description: "Open WebSockets, and peers behind them. A WebSocket has a peer in each of its torrents.",
    unit: "short",
    queries: [
      [`sum(${of("chihaya_web_sockets")})`, "WebSockets"],
      [`sum(${of("chihaya_storage_peers", 'address_family="web"')})`, "peers"],
    ],
  }),
  graph({
    title: "Offers and answers",
    description: "Offers and answers per second by result. docs/metrics.md explains the results.",
    unit: "ops",
    queries: [
      [`sum by (result) (${rate("chihaya_web_offers_total")})`, "offers {{result}}"],
      [`sum by (result) (${rate("chihaya_web_answers_total")})`, "answers {{result}}"],
    ],
  }),
  graph({
    title: "Answered offers",
    description: "Answers for each offer. A low share means that browsers go before they answer.",
    unit: "percentunit",
    queries: [
      [
        `sum(${rate("chihaya_web_answers_total", relayed)}) / sum(${rate("chihaya_web_offers_total", relayed)})`,
        "answered",
      ],
    ],
  }),
  graph({
    title: "Response time, WebSocket",
    description:
      "From the arrival of a message to its response, in the tracker. All values are in the first bucket if enable_request_timing is off.",
    unit: "ms",
    width: 12,
    queries: [0.5, 0.9, 0.99].map((q): Query => [quantile(q, "websocket"), `p${q * 100}`]),
  }),
  graph({
    title: "Closed and refused WebSockets",
    description:
      "WebSockets per second that were refused, and that were closed for a fault of the client, by the code of RFC 6455.",
    unit: "ops",
    width: 12,
    queries: [
      [`sum by (reason) (${rate("chihaya_web_refused_total")})`, "refused: {{reason}}"],
      [`sum by (code) (${rate("chihaya_web_faults_total")})`, "closed: {{code}}"],
      [`sum(${rate("chihaya_web_slow_total")})`, "closed: does not read"],
      [`sum(${rate("chihaya_web_pings_timed_out_total")})`, "closed: silent"],
    ],
  }),
];

const hooks: Panel[] = [
  graph({
    title: "Age of lists",
    description: "Time since the lists last agreed with their files and URLs.",
    unit: "s",
    red: 1800,
    queries: [
      [`time() - ${of("chihaya_access_list_last_success_timestamp_seconds")}`, "{{instance}} {{hook}}"],
    ],
  }),
  graph({
    title: "Entries of lists",
    description: "Entries from files and URLs, and sources that cannot be used.",
    unit: "short",
    queries: [
      [of("chihaya_access_list_entries"), "{{instance}} {{hook}}"],
      [of("chihaya_access_list_failing_sources"), "{{instance}} {{hook}}: failing sources"],
    ],
  }),
  graph({
    title: "Requests that wait for a hook",
    description:
      "Requests in flight, and requests per second that were refused because a hook was too slow or busy.",
    unit: "short",
    queries: [
      [`sum by (hook) (${of("chihaya_hook_requests_in_flight")})`, "{{hook}} in flight"],
      [`sum by (hook, reason) (${rate("chihaya_hook_refusals_total")})`, "{{hook}} {{reason}} per second"],
    ],
  }),
  graph({
    title: "Tokens",
    description: "Verified tokens per second, by result, with the hook jwt.",
    unit: "reqps",
    width: 12,
    queries: [
      [`sum by (result) (${rate("chihaya_jwt_verifications_total")})`, "{{result}}"],
      [`sum(${rate("chihaya_jwt_known_tokens_total")})`, "known from the cache"],
    ],
  }),
  graph({
    title: "Age of the issuer's keys",
    description: "Time since the keys for tokens were fetched.",
    unit: "s",
    width: 12,
    queries: [[of("chihaya_jwt_key_age_seconds"), "{{instance}}"]],
  }),
];

const workers: Panel[] = [
  graph({
    title: "Event loop use",
    description: "Share of the last minute in which a thread was busy. A thread near 1 is at its limit.",
    unit: "percentunit",
    max: 1,
    red: 0.9,
    queries: [[of("nodejs_eventloop_utilization_ratio"), "{{instance}} worker {{worker}}"]],
  }),
  graph({
    title: "Event loop delay",
    description: "99th percentile of the delays in the last minute.",
    unit: "s",
    red: 0.1,
    queries: [[of("nodejs_eventloop_lag_p99_seconds"), "{{instance}} worker {{worker}}"]],
  }),
  graph({
    title: "Garbage collection and restarts",
    description:
      "Share of time in garbage collection, and workers that died and were replaced in the last hour.",
    unit: "short",
    queries: [
      [`sum by (instance) (${rate("nodejs_gc_duration_seconds_sum")})`, "{{instance}} garbage collection"],
      [`sum by (instance) (increase(${of("chihaya_worker_restarts_total")}[1h]))`, "{{instance}} restarts"],
    ],
  }),
];

const redis: Panel[] = [
  graph({
    title: "Round trip",
    description: "Time from the request of a batch to its response.",
    unit: "s",
    queries: [0.5, 0.99].map(
      (q): Query => [
        `histogram_quantile(${q}, sum by (le) (${rate("chihaya_redis_round_trip_seconds_bucket")}))`,
        `p${q * 100}`,
      ],
    ),
  }),
  graph({
    title: "Waiting and backlog",
    description: "Records that wait for Redis, and announces to deliver when Redis is back.",
    unit: "short",
    queries: [
      [`sum by (instance) (${of("chihaya_redis_waiting_records")})`, "{{instance}} waiting"],
      [`sum by (instance) (${of("chihaya_redis_backlog_announces")})`, "{{instance}} backlog"],
    ],
  }),
  graph({
    title: "Connections and outages",
    description:
      "Workers with a connection to Redis, outages in the last hour, and records per second without a response.",
    unit: "short",
    queries: [
      [of("chihaya_redis_connected_workers"), "{{instance}} connected workers"],
      [`increase(${of("chihaya_redis_outages_total")}[1h])`, "{{instance}} outages"],
      [rate("chihaya_redis_unanswered_records_total"), "{{instance}} records without a response"],
    ],
  }),
];

const processes: Panel[] = [
  graph({
    title: "CPU",
    description: "Processors that the tracker uses, in user mode and in the kernel.",
    unit: "short",
    isStacked: true,
    queries: [
      [`sum(${rate("process_cpu_user_seconds_total")})`, "user"],
      [`sum(${rate("process_cpu_system_seconds_total")})`, "kernel"],
    ],
  }),
  graph({
    title: "Memory",
    description: "Resident memory of the process. The memory store is a part of it.",
    unit: "bytes",
    queries: [[of("process_resident_memory_bytes"), "{{instance}}"]],
  }),
  graph({
    title: "File descriptors",
    description: "Share of the limit that is used.",
    unit: "percentunit",
    max: 1,
    red: 0.8,
    queries: [[`${of("process_open_fds")} / ${of("process_max_fds")}`, "{{instance}}"]],
  }),
  graph({
    title: "Last reload",
    description:
      "Time since the configuration was last applied, and 0 or 1 for whether the last reload succeeded.",
    unit: "short",
    queries: [
      [of("chihaya_config_last_reload_successful"), "{{instance}} succeeded"],
      [of("chihaya_config_needs_restart_options"), "{{instance}} options that wait for a restart"],
      [
        `(time() - ${of("chihaya_config_last_reload_success_timestamp_seconds")}) / 86400`,
        "{{instance}} days ago",
      ],
    ],
  }),
  graph({
    title: "Certificates",
    description: "Time until the first certificate of a listener expires.",
    unit: "s",
    queries: [
      [`${of("chihaya_tls_certificate_expiry_timestamp_seconds")} - time()`, "{{instance}} {{listener}}"],
    ],
  }),
  graph({
    title: "Versions and configurations",
    description: "Trackers by version, and by the hash of their configuration.",
    unit: "short",
    queries: [
      [`count by (version, node) (${of("chihaya_build_info")})`, "{{version}}, Node.js {{node}}"],
      [`count by (hash) (${of("chihaya_config_info")})`, "configuration {{hash}}"],
    ],
  }),
];

/** Places panels in rows of 24 columns below a title. @returns the panels, and the next free line */
function place(title: string, panels: readonly Panel[], from: number): { placed: Panel[]; next: number } {
  const head: Panel = {
    type: "row",
    title,
    collapsed: false,
    panels: [],
    gridPos: { h: 1, w: columns, x: 0, y: from },
  };
  let [x, y] = [0, from + 1];
  let next = y;
  const placed = panels.map((panel) => {
    const { h, w } = panel.gridPos;
    if (x + w > columns) [x, y] = [0, next];
    const gridPos = { h, w, x, y };
    x += w;
    next = y + h;
    return { ...panel, gridPos };
  });
  return { placed: [head, ...placed], next };
}

function layOut(rows: readonly (readonly [title: string, panels: readonly Panel[]])[]): Panel[] {
  const all: Panel[] = [];
  let line = 0;
  for (const [title, panels] of rows) {
    const { placed, next } = place(title, panels, line);
    all.push(...placed);
    line = next;
  }
  return all.map((panel, i) => ({ id: i + 1, ...panel }));
}

function variable(name: string, label: string, query: string): object {
  return {
    type: "query",
    name,
    label,
    datasource,
    definition: query,
    query: { query, refId: "StandardVariableQuery" },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: ".+",
    current: { selected: true, text: ["All"], value: ["$__all"] },
  };
}

const dashboard = {
  uid: "chihaya",
  title: "Chihaya",
  description: "BitTorrent trackers. Generated by deploy/grafana/generate.ts.",
  tags: ["bittorrent", "chihaya"],
  schemaVersion: 39,
  editable: true,
  graphTooltip: 1,
  refresh: "30s",
  time: { from: "now-6h", to: "now" },
  timezone: "browser",
  annotations: {
    list: [
      {
        name: "Alerts",
        datasource,
        enable: true,
        expr: 'ALERTS{alertname=~"Chihaya.*",alertstate="firing",job=~"$job",instance=~"$instance"}',
        iconColor: "red",
        titleFormat: "{{alertname}}",
        textFormat: "{{instance}}",
      },
    ],
  },
  templating: {
    list: [
      { type: "datasource", name: "datasource", label: "Prometheus", query: "prometheus", refresh: 1 },
      variable("job", "Job", "label_values(chihaya_build_info, job)"),
      variable("instance", "Tracker", 'label_values(chihaya_build_info{job=~"$job"}, instance)'),
    ],
  },
  panels: layOut([
    ["Overview", overview],
    ["Requests", requests],
    ["Response time", latency],
    ["Errors", errors],
    ["Swarms", swarms],
    ["Store", store],
    ["Browsers (WebTorrent)", browsers],
    ["Hooks and lists", hooks],
    ["Workers", workers],
    ["Redis", redis],
    ["Process", processes],
  ]),
};

const name = "deploy/grafana/chihaya.json";
const path = new URL("chihaya.json", import.meta.url);
const text = `${JSON.stringify(dashboard, undefined, 2)}\n`;
if (!process.argv.includes("--check")) {
  writeFileSync(path, text);
} else if (readFileSync(path, "utf8") !== text) {
  process.stderr.write(`${name} is out of date; run "npm run gen"\n`);
  process.exitCode = 1;
}
