import assert from "node:assert/strict";
import { test } from "node:test";
import type { Figures } from "./figures.ts";
import { modes, writeTop } from "./modes.ts";

const figures: Figures = {
  trackerId: 709647975,
  uptime: 7205,
  torrents: 3,
  seeders: 2,
  peers: 4,
  completed: 9,
  tcp: { connections: 72_051, announces: 14_410, scrapes: 7 },
  udp: { overall: 144_100, connects: 50_000, announces: 60_000, scrapes: 7300, mismatches: 11 },
  syncs: { received: 12, sent: 13 },
  renewals: [3, ...Array(44).fill(0)],
  fullScrapes: { count: 3, bytes: 72_050 },
  errors: {
    redirects: 1,
    malformed: 2,
    parameters: 3,
    notModest: 4,
    denied: 5,
    notFound: 6,
    failed: 7,
  },
};
const uptime = "7205 seconds (2 hours)";

// The lines are those of opentracker 0.0~git20210823 (Debian), with other numbers.
for (const [mode, expected] of Object.entries({
  peer: "4\n2\nopentracker serving 3 torrents\nopentracker",
  torr: "3\n0\nopentracker serving 3 torrents\nopentracker",
  conn: `216151\n124410\n${uptime}\nopentracker connections, 30 conns/s :: 17 success/s.`,
  tcp4: `72051\n14410\n${uptime}\nopentracker tcp4 stats, 10 conns/s :: 2 success/s.`,
  udp4: `144100\n110000\n${uptime}\nopentracker udp4 stats, 20 conns/s :: 15 success/s.`,
  scrp: `7\n7300\n${uptime}\nopentracker scrape stats, 1 scrape/s (tcp and udp)`,
  fscr: `3\n72050\n${uptime}\nopentracker full scrape stats, 0 conns/s :: 10 bytes/s.`,
  syncs: `12\n13\n${uptime}\nopentracker connections, 30 conns/s :: 17 success/s.`,
  completed: `9\n0\n${uptime}\nopentracker, 4 completed/h.`,
  herr: "302 RED 1\n400 ... 2\n400 PAR 3\n400 COM 0\n403 IP  5\n404 INV 6\n500 SRV 7\n",
  version: "chihaya 1.2.3\n",
})) {
  test(`mode=${mode} has opentracker's bytes`, () => {
    assert.equal(modes.get(mode)!(figures, "1.2.3"), expected);
  });
}

test("mode=renew has a line for each of 45 minutes", () => {
  const lines = modes.get("renew")!(figures, "").split("\n");
  assert.deepEqual([lines.length, lines[0], lines[44], lines[45]], [46, "00 3", "44 0", ""]);
});

test("a tracker in its first second divides by one", () => {
  assert.match(modes.get("tcp4")!({ ...figures, uptime: 0 }, ""), /0 seconds \(0 hours\).*72051 conns\/s/s);
  assert.match(modes.get("completed")!({ ...figures, uptime: 0 }, ""), /, 9 completed\/h\.$/);
});

test("mode=everything has opentracker's elements, in its order and with its indentation", () => {
  const xml = modes.get("everything")!(figures, "1.2.3");
  const intervals = Array.from(
    { length: 45 },
    (_, i) => `interval="${`${i}`.padStart(2, "0")}">${i === 0 ? 3 : 0}`,
  );
  const lines = (...texts: string[]) => texts.map((text) => `${text}\n`).join("");
  assert.equal(
    xml,
    lines(
      '<?xml version="1.0" encoding="UTF-8"?>',
      "<stats>",
      "  <tracker_id>709647975</tracker_id>",
      ...["  <version>", "chihaya 1.2.3", "  </version>"],
      "  <uptime>7205</uptime>",
      ...["  <torrents>", "    <count_mutex>3</count_mutex>"],
      ...["    <count_iterator>3</count_iterator>", "  </torrents>"],
      ...["  <peers>", "    <count>4</count>", "  </peers>"],
      ...["  <seeds>", "    <count>2</count>", "  </seeds>"],
      ...["  <completed>", "    <count>9</count>", "  </completed>"],
      "  <connections>",
      ...["    <tcp>", "      <accept>72051</accept>", "      <announce>14410</announce>"],
      ...["      <scrape>7</scrape>", "    </tcp>"],
      ...["    <udp>", "      <overall>144100</overall>", "      <connect>50000</connect>"],
      ...["      <announce>60000</announce>", "      <scrape>7300</scrape>"],
      ...["      <missmatch>11</missmatch>", "    </udp>"],
      ...["    <livesync>", "      <count>12</count>", "    </livesync>"],
      "  </connections>",
      ...["  <debug>", "    <renew>"],
      ...intervals.map((text) => `      <count ${text}</count>`),
      ...["    </renew>", "    <http_error>"],
      '      <count code="302 Redirect">1</count>',
      '      <count code="400 Parse Error">2</count>',
      '      <count code="400 Invalid Parameter">3</count>',
      '      <count code="400 Invalid Parameter (compact=0)">0</count>',
      '      <count code="400 Not Modest">4</count>',
      '      <count code="402 Payment Required">0</count>',
      '      <count code="403 Access Denied">5</count>',
      '      <count code="404 Not found">6</count>',
      '      <count code="500 Internal Server Error">7</count>',
      "    </http_error>",
      ...["    <mutex_stall>", "      <count>0</count>", "    </mutex_stall>"],
      ...["  </debug>", "</stats>"],
    ).trimEnd(),
  );
});

test("the rankings are opentracker's", () => {
  const first = { count: 3, infoHash: Buffer.alloc(20, 0xab) };
  const second = { count: 1, infoHash: Buffer.alloc(20) };
  assert.equal(
    writeTop(10, { byPeers: [first, second], bySeeders: [first] }),
    `Top 10 torrents by peers:\n\t3\t${"AB".repeat(20)}\n\t1\t${"00".repeat(20)}\nTop 10 torrents by seeds:\n\t3\t${"AB".repeat(20)}\n`,
  );
  const many = Array.from({ length: 100 }, () => first);
  assert.equal(writeTop(10, { byPeers: many, bySeeders: many }).split("\n").length, 23);
  assert.equal(writeTop(100, { byPeers: many, bySeeders: [] }).split("\n").length, 103);
});
