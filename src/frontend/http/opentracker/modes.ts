import { toHex } from "../../../bittorrent/info-hash.ts";
import type { Figures } from "./figures.ts";
import type { TopTorrents } from "./top-torrents.ts";

/** Writes the statistics of one mode, byte for byte in opentracker's form. */
export type ModeWriter = (figures: Figures, version: string) => string;

/** Writes MRTG's four lines: two counts, the uptime, and a line of text. */
function mrtg(first: number, second: number, { uptime }: Figures, text: string): string {
  return `${first}\n${second}\n${uptime} seconds (${Math.floor(uptime / 3600)} hours)\n${text}`;
}

/** Returns a count a second, as opentracker rounds it. */
function perSecond(count: number, { uptime }: Figures): number {
  return Math.floor(count / Math.max(1, uptime));
}

function connections(figures: Figures): { count: number; successes: number; text: string } {
  const { tcp, udp } = figures;
  const count = tcp.connections + udp.overall;
  const successes = tcp.announces + udp.announces + udp.connects;
  const text = `opentracker connections, ${perSecond(count, figures)} conns/s :: ${perSecond(successes, figures)} success/s.`;
  return { count, successes, text };
}

/** The modes of `?mode=` that are written from {@link Figures}. */
export const modes: ReadonlyMap<string, ModeWriter> = new Map<string, ModeWriter>([
  [
    "peer",
    ({ peers, seeders, torrents }) =>
      `${peers}\n${seeders}\nopentracker serving ${torrents} torrents\nopentracker`,
  ],
  ["torr", ({ torrents }) => `${torrents}\n0\nopentracker serving ${torrents} torrents\nopentracker`],
  [
    "conn",
    (figures) => {
      const { count, successes, text } = connections(figures);
      return mrtg(count, successes, figures, text);
    },
  ],
  [
    "syncs",
    (figures) => mrtg(figures.syncs.received, figures.syncs.sent, figures, connections(figures).text),
  ],
  [
    "scrp",
    (figures) => {
      const { tcp, udp } = figures;
      const rate = perSecond(tcp.scrapes + udp.scrapes, figures);
      return mrtg(
        tcp.scrapes,
        udp.scrapes,
        figures,
        `opentracker scrape stats, ${rate} scrape/s (tcp and udp)`,
      );
    },
  ],
  [
    "tcp4",
    (figures) => {
      const { connections: count, announces } = figures.tcp;
      const text = `opentracker tcp4 stats, ${perSecond(count, figures)} conns/s :: ${perSecond(announces, figures)} success/s.`;
      return mrtg(count, announces, figures, text);
    },
  ],
  [
    "udp4",
    (figures) => {
      const { overall, announces, connects } = figures.udp;
      const successes = announces + connects;
      const text = `opentracker udp4 stats, ${perSecond(overall, figures)} conns/s :: ${perSecond(successes, figures)} success/s.`;
      return mrtg(overall, successes, figures, text);
    },
  ],
  [
    "fscr",
    (figures) => {
      const { count, bytes } = figures.fullScrapes;
      const text = `opentracker full scrape stats, ${perSecond(count, figures)} conns/s :: ${perSecond(bytes, figures)} bytes/s.`;
      return mrtg(count, bytes, figures, text);
    },
  ],
  [
    "completed",
    (figures) => {
      const { completed, uptime } = figures;
      const rate = Math.floor(completed / Math.max(1, Math.floor(uptime / 3600)));
      return mrtg(completed, 0, figures, `opentracker, ${rate} completed/h.`);
    },
  ],
  [
    "herr",
    ({ errors }) =>
      [
        `302 RED ${errors.redirects}`,
        `400 ... ${errors.malformed}`,
        `400 PAR ${errors.parameters}`,
        "400 COM 0",
        `403 IP  ${errors.denied}`,
        `404 INV ${errors.notFound}`,
        `500 SRV ${errors.failed}`,
        "",
      ].join("\n"),
  ],
  ["renew", ({ renewals }) => minutes(renewals, (minute, count) => `${minute} ${count}\n`)],
  ["version", (_, version) => `chihaya ${version}\n`],
  ["everything", writeEverything],
]);

/** Modes of opentracker that this tracker does not have. */
export const unsupportedModes: readonly string[] = [
  "busy",
  "dmem",
  "fulllog",
  "numwants",
  "s24s",
  "startbench",
  "vdeb",
  "woodpeckers",
];

function minutes(counts: readonly number[], write: (minute: string, count: number) => string): string {
  return counts.map((count, minute) => write(`${minute}`.padStart(2, "0"), count)).join("");
}

/** Writes all figures as opentracker's XML; exporters read it by the names of its elements, `missmatch` included. */
function writeEverything(figures: Figures, version: string): string {
  const { uptime, torrents, peers, seeders, completed, tcp, udp, errors, syncs, renewals } = figures;
  const codes: readonly (readonly [code: string, count: number])[] = [
    ["302 Redirect", errors.redirects],
    ["400 Parse Error", errors.malformed],
    ["400 Invalid Parameter", errors.parameters],
    ["400 Invalid Parameter (compact=0)", 0],
    ["400 Not Modest", errors.notModest],
    ["402 Payment Required", 0],
    ["403 Access Denied", errors.denied],
    ["404 Not found", errors.notFound],
    ["500 Internal Server Error", errors.failed],
  ];
  return `<?xml version="1.0" encoding="UTF-8"?>
<stats>
  <tracker_id>${figures.trackerId}</tracker_id>
  <version>
chihaya ${version}
  </version>
  <uptime>${uptime}</uptime>
  <torrents>
    <count_mutex>${torrents}</count_mutex>
    <count_iterator>${torrents}</count_iterator>
  </torrents>
  <peers>
    <count>${peers}</count>
  </peers>
  <seeds>
    <count>${seeders}</count>
  </seeds>
  <completed>
    <count>${completed}</count>
  </completed>
  <connections>
    <tcp>
      <accept>${tcp.connections}</accept>
      <announce>${tcp.announces}</announce>
      <scrape>${tcp.scrapes}</scrape>
    </tcp>
    <udp>
      <overall>${udp.overall}</overall>
      <connect>${udp.connects}</connect>
      <announce>${udp.announces}</announce>
      <scrape>${udp.scrapes}</scrape>
      <missmatch>${udp.mismatches}</missmatch>
    </udp>
    <livesync>
      <count>${syncs.received}</count>
    </livesync>
  </connections>
  <debug>
    <renew>
${minutes(renewals, (minute, count) => `      <count interval="${minute}">${count}</count>\n`)}    </renew>
    <http_error>
${codes.map(([code, count]) => `      <count code="${code}">${count}</count>\n`).join("")}    </http_error>
    <mutex_stall>
      <count>0</count>
    </mutex_stall>
  </debug>
</stats>`;
}

/** Writes the torrents with the most peers, then those with the most seeders. */
export function writeTop(amount: 10 | 100, { byPeers, bySeeders }: TopTorrents): string {
  const list = (title: string, torrents: TopTorrents["byPeers"]) =>
    `Top ${amount} torrents by ${title}:\n${torrents
      .slice(0, amount)
      .map(({ count, infoHash }) => `\t${count}\t${toHex(infoHash).toUpperCase()}\n`)
      .join("")}`;
  return list("peers", byPeers) + list("seeds", bySeeders);
}
