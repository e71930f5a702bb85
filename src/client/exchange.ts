import type { AnnounceEvent } from "../bittorrent/event.ts";
import type { Family } from "../ip/address.ts";

/** What a client says about itself in an announce (BEP 3). */
export interface AnnounceParameters {
  /** 20 bytes. */
  infoHash: Uint8Array;
  /** 20 bytes. */
  peerId: Uint8Array;
  /** The port that the client listens on. */
  port: number;
  /** Bytes, 0 to 2^64-1; 0 makes a seeder. */
  left: bigint;
  uploaded?: bigint;
  downloaded?: bigint;
  /** Default none. */
  event?: AnnounceEvent;
  /** Peers that are wanted; absent leaves it to the tracker. */
  numWant?: number;
  /** Identifies the client across addresses (BEP 7), 32 bits; absent sends none (zero over UDP). */
  key?: number;
  /** HTTP only: whether peers are asked for in compact form (BEP 23); default true. */
  compact?: boolean;
}

/** One peer in a response to an announce. */
export interface ReturnedPeer {
  /** IP address, without brackets; a host name where a tracker lists one (BEP 3 allows it). */
  ip: string;
  port: number;
  /** 20 bytes; only in lists that are not compact. */
  peerId?: Uint8Array;
}

/** A response to an announce. A field that the tracker did not send is absent. */
export interface AnnounceResult {
  /** Seconds. */
  interval: number;
  /** Seconds. */
  minInterval?: number;
  /** Seeders. */
  complete?: number;
  /** Leechers. */
  incomplete?: number;
  /** IPv4 first, each family in the tracker's order. */
  peers: ReturnedPeer[];
  warning?: string;
  /** The client's address as the tracker sees it (BEP 24). */
  externalIp?: string;
}

/** The counts of one swarm in a response to a scrape. A field that the tracker did not send is absent. */
export interface SwarmCounts {
  /** Seeders. */
  complete: number;
  /** Leechers. */
  incomplete: number;
  /** Times that the torrent was completed. */
  downloaded?: number;
  /** Leechers that are downloading: `incomplete` less the partial seeds (BEP 21). */
  downloaders?: number;
}

/** How one request travels; the time limit is part of the signal. */
export interface Transport {
  signal: AbortSignal;
  family: Family | undefined;
  ca: string | Uint8Array | undefined;
  retransmitMs: number;
}
