import type { PackedTorrents } from "./packed-torrents.ts";

/** The counts by which torrents are sorted. */
export type TorrentOrder = "peers" | "seeders" | "leechers" | "snatches";

/** A place in a sorted list: behind this torrent. */
export interface TopPosition {
  /** The count by which the list is sorted. */
  readonly value: number;
  /** In hexadecimal. Torrents with equal counts follow in the order of their infohashes. */
  readonly infoHash: string;
}

/** Asks for the torrents with the largest counts. */
export interface TopQuery {
  readonly order: TorrentOrder;
  readonly minPeers: number;
  /** The first digits of the infohash, in lower case; "" for all torrents. */
  readonly prefix: string;
  readonly after: TopPosition | undefined;
  readonly limit: number;
}

/** Asks for some peers of one torrent. */
export interface PeersQuery {
  readonly infoHash: Uint8Array;
  /** `next` of the previous page. */
  readonly cursor: string | undefined;
  readonly limit: number;
  /** Whether addresses, ports and peer ids are returned whole. */
  readonly isWhole: boolean;
  /** {@link peerOrderKeys} secret words. The order of the peers within a step of the store follows from them. */
  readonly keys: Int32Array;
}

/** One peer as operators see it. */
export interface PeerRow {
  /** An address, or its network: /24 or /48. */
  readonly address: string;
  readonly port: number | undefined;
  /** In hexadecimal; undefined if the store does not keep it. */
  readonly peerId: string | undefined;
  /** The name of the software, from a fixed table; undefined without a peer id. */
  readonly client: string | undefined;
  readonly seeder: boolean;
  readonly partial: boolean;
  readonly snatched: boolean;
  readonly age: number;
}

export interface PeersPage {
  readonly peers: readonly PeerRow[];
  readonly next: string | undefined;
}

/** Peers by client software, among the first peers of a walk. */
export interface ClientSample {
  /** False if the store does not keep peer ids. */
  readonly known: boolean;
  readonly peers: number;
  /** The name is from a fixed table; versions are up to four letters and digits. */
  readonly clients: readonly {
    readonly name: string;
    readonly peers: number;
    readonly versions: Readonly<Record<string, number>>;
  }[];
}

/**
 * What operators see and change in a store. Served by each thread that has the store; any of them will do, because all see
 * the same torrents. No method holds a lock or the event loop for more than a few milliseconds.
 *
 * Errors have a `code`: `storage-unavailable` if the store depends on another program that does not respond, `unsupported` if
 * the store has no records, `bad-cursor` for a cursor that the store has not made.
 */
export interface SwarmMethods {
  /** Finds torrents that have peers or snatches. @param infoHashes  20 bytes each, 1,000 at most */
  find(infoHashes: readonly Uint8Array[]): Promise<PackedTorrents>;
  /** Visits all torrents once for all queries. @returns the torrents of each query, in order */
  top(queries: readonly TopQuery[]): Promise<PackedTorrents[]>;
  peers(query: PeersQuery): Promise<PeersPage>;
  /** Counts clients among the given number of peers, or a few more. */
  sampleClients(peers: number): Promise<ClientSample>;
  /** Removes a torrent, its peers and snatches, also from a store without records. Peers that announce again return. */
  remove(infoHash: Uint8Array): Promise<void>;
}
