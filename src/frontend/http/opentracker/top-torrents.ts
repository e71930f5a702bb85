import { infoHashLength } from "../../../bittorrent/info-hash.ts";
import { type Records, walk } from "../../../storage/records.ts";

/** A torrent of a ranking. */
interface Ranked {
  readonly count: number;
  readonly infoHash: Uint8Array;
}

/** The torrents with the most peers and with the most seeders; the first has the most. */
export interface TopTorrents {
  readonly byPeers: readonly Ranked[];
  readonly bySeeders: readonly Ranked[];
}

/** Torrents of a ranking. */
const most = 100;

/** Visits all torrents, in steps, and ranks them. Torrents without peers or without seeders are left out of that ranking. */
export async function rankTorrents(records: Pick<Records, "torrents">): Promise<TopTorrents> {
  const byPeers: Ranked[] = [];
  const bySeeders: Ranked[] = [];
  for await (const { torrents } of walk((cursor) => records.torrents(cursor))) {
    for (const { infoHash, seeders, leechers } of torrents) {
      rank(byPeers, seeders + leechers, infoHash);
      rank(bySeeders, seeders, infoHash);
    }
  }
  return { byPeers, bySeeders };
}

/** Adds a torrent to a ranking if it is among the first. Of torrents with the same count, the smaller infohash is first. */
function rank(ranking: Ranked[], count: number, infoHash: Uint8Array): void {
  if (count === 0) return;
  let at = ranking.length;
  while (at > 0 && isBefore(count, infoHash, ranking[at - 1]!)) at--;
  if (at === most) return;
  ranking.splice(at, 0, { count, infoHash: Uint8Array.from(infoHash) });
  if (ranking.length > most) ranking.pop();
}

function isBefore(count: number, infoHash: Uint8Array, other: Ranked): boolean {
  if (count !== other.count) return count > other.count;
  let i = 0;
  while (i < infoHashLength - 1 && infoHash[i] === other.infoHash[i]) i++;
  return infoHash[i]! < other.infoHash[i]!;
}
