import { Address } from "../ip/address.ts";
import { AnnounceEvent } from "./event.ts";
import { infoHashLength, peerIdLength, toHex } from "./info-hash.ts";
import { Params } from "./params.ts";
import type { PeerList } from "./peer-list.ts";

/**
 * One announce, independent of the protocol that it came by. A frontend fills the same object again and
 * again: whatever is kept beyond the handling of the request must be copied.
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
   * The address that the peer is stored under: the one it came from, unless the configuration trusts another. Prehooks see
   * it before `external_ip` takes its place; the store, the hooks around it and posthooks see it afterwards.
   */
  readonly address: Address = new Address();
  /** Whether {@link otherAddress} is to be announced too. A prehook may set it to false. */
  hasOtherAddress = false;
  /** An address of the peer in the other family (BEP 7), which the configuration trusts. */
  readonly otherAddress: Address = new Address();
  /** The port that the peer listens on, 1 to 65535. */
  port = 0;
  event: AnnounceEvent = AnnounceEvent.none;
  /** Peers that are wanted, defaulted and capped. */
  numWant = 0;
  /** Whether the client asked for the compact form; over UDP always. */
  compact = true;
  /** Path, query and route parameters, for hooks. */
  readonly params: Params = new Params();

  /**
   * `uploaded`, `downloaded` and `left` as pairs of 32-bit words, low word first, so that a frontend writes
   * 64 bits without making a bigint. Indices: {@link Counter}.
   */
  readonly counters: Uint32Array = new Uint32Array(6);
  readonly #counters = new BigUint64Array(this.counters.buffer);

  /** Bytes uploaded, 0 to 2^64-1. Makes a bigint: not for the path of every announce. */
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

  /** Bytes left to download; 2^64-1 where the client does not know. */
  get left(): bigint {
    return this.#counters[Counter.left]!;
  }
  set left(bytes: bigint) {
    this.#counters[Counter.left] = bytes;
  }

  /**
   * Whether this announce makes the peer a seeder: nothing is left, or it says `completed`, whatever `left`
   * says (webtorrent's client sends `completed` with a guess for `left`).
   */
  get isSeeder(): boolean {
    return (
      this.event === AnnounceEvent.completed ||
      (this.counters[2 * Counter.left] === 0 && this.counters[2 * Counter.left + 1] === 0)
    );
  }

  /** Readable form for logs and tests: `infohash event peerid@address:port`. */
  toString(): string {
    const host = this.address.family === 6 ? `[${this.address}]` : `${this.address}`;
    return `${toHex(this.infoHash)} ${toHex(this.peerId)}@${host}:${this.port}`;
  }
}

/** Indices of the 64-bit counters of an announce; the low word of one is at twice its index. */
export const Counter = { uploaded: 0, downloaded: 1, left: 2 } as const;

/** The answer to an announce: hooks and the store fill it, the frontend writes it. Reused like the request. */
export class AnnounceResponse {
  /** Seeders of the torrent, of both families, after this announce. */
  complete = 0;
  /** Leechers of the torrent, of both families (partial seeds included), after this announce. */
  incomplete = 0;
  /** Times that the torrent was completed, as far as the store remembers. */
  snatches = 0;
  /** Seconds until the client should announce again. */
  interval = 0;
  /** Seconds before which it must not (HTTP only). */
  minInterval = 0;
  /** Static text that the client shows to its user (HTTP only), or undefined. */
  warning: string | undefined;
  peers4: PeerList;
  peers6: PeerList;

  constructor(peers4: PeerList, peers6: PeerList) {
    this.peers4 = peers4;
    this.peers6 = peers6;
  }

  /** Starts an answer: no counts, no peers, the given intervals. Limits and places of the lists stay. */
  reset(interval: number, minInterval: number): void {
    this.complete = 0;
    this.incomplete = 0;
    this.snatches = 0;
    this.interval = interval;
    this.minInterval = minInterval;
    this.warning = undefined;
    this.peers4.count = this.peers4.seeders = 0;
    this.peers4.hasPeerIds = false;
    this.peers6.count = this.peers6.seeders = 0;
    this.peers6.hasPeerIds = false;
  }
}
