import { setImmediate } from "node:timers/promises";
import { infoHashLength, peerIdLength } from "../bittorrent/info-hash.ts";
import type { Address } from "../ip/address.ts";

/**
 * One peer of one torrent, in the form that travels between a store and a file, an API client or another store. Later
 * versions may add fields; a reader ignores unknown fields. A web peer has no record, because it is of use only to the
 * process that holds its socket.
 */
export interface PeerRecord {
  /** 20 bytes. */
  infoHash: Uint8Array;
  /** The address of the peer in the store; its family selects the swarm of the torrent. */
  address: Address;
  /** 1 to 65535. */
  port: number;
  /** 20 bytes, or undefined if the store does not keep peer ids. */
  peerId: Uint8Array | undefined;
  seeder: boolean;
  /** The peer is a leecher that has paused (BEP 21). */
  partial: boolean;
  /** The store remembers that this peer has completed the torrent, so a second `completed` adds no snatch. */
  snatched: boolean;
  /** Seconds since the last announce. A store with coarser times rounds the age. */
  age: number;
}

/** The counts of one torrent, over all kinds of peers. */
export interface TorrentRecord {
  /** 20 bytes. */
  infoHash: Uint8Array;
  seeders: number;
  /** Partial seeds included. */
  leechers: number;
  partial: number;
  /** Completed downloads of the torrent. */
  snatches: number;
  /** Seeders and leechers by kind. */
  peers4: number;
  peers6: number;
  /** Undefined if the store does not keep web peers. */
  peersWeb?: number;
}

/** Records for {@link Records.replay}. */
export interface RecordBatch {
  torrents?: Iterable<Pick<TorrentRecord, "infoHash" | "snatches">>;
  peers?: Iterable<PeerRecord>;
}

/**
 * One step of a walk. The page stays valid while it is referenced. An iterator may return the same object with new
 * contents at each turn: copy what you keep.
 */
export interface RecordPage extends RecordBatch {
  readonly torrents: Iterable<TorrentRecord>;
  readonly peers: Iterable<PeerRecord>;
  /** The cursor of the next step, as printable ASCII without spaces; undefined after the last step. */
  readonly next: string | undefined;
}

/** The result of replaying a batch of peers. */
export interface ReplayResult {
  /** Peers that the store has now, including peers with a newer announce. */
  taken: number;
  /** Peers older than the peer lifetime, which were left out. */
  expired: number;
  /** Peers that did not fit; the statistics count them as refused too. */
  refused: number;
}

/**
 * The slow contract of a store, beside `PeerStore`: lists the contents of a store, and replays the contents of another.
 * Snapshots, full scrapes, lists of torrents, imports and replication use this contract. A store without records leaves
 * `PeerStore.records` undefined.
 *
 * A walk is a chain of steps. Each call is one step: the call visits a bounded number of torrents and peers, then
 * returns a page. The caller chooses the pace, gives the event loop a turn between two steps (see {@link walk}), and
 * may stop or resume at any time with the cursor of the last page. The store keeps no state of a walk.
 *
 * Announces continue during a walk. A torrent or peer that is present from the first step to the last is in at least
 * one page. A torrent or peer that comes or goes during the walk may be missing. Each record is consistent in itself.
 * The documentation of a store says whether a record can come twice.
 *
 * A cursor belongs to one store and one method (for `peers`, to one torrent). A cursor survives the growth of the
 * store, but not a restart: begin again then. Each store has its own order of walking.
 */
export interface Records {
  /**
   * Visits torrents that have peers or snatches, without their peers.
   * @param cursor  `next` of the previous page; absent for the first step
   * @returns a page without peers
   * @throws RangeError if the cursor is not from this store
   */
  torrents(cursor?: string): RecordPage | Promise<RecordPage>;

  /**
   * Finds torrents by their infohashes, as one step.
   * @param infoHashes  20 bytes each; the caller bounds their number
   * @returns the torrents that have peers or snatches, in the order of `infoHashes`; valid as long as a {@link RecordPage}
   */
  find(infoHashes: readonly Uint8Array[]): Iterable<TorrentRecord> | Promise<Iterable<TorrentRecord>>;

  /**
   * Visits the peers of one torrent that have an address.
   * @returns a page with some peers, and on the first step with the torrent if it exists
   * @throws RangeError if the cursor is not from this store
   */
  peers(infoHash: Uint8Array, cursor?: string): RecordPage | Promise<RecordPage>;

  /**
   * Visits all torrents that have peers or snatches, and all peers that have an address. A torrent is in the page of its first peers; the
   * following pages continue a big swarm.
   * @throws RangeError if the cursor is not from this store
   */
  export(cursor?: string): RecordPage | Promise<RecordPage>;

  /**
   * Replays a bounded number of records, such as one page of a walk. Replaying a batch twice does no harm.
   *
   * - A known peer keeps its own record if its last announce is as new as the given one; `snatched` is true if either
   *   record says so. A peer that has stopped since the record was made returns, and expires in its time.
   * - A peer as old as the peer lifetime is left out.
   * - A torrent keeps the larger number of snatches. A peer with `snatched` adds none, because the torrent's record
   *   counts it.
   * - A store that keeps peer ids accepts a peer without one, but lists the peer with ids only after its next announce.
   * @param records  read to the end before the first turn of the event loop
   * @throws RangeError for a record that cannot be a peer; earlier records are kept
   */
  replay(records: RecordBatch): ReplayResult | Promise<ReplayResult>;
}

/**
 * Walks step by step, with a turn of the event loop between two steps. Requesting the next page makes the next step, so
 * a slow reader delays nothing.
 *
 *     for await (const page of walk((cursor) => records.export(cursor))) for (const peer of page.peers) ...
 *
 * @param cursor  the start; absent for the beginning
 */
export async function* walk(
  step: (cursor?: string) => RecordPage | Promise<RecordPage>,
  cursor?: string,
): AsyncGenerator<RecordPage> {
  for (;;) {
    const page = await step(cursor);
    yield page;
    if (page.next === undefined) return;
    cursor = page.next;
    await setImmediate();
  }
}

/**
 * Replays batches into a store, one after the other.
 * @param batches  such as the pages of a {@link walk} over another store
 * @returns the sum over all batches
 */
export async function replayAll(
  to: Pick<Records, "replay">,
  batches: AsyncIterable<RecordBatch>,
): Promise<ReplayResult> {
  const sum: ReplayResult = { taken: 0, expired: 0, refused: 0 };
  for await (const batch of batches) {
    await setImmediate(); // separates the step that makes the batch from the step that replays the batch
    const { taken, expired, refused } = await to.replay(batch);
    sum.taken += taken;
    sum.expired += expired;
    sum.refused += refused;
  }
  return sum;
}

/** Checks the record of a peer. @throws RangeError with the reason if the record cannot be a peer */
export function checkPeerRecord({ infoHash, port, peerId, age }: PeerRecord): void {
  const fail = (why: string): never => {
    throw new RangeError(`the record of a peer has ${why}`);
  };
  if (infoHash.length !== infoHashLength)
    fail(`an infohash of ${infoHash.length} bytes, not ${infoHashLength}`);
  if (peerId !== undefined && peerId.length !== peerIdLength)
    fail(`a peer id of ${peerId.length} bytes, not ${peerIdLength}`);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) fail(`port ${port}, not 1 to 65535`);
  if (!(age >= 0)) fail(`an age of ${age}, not 0 seconds or more`);
}

/** Checks the record of a torrent. @throws RangeError with the reason if the record cannot be a torrent */
export function checkTorrentRecord({
  infoHash,
  snatches,
}: Pick<TorrentRecord, "infoHash" | "snatches">): void {
  if (infoHash.length !== infoHashLength)
    throw new RangeError(
      `the record of a torrent has an infohash of ${infoHash.length} bytes, not ${infoHashLength}`,
    );
  if (!Number.isInteger(snatches) || snatches < 0)
    throw new RangeError(`the record of a torrent has ${snatches} snatches, not 0 or more`);
}
