import type { AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import type { ScrapeRequest, ScrapeResponse } from "../bittorrent/scrape.ts";
import type { Family } from "../ip/address.ts";
import type { Records } from "./records.ts";

/** The halves of the announce step; a hook may skip one. */
export const Step = { apply: 1, select: 2, both: 3 } as const;
export type Step = (typeof Step)[keyof typeof Step];

/**
 * The kinds of swarms of a torrent: peers with an IPv4 or IPv6 address, and web peers, which are reached through a
 * WebSocket of the tracker.
 */
export type SwarmKind = Family | "web";

/** The present contents of a store. A torrent counts once for each kind of peers that it has, as in Chihaya. */
export interface StoreStatistics {
  /** Torrents with peers or snatches, each once; undefined if the store does not count them. */
  torrents?: number;
  swarms: number;
  seeders: number;
  leechers: number;
  /** Seeders and leechers by kind. */
  peers4: number;
  peers6: number;
  /** Undefined if the store does not keep web peers. */
  peersWeb?: number;
  /** Peers that the store refused because it was full. */
  refused: number;
}

/** One swarm of one kind, an item of {@link PeerStore.swarms}. */
export interface SwarmSummary {
  infoHash: Uint8Array;
  family: SwarmKind;
  seeders: number;
  leechers: number;
  snatches: number;
}

/** The way to the sockets of other trackers' web peers, in a store that several trackers share. */
export interface WebLink {
  /** The number of this tracker among them, drawn at its start; not 0. */
  readonly tracker: number;
  /**
   * Receives the messages to a worker of this tracker, until the store stops. The bytes belong to the receiver. Retries in the
   * background if the store cannot reach the other trackers.
   */
  open(worker: number, receive: (message: Uint8Array) => void): Promise<void>;
  /**
   * Sends a message to a worker of another tracker. May reject; a message may also get lost silently.
   * @param message  copied before the first turn of the event loop
   * @returns false if nobody receives it
   */
  send(tracker: number, worker: number, message: Uint8Array): Promise<boolean>;
}

/**
 * Holds the swarms: which peers share which torrent.
 *
 * A peer is (infohash, address, port). The peer id does not identify the peer: a restarted client is the same peer, and
 * no client can evict another. A web peer is (infohash, handle, generation): its socket. A torrent has a swarm of each
 * {@link SwarmKind}. Every request sees the counts of the whole torrent; the lists hold only peers that the announcer can
 * reach.
 *
 * A store responds at once (returns nothing) or later (returns a promise). In the second case the store keeps request
 * and response until the promise settles. A store never throws for a full memory or an unknown infohash. A rejection
 * with a `ClientError` reaches the client; any other rejection means that the store is broken, and the client gets an
 * internal error.
 *
 * Every store passes the suite of `storage/conformance.ts`.
 */
export interface PeerStore {
  /**
   * Performs the one atomic step of an announce: applies the announce to its swarm, then selects peers for the
   * response.
   *
   * Apply (if `step` includes it):
   * - `stopped` removes the peer; an unknown peer is no error.
   * - Any other event adds or refreshes the peer: as a seeder if `request.isSeeder`, else as a leecher. A peer that
   *   changes its role is never in both sets.
   * - `completed` adds a snatch to the torrent, once per peer for as long as the store remembers the peer.
   * - `paused` marks a leecher as a partial seed (BEP 21); any other event removes the mark.
   * - A full store leaves the peer out and counts it as refused; the rest of the step is unchanged.
   *
   * Select (if `step` includes it): fills `complete` and `incomplete` (peers of all kinds, after the apply) and
   * `snatches`, and writes peers into `response.peers4` and `peers6`:
   * - A seeder gets leechers only. A leecher gets seeders first, then leechers, each range from a random start.
   *   `stopped` and `numWant` 0 get none. The list's `seeders` is the number of seeders at its beginning.
   * - The announcer's family comes first, up to `numWant` and the list's limit. Peers of the other family fill the rest
   *   of `numWant`, up to the other list's limit.
   * - The announcer is never in its own list, with one exception: the only peer of its swarm gets itself if no other
   *   peer was written.
   * - A web announcer gets web peers only, in `response.webPeers`, and no other announcer gets web peers. A web seeder
   *   gets leechers first, then seeders. A web announcer never gets itself.
   *
   * Cost: independent of the size of the swarm.
   */
  announce(request: AnnounceRequest, response: AnnounceResponse, step: Step): void | Promise<void>;

  /**
   * Fills a row for each visible infohash of the request, with the peers of all kinds. Rows of unknown infohashes
   * stay zero. Creates nothing.
   */
  scrape(request: ScrapeRequest, response: ScrapeResponse): void | Promise<void>;

  /**
   * Removes the web peers of a worker whose sockets are gone. Goes in steps, between which the event loop serves others.
   * Undefined if the store does not keep web peers; then it gets no web announces.
   * @param worker  see `AnnounceRequest.handle`; none of its sockets announces during the sweep
   * @returns the number of removed peers
   */
  sweep?(worker: number): number | Promise<number>;

  /** Undefined if all web peers have their sockets in this tracker. */
  readonly webLink?: WebLink;

  /**
   * Removes a torrent: its peers of all kinds and its snatches. An unknown infohash is no error. A big swarm goes in
   * steps, between which the event loop serves others; a peer that announces again meanwhile may stay.
   * @param infoHash  20 bytes; the store keeps them until its promise settles
   */
  remove(infoHash: Uint8Array): void | Promise<void>;

  /** Counts the contents; cheap enough to be called every second. */
  statistics(): StoreStatistics | Promise<StoreStatistics>;

  /** Lists swarms with peers or snatches, in no order. A change during the listing may be missed. */
  swarms(): Iterable<SwarmSummary> | AsyncIterable<SwarmSummary>;

  /**
   * Removes, in one complete pass, peers that have not announced for the peer lifetime, and torrents that are no longer
   * useful. Between `start` and `stop` the store does this by itself, in small steps.
   * @returns the number of removed peers
   */
  expire(): number | Promise<number>;

  /**
   * The slow contract: lists all torrents and peers, and replays records of another store. Undefined if unsupported.
   */
  readonly records?: Records;

  /** Peers of all kinds that fit; undefined if the store has no limit of its own. */
  readonly capacity?: number;

  /**
   * Whether the store keeps peer ids, and so fills `peerIds` of a list. Without peer ids, a client that asks for a list
   * of dictionaries gets a compact list.
   */
  readonly keepsPeerIds?: boolean;

  /** True, or why the store cannot serve every request; for a store that depends on other programs. */
  readonly readiness?: true | string;

  /** Whether the store serves announces even while `readiness` is not true. */
  readonly servesUnready?: boolean;

  /** Starts the background work of the store. Idempotent. */
  start(): void | Promise<void>;

  /** Stops the background work and releases outside resources. Idempotent. */
  stop(): void | Promise<void>;

  /**
   * Checks options that a reload has changed, and throws where the store cannot take them while it runs.
   * @returns what takes them, without losing a peer; it cannot fail
   */
  prepare?(options: unknown): () => void;
}
