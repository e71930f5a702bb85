import assert from "node:assert/strict";
import { test } from "node:test";
import type { Stats } from "../operator/api/endpoints/stats.ts";
import { ansiStyle, plainStyle, renderTop, type TopState } from "./top-screen.ts";

const rates = { requests: 0, announces: 0, errors: 0 };

function stateOf(more: Partial<Stats> = {}): TopState {
  return {
    stats: {
      version: "1.2.3",
      uptime_seconds: 273_600,
      workers: 2,
      torrents: 3,
      seeders: 4,
      leechers: 6,
      peers: { ipv4: 7, ipv6: 3, web: 0 },
      requests: {},
      errors: [],
      error_responses: 0,
      dropped: {},
      rejected: {},
      web: { sockets: null, offers: 0, answers: 0, answered_share: null, refused: {}, rejected: {} },
      rates: { "1": rates, "10": rates, "60": rates, "900": rates },
      latency_ms: { p50: 0.0123, p90: 0.5, p99: 1.5 },
      store: { used: 10, capacity: 40, refused: 0 },
      lists: [],
      process: { cpu_seconds: 1, resident_bytes: 1024 ** 2, open_files: 1, worker_restarts: 0 },
      ...more,
    },
    series: { udp_announces: [100, null, 200], http_announces: [50], cpu: [0.5], http_connections: [12] },
    workers: [
      {
        worker: 1,
        state: "serving",
        cpu: 0.25,
        loop_lag_ms: 1.5,
        heap_bytes: 1024,
        restarts: 0,
        uptime_seconds: 60,
      },
    ],
    torrents: [{ info_hash: "ab".repeat(20), peers: 10, seeders: 4, leechers: 6, completed: 1 }],
  };
}

test("a screen has every part, with units", () => {
  assert.deepEqual(renderTop(stateOf(), plainStyle, "http://127.0.0.1:6880", 200, 50), [
    "chihaya 1.2.3  up 3 d 4 h  2 workers  http://127.0.0.1:6880",
    "",
    "Announces  200/s   UDP 150/s   HTTP 50/s   scrapes –   connects –",
    "Peers      10   4 seeders   6 leechers   IPv4 7   IPv6 3",
    "Torrents   3",
    "Latency    p50 12.3 µs   p90 500 µs   p99 1.50 ms   in the last minute",
    "Errors     –   0 in all   dropped –",
    "Store      [#####---------------] 25 %   10 of 40   0 refused",
    "Process    0.50 cores   1 MiB   12 HTTP connections   0 restarts",
    "",
    "WORKER  STATE          CPU   LAG P99       HEAP          UP  RESTARTS",
    "     1  serving       25 %   1.50 ms      1 KiB       1 min         0",
    "",
    `${"INFO HASH".padEnd(40)}       PEERS     SEEDERS    LEECHERS     COMPLETED`,
    `${"ab".repeat(20)}          10           4           6             1`,
  ]);
});

test("rates of errors are those between two readings", () => {
  const errors = (count: number) => [{ protocol: "udp", error: "unapproved torrent", count }];
  const before = stateOf({ errors: errors(100) }).stats;
  const state = { ...stateOf({ errors: errors(120), uptime_seconds: before.uptime_seconds + 10 }), before };
  const lines = renderTop(state, plainStyle, "", 200, 50);
  assert.ok(lines.includes("           120        2  udp: unapproved torrent"), lines.join("\n"));
});

test("texts of peers drive no terminal, and no line is longer or lower than the screen", () => {
  const hostile = "\u001b[2J\u0007\u202e<b>\n\r";
  const errors = [{ protocol: hostile, error: hostile, count: 1 }];
  const state = stateOf({ version: hostile, errors });
  const more = {
    ...state,
    workers: [{ ...state.workers![0]!, state: hostile }],
    torrents: Array.from({ length: 100 }, () => ({ ...state.torrents![0]!, info_hash: hostile })),
  };
  for (const style of [plainStyle, ansiStyle]) {
    const lines = renderTop(more, style, hostile, 60, 20);
    assert.equal(lines.length, 20);
    for (const line of lines) {
      const text = line.replaceAll(/\u001b\[(?:[012]|31)m/g, "");
      assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f\u202e]/);
      assert.ok(text.length <= 60, text);
      if (style === plainStyle) assert.equal(line, text);
    }
  }
});

test("what the tracker does not know or have is left out", () => {
  const state = stateOf({
    seeders: null,
    latency_ms: { p50: null, p90: null, p99: null },
    store: { used: null, capacity: null, refused: 0 },
  });
  const lines = renderTop({ ...state, workers: undefined, torrents: undefined }, plainStyle, "", 200, 50);
  assert.match(lines[3]!, /^Peers {6}– {3}– seeders/);
  assert.match(lines[5]!, /enable_request_timing/);
  assert.match(lines[7]!, /^Store {6}– peers/);
  assert.equal(lines.length, 9);
});

test("a tracker for browsers has a line for them", () => {
  const web = { sockets: 5, offers: 40, answers: 30, answered_share: 0.75, refused: {}, rejected: {} };
  const state = stateOf({ web, peers: { ipv4: 7, ipv6: 3, web: 4 } });
  const series = { ...state.series, websocket_announces: [10], web_offers: [4], web_answers: [3] };
  const lines = renderTop({ ...state, series }, plainStyle, "", 200, 50);
  assert.deepEqual(lines.slice(2, 6), [
    "Announces  210/s   UDP 150/s   HTTP 50/s   WebSocket 10/s   scrapes –   connects –",
    "Peers      10   4 seeders   6 leechers   IPv4 7   IPv6 3   web 4",
    "Torrents   3",
    "Browsers   5 WebSockets   offers 4/s   answers 3/s   75 % answered in the last 15 min",
  ]);
});
