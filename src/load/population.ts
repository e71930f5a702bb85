/** Number of torrents and peers of a load. */
export interface PopulationShape {
  torrents: number;
  peers: number;
}

/** This share of the torrents has {@link hotPeers} of the peers, as on public trackers. */
const hotTorrents = 0.014;
const hotPeers = 0.73;

/**
 * A skewed population. It is computed, not stored: peer `n` always has the same torrent and endpoint. One peer in four is a
 * seeder.
 */
export class Population {
  readonly shape: PopulationShape;
  readonly #hot: number;

  constructor(shape: PopulationShape) {
    this.shape = shape;
    this.#hot = Math.max(1, Math.floor(shape.torrents * hotTorrents));
  }

  torrentOf(peer: number): number {
    const random = mix(peer + 1);
    const other = mix(random ^ 0x5bd1e995);
    const cold = this.shape.torrents - this.#hot;
    if (cold === 0 || random < hotPeers * 2 ** 32) return other % this.#hot;
    return this.#hot + (other % cold);
  }

  isSeeder(peer: number): boolean {
    return mix(peer ^ 0x27d4eb2f) % 4 === 0;
  }

  /** Writes the 20 bytes of a torrent's infohash. */
  writeInfoHash(torrent: number, view: DataView, at: number): void {
    for (let i = 0; i < 5; i++) view.setUint32(at + 4 * i, mix(torrent * 5 + i + 1));
  }
}

/** Mixes 32 bits (the finalizer of MurmurHash3). */
function mix(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
