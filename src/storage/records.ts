import { setImmediate } from "node:timers/promises";
import { infoHashLength, peerIdLength } from "../bittorrent/info-hash.ts";
import type { Address } from "../ip/address.ts";

/**
 * One peer of one torrent, as it travels between a store and a file, a client of an API, or another store. Later
 * versions may add fields; a reader ignores the fields that it does not know.
 */
export interface PeerRecord {
  /** 20 bytes. */
  infoHash: Uint8Array;
  /** The address that the peer is stored under; its family says which swarm of the torrent the peer is in. */
  address: Address;
  /** 1 to 65535. */
  port: number;
  /** 20 bytes, or undefined where the store does not keep peer ids. */
  peerId: Uint8Array | undefined;
  seeder: boolean;
  /** The peer is a leecher that has paused (BEP 21). */
  partial: boolean;
  /** The store remembers that this peer has completed the torrent, so that a second `completed` counts nothing. */
  snatched: boolean;
  /** Seconds since the last announce. A store with coarser times rounds it. */
  age: number;
}

/** The counts of one torrent, over both families. */
export interface TorrentRecord {
  /** 20 bytes. */
  infoHash: Uint8Array;
  seeders: number;
  /** Partial seeds included. */
  leechers: number;
  partial: number;
  /** Times that the torrent was completed. */
  snatches: number;
  /** Seeders and leechers by family. */
  peers4: number;
  peers6: number;
}

/** Records that a store takes over by {@link Records.replay}. */
export interface RecordBatch {
  torrents?: Iterable<Pick<TorrentRecord, "infoHash" | "snatches">>;
  peers?: Iterable<PeerRecord>;
}

/**
 * One step of a walk. The page stays valid for as long as it is referenced. An iteration may return the same object with
 * other contents at each turn: copy what you keep.
 */
export interface RecordPage extends RecordBatch {
  readonly torrents: Iterable<TorrentRecord>;
  readonly peers: Iterable<PeerRecord>;
  /** Where the next step begins, as printable ASCII without spaces; undefined after the last step. */
  readonly next: string | undefined;
}

/** What became of the peers of a batch. */
export interface ReplayResult {
  /** Peers that the store has now, those with a newer announce included. */
  taken: number;
  /** Peers that were older than the peer lifetime, and were left out. */
  expired: number;
  /** Peers that the store had no room for; they count as refused in the statistics too. */
  refused: number;
}

/**
 * The slow contract of a store, beside `PeerStore`: lists what the store holds, and takes over what another store held.
 * Snapshots, full scrapes, lists of torrents, imports and replication are made of it. A store that has no records leaves
 * `PeerStore.records` undefined.
 *
 * A walk is a chain of steps. Each call is one step: it visits a bounded number of torrents and peers, then returns a
 * page. The caller chooses the pace, gives the event loop a turn between two steps (see {@link walk}), and may stop or
 * resume at any time with the cursor of the last page. The store remembers nothing of a walk.
 *
 * Announces go on during a walk. A torrent or peer that is present from the first step to the last is in at least one
 * page; what comes or goes meanwhile may be in a page or not. Each record is as it was at one moment.
 * A store says in its own documentation whether a record can come twice.
 *
 * A cursor belongs to one store and one method (for `peers`, to one torrent). It survives the growth of the store, but not
 * its end: after a restart begin again. The order of a walk is the store's own.
 */
export interface Records {
  /**
   * Visits torrents that have peers or snatches, without their peers.
   * @param cursor  `next` of the page before; absent for the first step
   * @returns a page without peers
   * @throws RangeError where the cursor is not of this store
   */
  torrents(cursor?: string): RecordPage | Promise<RecordPage>;

  /**
   * Visits the peers of one torrent.
   * @returns a page with the torrent (on the first step, if it is there) and some of its peers
   * @throws RangeError where the cursor is not of this store
   */
  peers(infoHash: Uint8Array, cursor?: string): RecordPage | Promise<RecordPage>;

  /**
   * Visits all torrents that have peers or snatches, and all peers. A torrent comes in the page of its first peers, and a
   * big swarm goes on in the pages that follow.
   * @throws RangeError where the cursor is not of this store
   */
  export(cursor?: string): RecordPage | Promise<RecordPage>;

  /**
   * Takes over records, a bounded number at a time: the pages of a walk are made for it. A batch may be replayed again.
   *
   * - A peer that is there already keeps its own record if its last announce is as new as the given one; `snatched` is
   *   kept from both. A peer that has stopped since the record was made comes back, and expires in its time.
   * - A peer that is as old as the peer lifetime is left out.
   * - A torrent keeps the larger number of snatches. A peer with `snatched` adds none: the torrent's record has it.
   * - A peer without an id is taken by a store that keeps ids, and is not listed with ids before it announces.
   * @param records  read to the end before the first turn of the event loop
   * @throws RangeError for a record that cannot be a peer; those before it are taken
   */
  replay(records: RecordBatch): ReplayResult | Promise<ReplayResult>;
}

/**
 * Makes a walk step by step, with a turn of the event loop between two steps. The next step is made when the next page
 * is asked for, so a slow reader holds nothing up.
 *
 *     for await (const page of walk((cursor) => records.export(cursor))) for (const peer of page.peers) ...
 *
 * @param cursor  where to begin; absent for the beginning
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
    await setImmediate(); // so that making the batch and replaying it are two steps
    const { taken, expired, refused } = await to.replay(batch);
    sum.taken += taken;
    sum.expired += expired;
    sum.refused += refused;
  }
  return sum;
}

/** @throws RangeError where a record cannot be a peer; says why */
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

/** @throws RangeError where a record cannot be a torrent; says why */
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
