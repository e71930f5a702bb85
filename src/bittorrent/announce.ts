import { Address, type Family } from "../ip/address.ts";
import { AnnounceEvent } from "./event.ts";
import { infoHashLength, peerIdLength, toHex } from "./info-hash.ts";
import { Params } from "./params.ts";
import { PeerList } from "./peer-list.ts";

/**
 * One announce, independent of its protocol. A frontend fills the same object for every request: copy whatever must
 * outlive the request.
 */
export class AnnounceRequest {
  /** 20 bytes. */
  readonly infoHash: Uint8Array = new Uint8Array(infoHashLength);
  /** The infohash as five 32-bit words in machine order, for stores that compare words. */
  readonly infoHashWords: Int32Array = new Int32Array(this.infoHash.buffer);
  /** 20 bytes, any value. */
  readonly peerId: Uint8Array = new Uint8Array(peerIdLength);
  /** The peer id as five 32-bit words in machine order. */
  readonly peerIdWords: Int32Array = new Int32Array(this.peerId.buffer);
  /**
   * The address of the peer in the store: the source address, unless the config trusts another. Prehooks see the
   * address before `external_ip` replaces it; the store, hooks around the store and posthooks see the replacement.
   */
  readonly address: Address = new Address();
  /** Whether the store also adds {@link otherAddress}. A prehook may set this to false. */
  hasOtherAddress = false;
  /** An address of the peer in the other family (BEP 7), if the config trusts it. */
  readonly otherAddress: Address = new Address();
  /** The port that the peer listens on, 1 to 65535; unused for a web peer. */
  port = 0;
  /** How other peers reach the peer: at its address and port, or through its WebSocket (`handle` and `generation`). */
  kind: "address" | "web" = "address";
  /**
   * The place of a web peer's socket: the number of its worker in the upper 6 of 32 bits, and its slot in the others. An
   * unsigned number.
   */
  handle = 0;
  /** Tells apart the sockets that use one slot, one after the other: 0 to 65535. */
  generation = 0;
  /** The tracker that has a web peer's socket, if the store is shared by several trackers: see `PeerStore.webLink`. */
  tracker = 0;
  event: AnnounceEvent = AnnounceEvent.none;
  /** The number of peers to return: the client's number or the default, capped by the config. */
  numWant = 0;
  /** Whether the client asked for the compact form; over UDP always. */
  compact = true;
  /**
   * The user of a private tracker, as a word; 0 for none. The store does not give a peer the peers with the same tag. The hook
   * that identifies users sets this for every announce.
   */
  tag = 0;
  /** Path, query and route parameters, for hooks. */
  readonly params: Params = new Params();

  /**
   * `uploaded`, `downloaded` and `left` as pairs of 32-bit words, low word first, so that a frontend writes 64 bits
   * without a bigint. Indices: {@link Counter}.
   */
  readonly counters: Uint32Array = new Uint32Array(6);
  readonly #counters = new BigUint64Array(this.counters.buffer);

  /** Bytes uploaded, 0 to 2^64-1. Allocates a bigint, so not for the path of every announce. */
  get uploaded(): bigint {
    return this.#counters[Counter.uploaded]!;
  }
  set uploaded(bytes: bigint) {
    this.#counters[Counter.uploaded] = bytes;
  }

  /** Bytes downloaded, 0 to 2^64-1. */
  get downloaded(): bigint {
    return this.#counters[Counter.downloaded]!;
  }
  set downloaded(bytes: bigint) {
    this.#counters[Counter.downloaded] = bytes;
  }

  /** Bytes left to download; 2^64-1 if the client does not know. */
  get left(): bigint {
    return this.#counters[Counter.left]!;
  }
  set left(bytes: bigint) {
    this.#counters[Counter.left] = bytes;
  }

  /**
   * Whether this announce makes the peer a seeder: `left` is 0 or the event is `completed`. WebTorrent's client sends
   * `completed` with a guess for `left`, so `completed` wins.
   */
  get isSeeder(): boolean {
    return (
      this.event === AnnounceEvent.completed ||
      (this.counters[2 * Counter.left] === 0 && this.counters[2 * Counter.left + 1] === 0)
    );
  }

  /** Formats the announce for logs and tests: `infohash event peerid@address:port`. */
  toString(): string {
    const host = this.address.family === 6 ? `[${this.address}]` : `${this.address}`;
    return `${toHex(this.infoHash)} ${toHex(this.peerId)}@${host}:${this.port}`;
  }
}

/** Indices of the 64-bit counters of an announce; the low word is at twice the index. */
export const Counter = { uploaded: 0, downloaded: 1, left: 2 } as const;

/** The response to an announce: hooks and the store fill it, the frontend writes it. Reused like the request. */
export class AnnounceResponse {
  /** Seeders of the torrent, of all kinds, after this announce. */
  complete = 0;
  /** Leechers of the torrent, of all kinds (partial seeds included), after this announce. */
  incomplete = 0;
  /** Completed downloads of the torrent, as far as the store remembers. */
  snatches = 0;
  /** Seconds until the client should announce again. */
  interval = 0;
  /** Seconds that the client must wait before another announce (HTTP only). */
  minInterval = 0;
  /** Seconds since the previous announce of the peer, as coarse as the store keeps times; -1 for a new peer, or if the store does not know. */
  renewedAfter = -1;
  /** Static text that the client shows to its user (HTTP only), or undefined. */
  warning: string | undefined;
  peers4: PeerList;
  peers6: PeerList;
  /** Web peers in the shape of IPv4 peers: the handle is in the place of the address, the generation in that of the port. */
  webPeers: PeerList;
  /** Room for the tracker of each web peer, 0 for this one; only a store with a `webLink` fills it. */
  webTrackers: Uint32Array | undefined;

  /** @param webPeers  for web announces; by default without room */
  constructor(peers4: PeerList, peers6: PeerList, webPeers: PeerList = noWebPeers) {
    this.peers4 = peers4;
    this.peers6 = peers6;
    this.webPeers = webPeers;
  }

  /** Returns the list of a family. */
  peersOf(family: Family): PeerList {
    return family === 4 ? this.peers4 : this.peers6;
  }

  /** Starts a response: no counts, no peers, the given intervals. Keeps the limits and places of the lists. */
  reset(interval: number, minInterval: number): void {
    this.complete = 0;
    this.incomplete = 0;
    this.snatches = 0;
    this.interval = interval;
    this.minInterval = minInterval;
    this.renewedAfter = -1;
    this.warning = undefined;
    this.peers4.count = this.peers4.seeders = 0;
    this.peers4.hasPeerIds = false;
    this.peers6.count = this.peers6.seeders = 0;
    this.peers6.hasPeerIds = false;
    this.webPeers.count = this.webPeers.seeders = 0;
  }
}

const noWebPeers = new PeerList(4, new Uint8Array(0));
