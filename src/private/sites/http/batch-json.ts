import { toExactJson } from "../../../lib/exact-json.ts";
import type { Batch, Sums } from "../../accounting/batch.ts";
import type { Bytes } from "../../accounting/bytes.ts";
import { clientOf, creditsOf } from "../rows.ts";

/**
 * Renders a batch for a site: the sums of the records after `from`, up to and including `to`. All numbers are whole; times are seconds
 * since 1970, peer ids hexadecimal digits.
 */
export function renderBatch(instance: string, batch: Batch): string {
  const { from, to, users, histories, peers, snatches } = batch;
  return toExactJson({
    ...{ instance, from, to },
    users: users.map((sums) => ({ id: sums.user, ...bytesOf(sums) })),
    history: histories.map((history) => ({
      ...{ user: history.user, torrent: history.torrent, ...bytesOf(history) },
      ...{ seedtime: history.seedSeconds, leechtime: history.leechSeconds },
      ...{ first_seen: history.firstSeen, last_seen: history.lastSeen },
      completed_at: history.completedAt ?? null,
    })),
    peers: peers.map((peer) => {
      const peerId = Buffer.from(peer.peerId, "latin1");
      return {
        ...{
          user: peer.user,
          torrent: peer.torrent,
          peer_id: peerId.toString("hex"),
          client: clientOf(peerId),
        },
        ...{ ip: peer.ip, port: peer.port, uploaded: peer.uploaded, downloaded: peer.downloaded },
        ...{ left: peer.left, active: peer.isActive, updated_at: peer.seconds },
      };
    }),
    snatches: snatches.map(({ user, torrent, seconds, ip }) => ({ user, torrent, at: seconds, ip })),
  });
}

function bytesOf(sums: Sums): Record<string, Bytes> {
  return {
    ...creditsOf(sums),
    raw_uploaded: sums.rawUploaded,
    raw_downloaded: sums.rawDownloaded,
  };
}
