import { infoHashLength } from "../../bittorrent/info-hash.ts";
import type { TorrentRecord } from "../../storage/records.ts";

/** The counts of one torrent; the infohash in hexadecimal. */
export interface TorrentCounts extends Required<Omit<TorrentRecord, "infoHash">> {
  readonly infoHash: string;
}

/** Torrents as bytes and words. They cross between threads as two copies, without an object for each torrent. */
export interface PackedTorrents {
  /** 20 bytes each. */
  readonly infoHashes: Uint8Array;
  /** Seeders, leechers, partial, snatches, peers4, peers6, peersWeb. */
  readonly counts: Uint32Array;
}

const countsOfEach = 7;

/** Packs some torrents. @param records  may yield the same object again; its infohash as bytes */
export function packTorrents(records: Iterable<TorrentRecord>, count: number): PackedTorrents {
  const infoHashes = new Uint8Array(count * infoHashLength);
  const counts = new Uint32Array(count * countsOfEach);
  let n = 0;
  for (const { infoHash, seeders, leechers, partial, snatches, peers4, peers6, peersWeb = 0 } of records) {
    infoHashes.set(infoHash, n * infoHashLength);
    counts.set([seeders, leechers, partial, snatches, peers4, peers6, peersWeb], n * countsOfEach);
    n++;
  }
  return {
    infoHashes: infoHashes.subarray(0, n * infoHashLength),
    counts: counts.subarray(0, n * countsOfEach),
  };
}

/** Returns the number of torrents. */
export function countTorrents({ infoHashes }: PackedTorrents): number {
  return infoHashes.length / infoHashLength;
}

/** Returns the torrent at an index below {@link countTorrents}. */
export function readTorrent({ infoHashes, counts }: PackedTorrents, index: number): TorrentCounts {
  const bytes = infoHashes.subarray(index * infoHashLength, (index + 1) * infoHashLength);
  const at = index * countsOfEach;
  const [seeders, leechers, partial, snatches, peers4, peers6, peersWeb] = counts.subarray(
    at,
    at + countsOfEach,
  ) as unknown as [number, number, number, number, number, number, number];
  return {
    infoHash: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex"),
    seeders,
    leechers,
    partial,
    snatches,
    peers4,
    peers6,
    peersWeb,
  };
}

/** Returns all torrents. */
export function unpackTorrents(packed: PackedTorrents): TorrentCounts[] {
  return Array.from({ length: countTorrents(packed) }, (_, i) => readTorrent(packed, i));
}
