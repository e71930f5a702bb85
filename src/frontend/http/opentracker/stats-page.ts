import type { FamilySnapshot } from "../../../observability/metrics.ts";
import type { StoreStatistics } from "../../../storage/peer-store.ts";

/** The statistics of bittorrent-tracker's `/stats.json`. */
export interface StatsPage {
  readonly torrents: number;
  readonly activeTorrents: number;
  readonly peersAll: number;
  readonly peersSeederOnly: number;
  readonly peersLeecherOnly: number;
  /** Always 0: a peer belongs to one torrent, where it is one of the two. */
  readonly peersSeederAndLeecher: number;
  readonly peersIPv4: number;
  readonly peersIPv6: number;
  /** Announces by client software, where bittorrent-tracker counts peers by version. */
  readonly clients: Readonly<Record<string, { readonly announces: number }>>;
}

/** Takes the statistics from those of the store and from the metrics. */
export function readStatsPage(statistics: StoreStatistics, families: readonly FamilySnapshot[]): StatsPage {
  const { swarms, torrents = swarms, seeders, leechers, peers4, peers6 } = statistics;
  return {
    torrents,
    activeTorrents: Math.min(torrents, swarms),
    peersAll: seeders + leechers,
    peersSeederOnly: seeders,
    peersLeecherOnly: leechers,
    peersSeederAndLeecher: 0,
    peersIPv4: peers4,
    peersIPv6: peers6,
    clients: readClients(families),
  };
}

function readClients(families: readonly FamilySnapshot[]): StatsPage["clients"] {
  const counted = families.filter(({ name }) => name === "chihaya_announces_by_client_total");
  const series = counted.flatMap(({ series }) => series);
  const clients = series.map(({ labels, values }) => [labels.client!, { announces: values[0]! }] as const);
  return Object.fromEntries(clients.filter(([, { announces }]) => announces > 0));
}

/** Writes bittorrent-tracker's page. */
export function writeStatsPage(page: StatsPage): string {
  const clients = Object.entries(page.clients).map(
    ([name, { announces }]) => `<li><strong>${escapeHtml(name)}</strong> announces : ${announces}</li>\n`,
  );
  return `
<h1>${page.torrents} torrents (${page.activeTorrents} active)</h1>
<h2>Connected Peers: ${page.peersAll}</h2>
<h3>Peers Seeding Only: ${page.peersSeederOnly}</h3>
<h3>Peers Leeching Only: ${page.peersLeecherOnly}</h3>
<h3>Peers Seeding & Leeching: ${page.peersSeederAndLeecher}</h3>
<h3>IPv4 Peers: ${page.peersIPv4}</h3>
<h3>IPv6 Peers: ${page.peersIPv6}</h3>
<h3>Clients:</h3>
<ul>
${clients.join("")}</ul>
`.slice(1);
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
