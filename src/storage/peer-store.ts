import type { AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import type { ScrapeRequest, ScrapeResponse } from "../bittorrent/scrape.ts";
import type { Records } from "./records.ts";

/** What the announce step does: both, unless a hook has skipped one of them. */
export const Step = { apply: 1, select: 2, both: 3 } as const;
export type Step = (typeof Step)[keyof typeof Step];

/** What a store holds right now. A torrent with swarms of both families counts twice, as in Chihaya. */
export interface StoreStatistics {
  swarms: number;
  seeders: number;
  leechers: number;
  /** Seeders and leechers by family. */
  peers4: number;
  peers6: number;
  /** Peers that were not stored because the store was full. */
  refused: number;
}

/** One swarm of one family, as {@link PeerStore.swarms} lists it. */
export interface SwarmSummary {
  infoHash: Uint8Array;
  family: 4 | 6;
  seeders: number;
  leechers: number;
  snatches: number;
}

/**
 * Holds the swarms: which peers share which torrent.
 *
 * A peer is (infohash, address, port). Its peer id does not identify it: a client that restarts is the same
 * peer, and nobody can evict somebody else. A torrent has a swarm of each family. Requests of both families see
 * the same counts: those of the whole torrent.
 *
 * A store answers at once (returns nothing) or later (returns a promise); in the second case request and
 * response stay the store's until the promise settles. It never throws for a full memory or an unknown
 * infohash. A rejection with a `ClientError` is what the client gets to see; any other means that the store is
 * broken, and the client gets an internal error.
 *
 * Every store passes the suite of `storage/conformance.ts`.
 */
export interface PeerStore {
  /**
   * The one atomic step of an announce: applies it to its swarm, then selects peers for the answer.
   *
   * Apply (unless `step` lacks it):
   * - `stopped` removes the peer; one that is not there is no error.
   * - Otherwise the peer is added or refreshed as a seeder where `request.isSeeder`, else as a leecher; a
   *   peer that changes its role is in one set only, at any moment.
   * - `completed` adds to the snatches of the torrent, once per peer for as long as the store remembers it.
   * - `paused` marks a leecher as a partial seed (BEP 21), any other event unmarks it.
   * - A full store leaves the peer out and counts it as refused; the rest of the step happens all the same.
   *
   * Select (unless `step` lacks it): fills `complete` and `incomplete` (peers of both families, after
   * the apply) and `snatches`, and writes peers into `response.peers4` and `peers6`:
   * - a seeder gets leechers only; a leecher gets seeders first, then leechers, each range from a
   *   random start; `stopped` and `numWant` 0 get none; the list's `seeders` says how many seeders it begins with;
   * - the announcer's family first, up to `numWant` and that list's limit; what is left of `numWant` is filled
   *   from the other family, up to that list's limit;
   * - never the announcer itself, except that the only peer of its swarm gets itself where no other was written.
   *
   * Cost: independent of the size of the swarm.
   */
  announce(request: AnnounceRequest, response: AnnounceResponse, step: Step): void | Promise<void>;

  /**
   * Fills a row for each infohash of the request that is not hidden, with the peers of both families; rows of
   * unknown infohashes stay zero. Creates nothing.
   */
  scrape(request: ScrapeRequest, response: ScrapeResponse): void | Promise<void>;

  /**
   * Removes a torrent: its peers of both families and its snatches. One that is not there is no error.
   * @param infoHash  20 bytes; the store's until its promise settles
   */
  remove(infoHash: Uint8Array): void | Promise<void>;

  /** Counts what is stored; cheap enough to be called every second. */
  statistics(): StoreStatistics | Promise<StoreStatistics>;

  /** Lists swarms that have peers or snatches, in no order. What changes meanwhile may be listed or not. */
  swarms(): Iterable<SwarmSummary> | AsyncIterable<SwarmSummary>;

  /**
   * Removes, in one complete pass, peers that have not announced for the peer lifetime, and swarms that are
   * of no more use. Between `start` and `stop` the store does this by itself, in small steps.
   * @returns peers removed
   */
  expire(): number | Promise<number>;

  /** The slow contract: lists all torrents and peers, and takes over those of another store. Undefined without it. */
  readonly records?: Records;

  /**
   * Whether it keeps peer ids, and so fills `peerIds` of a list. Where it does not, clients that ask for a list of
   * dictionaries get a compact one.
   */
  readonly keepsPeerIds?: boolean;

  /** True, or why it cannot do all that it should; for a store that depends on others. */
  readonly readiness?: true | string;

  /** Whether announces are answered all the same while it says why not. */
  readonly servesUnready?: boolean;

  /** Begins what the store does by itself. Idempotent. */
  start(): void | Promise<void>;

  /** Ends it, and lets go of what it holds outside. Idempotent. */
  stop(): void | Promise<void>;

  /**
   * Checks options that a reload has changed, and throws where the store cannot take them while it runs.
   * @returns what takes them, without losing a peer; it cannot fail
   */
  prepare?(options: unknown): () => void;
}
