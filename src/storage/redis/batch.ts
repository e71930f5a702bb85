import type { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { infoHashLength, peerIdLength } from "../../bittorrent/info-hash.ts";
import type { PeerList } from "../../bittorrent/peer-list.ts";
import type { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { otherFamily } from "../../ip/address.ts";
import type { Clock } from "../../lib/clock.ts";
import type { PeerShape } from "../memory/layout.ts";
import { Step } from "../peer-store.ts";
import { metaLength, tailLength, webEndpointLength, webMetaLength } from "./script.ts";

/**
 * Bytes before the first record: unix seconds, peer lifetime, seconds between sweeps, seed (u32 each), secret (16
 * bytes), bytes of a tail and whether Redis is full (u8 each), seconds that the clock may be ahead and behind (u32
 * each).
 */
export const batchHeadLength = 42;
/** Bytes of the secret from which the script derives the salts of new torrents. */
export const secretLength = 16;
/** The offset of the byte that says whether Redis is full. */
const isFullAt = 33;
/** Bytes before the first response: the number of refused peers. */
const replyHeadLength = 2;
/** Bytes of a record before its endpoint. */
const recordHeadLength = 30;
/** Bytes of a response before its peers, in a torrent without web peers. */
const responseHeadLength = metaLength + 5;
/** In the place of the family: the record of a web peer. */
const web = 0;
/** Bytes of the endpoint of each kind of records. */
const endpointLengths: Readonly<Record<number, number>> = { [web]: webEndpointLength, 4: 6, 6: 18 };
/** Flags of a response. */
const Flag = { lone: 1, web: 2 } as const;
/** Bytes of a web peer in a list. */
const listedWebLength = 6;

/** Returns the script's reply for records of torrents without peers. */
export function emptyReply(records: number): Buffer {
  return Buffer.alloc(replyHeadLength + records * responseHeadLength);
}

/** Operations of a record beside {@link Step}. */
export const Operation = {
  /** Reads the counts only. */
  scrape: 0,
  /** Applies an earlier announce, unless Redis knows a newer one of the peer. */
  replay: 5,
} as const;

/** The values that the head of a batch gets when it is sent. */
export interface BatchHead {
  clock: Clock;
  peerLifetime: number;
  gcInterval: number;
  /** Seed for the choice of peers. */
  seed: number;
  /** {@link secretLength} bytes that no client knows. */
  secret: Uint8Array;
  /** Seconds that the tracker's clock may be ahead of the clock of Redis; 0 if the clocks are not compared. */
  mostAhead: number;
  mostBehind: number;
}

/** A promise that its owner settles. TypeScript before ES2024 has no type for it. */
interface Deferred {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

/** One announce of a batch, or one infohash of a scrape. */
export type BatchEntry =
  | { at: number; request: AnnounceRequest; response: AnnounceResponse; step: Step }
  | { at: number; request: ScrapeRequest; response: ScrapeResponse; row: number }
  | { at: number; response: undefined };

/**
 * Announces and scrapes that travel together. All their callers wait for one promise.
 *
 * Record, big-endian: | operation u8 | family u8 | seeder u8 | event u8 | numwant u16 | room of the own list u16 | room of
 * the other list u16 | infohash 20 | endpoint 6 or 18, 10 for a web peer | tail, as in `script.ts` |.
 * The family of a web peer is 0.
 * In a replay, numwant and room of the own list hold the unix seconds of the announce. Room of the other list is 1 if
 * the peer is known to have completed, which adds no snatch.
 */
export class Batch {
  readonly entries: BatchEntry[] = [];
  readonly settled: Deferred = Promise.withResolvers<void>();
  /** Peers that did not fit. */
  refused = 0;
  /** Set when the callers have their responses; the batch ignores later replies. */
  isDone = false;
  /** Unix seconds that Redis uses as the time of the announces; undefined before the batch is sent. */
  sealedAt: number | undefined;
  readonly #shape: PeerShape;
  /** Bytes of a tail in a record, and in a response. */
  readonly #tailLength: number;
  readonly #listedTailLength: number;
  readonly #tracker: number;
  #bytes: Buffer;
  #view: DataView;
  #end: number = batchHeadLength;

  /** @param tracker  the number of this tracker, in the endpoints of its web peers */
  constructor(shape: PeerShape, room = 4096, tracker = 0) {
    this.#tracker = tracker;
    this.#shape = shape;
    this.#tailLength = tailLength(shape);
    this.#listedTailLength = shape.peerIds ? this.#tailLength : 0;
    this.#bytes = Buffer.allocUnsafeSlow(room);
    this.#view = new DataView(this.#bytes.buffer);
  }

  addAnnounce(request: AnnounceRequest, response: AnnounceResponse, step: Step): void {
    const isWeb = request.kind === "web";
    const family = isWeb ? web : request.address.family;
    const own = isWeb ? response.webPeers : response.peersOf(request.address.family);
    const otherLimit = isWeb ? 0 : response.peersOf(otherFamily[request.address.family]).limit;
    const at = this.#begin(step, family);
    this.#bytes[at + 2] = request.isSeeder ? 1 : 0;
    this.#bytes[at + 3] = request.event;
    this.#view.setUint16(at + 4, request.numWant);
    this.#view.setUint16(at + 6, Math.min(own.limit, 0xffff));
    this.#view.setUint16(at + 8, Math.min(otherLimit, 0xffff));
    this.#addPeer(at, request, family);
    this.entries.push({ at, request, response, step });
  }

  addScraped(request: ScrapeRequest, response: ScrapeResponse, row: number): void {
    const { family } = request.address;
    const at = this.#begin(Operation.scrape, family);
    const from = infoHashLength * row;
    this.#bytes.set(request.infoHashes.subarray(from, from + infoHashLength), at + 10);
    this.entries.push({ at, request, response, row });
  }

  /**
   * Adds a past announce, without a caller that waits for its response.
   * @param snatched  the peer is known to have completed before, which adds no snatch
   */
  addPast(request: AnnounceRequest, unixSeconds: number, snatched: boolean): void {
    const { family } = request.address;
    const at = this.#begin(Operation.replay, family);
    this.#bytes[at + 2] = request.isSeeder ? 1 : 0;
    this.#bytes[at + 3] = request.event;
    this.#view.setUint32(at + 4, unixSeconds);
    this.#view.setUint16(at + 8, snatched ? 1 : 0);
    this.#addPeer(at, request, family);
    this.entries.push({ at, response: undefined });
  }

  /** Adds a record made by {@link recordOf}. */
  addReplay(record: Uint8Array): void {
    this.entries.push({ at: this.#append(record), response: undefined });
  }

  /** Copies the entries into batches of one torrent each. Requests and responses are the same objects. */
  byTorrent(): Batch[] {
    const parts = new Map<string, Batch>();
    for (const entry of this.entries) {
      const name = this.infoHash(entry).toString("latin1");
      let part = parts.get(name);
      if (!part) {
        part = new Batch(this.#shape, 128, this.#tracker);
        parts.set(name, part);
      }
      part.entries.push({ ...entry, at: part.#append(this.recordOf(entry)) });
    }
    return [...parts.values()];
  }

  /**
   * Copies the record of an entry; with `unixSeconds`, the time of its announce, the copy is a {@link
   * Operation.replay}.
   */
  recordOf(entry: BatchEntry, unixSeconds?: number): Uint8Array {
    const length = recordHeadLength + endpointLengths[this.#bytes[entry.at + 1]!]! + this.#tailLength;
    const record = Uint8Array.from(this.#bytes.subarray(entry.at, entry.at + length));
    if (unixSeconds === undefined) return record;
    record[0] = Operation.replay;
    const view = new DataView(record.buffer);
    view.setUint32(4, unixSeconds);
    view.setUint16(8, 0);
    return record;
  }

  has(infoHash: Uint8Array): boolean {
    return this.entries.some((entry) => this.infoHash(entry).equals(infoHash));
  }

  /** Returns the infohash of an entry, in the bytes of the batch. */
  infoHash(entry: BatchEntry): Buffer {
    return this.#bytes.subarray(entry.at + 10, entry.at + 10 + infoHashLength);
  }

  /** Fills the head. @returns the argument of the script; valid as long as the batch */
  seal(head: BatchHead): Buffer {
    const view = this.#view;
    this.sealedAt = head.clock.unixSeconds;
    view.setUint32(0, this.sealedAt);
    view.setUint32(4, head.peerLifetime);
    view.setUint32(8, head.gcInterval);
    view.setUint32(12, head.seed);
    this.#bytes.set(head.secret, 16);
    view.setUint8(32, this.#tailLength);
    view.setUint8(isFullAt, 0);
    view.setUint32(34, head.mostAhead);
    view.setUint32(38, head.mostBehind);
    return this.#bytes.subarray(0, this.#end);
  }

  /** Tells the script, for its second call, that Redis has no room for more peers. */
  setFull(): void {
    this.#view.setUint8(isFullAt, 1);
  }

  /**
   * Fills the responses, in the order of the entries.
   * @throws RangeError if the script cannot have made the reply
   */
  readReply(reply: Uint8Array): void {
    const view = new DataView(reply.buffer, reply.byteOffset, reply.byteLength);
    let at = replyHeadLength;
    for (let i = 0; i < this.entries.length; i++) at = this.#readResponse(this.entries[i]!, reply, view, at);
    if (at !== reply.length)
      throw new RangeError(`${reply.length - at} bytes too many in the reply of the script`);
  }

  #readResponse(entry: BatchEntry, reply: Uint8Array, view: DataView, at: number): number {
    const { response } = entry;
    const own = view.getUint16(at + metaLength);
    const other = view.getUint16(at + metaLength + 2);
    const flags = view.getUint8(at + metaLength + 4);
    const webAt = at + responseHeadLength;
    const hasWeb = (flags & Flag.web) !== 0;
    const peersAt = hasWeb ? webAt + webMetaLength : webAt;
    const family = this.#bytes[entry.at + 1]!;
    const ownEnd = peersAt + own * (endpointLengths[family]! + this.#listedTailLength);
    const end = ownEnd + other * (endpointLengths[family === 4 ? 6 : 4]! + this.#listedTailLength);
    if (response === undefined) return end;
    const [seeders4, seeders6] = [view.getUint32(at + 8), view.getUint32(at + 16)];
    const seedersWeb = hasWeb ? view.getUint32(webAt) : 0;
    const complete = seeders4 + seeders6 + seedersWeb;
    const leechersWeb = hasWeb ? view.getUint32(webAt + 4) : 0;
    const incomplete = view.getUint32(at + 12) + view.getUint32(at + 20) + leechersWeb;
    const snatches = view.getUint32(at);
    if ("row" in entry) {
      const partialWeb = hasWeb ? view.getUint32(webAt + 8) : 0;
      const partial = view.getUint32(at + 24) + view.getUint32(at + 28) + partialWeb;
      entry.response.set(entry.row, complete, incomplete, snatches, partial);
      return end;
    }
    if ((entry.step & Step.select) === 0) return end;
    entry.response.complete = complete;
    entry.response.incomplete = incomplete;
    entry.response.snatches = snatches;
    const { isSeeder } = entry.request;
    if (family === web) {
      this.#fillWeb(entry.response, view, peersAt, own, isSeeder ? 0 : seedersWeb);
      return end;
    }
    const [ownList, otherList] =
      family === 4
        ? [entry.response.peers4, entry.response.peers6]
        : [entry.response.peers6, entry.response.peers4];
    const [seeders, otherSeeders] = family === 4 ? [seeders4, seeders6] : [seeders6, seeders4];
    this.#fill(ownList, reply, peersAt, own, isSeeder ? 0 : seeders);
    this.#fill(otherList, reply, ownEnd, other, isSeeder ? 0 : otherSeeders);
    if ((flags & Flag.lone) !== 0 && ownList.limit > 0) {
      // The only peer of its swarm: the record holds endpoint and peer id in the form of a response.
      this.#fill(ownList, this.#bytes, entry.at + recordHeadLength, 1, 0);
    }
    return end;
  }

  #fill(list: PeerList, from: Uint8Array, at: number, count: number, seeders: number): void {
    const stride = endpointLengths[list.family]!;
    const tailsAt = at + count * stride;
    if (list.peerIds === undefined || !this.#shape.peerIds) {
      list.bytes.set(from.subarray(at, tailsAt), list.at);
      list.count = count;
      list.seeders = Math.min(count, seeders);
      return;
    }
    list.hasPeerIds = true;
    list.count = list.seeders = 0;
    for (let i = 0; i < count; i++) {
      const end = tailsAt + (i + 1) * this.#tailLength;
      const id = from.subarray(end - peerIdLength, end);
      if (id.every((byte) => byte === 0)) continue; // replayed without an id; the peer's next announce brings it
      list.peerIds.set(id, list.count * peerIdLength);
      list.bytes.set(from.subarray(at + i * stride, at + (i + 1) * stride), list.at + list.count * stride);
      list.count++;
      if (i < seeders) list.seeders++;
    }
  }

  /** Lists web peers by their handles and generations, and notes their trackers: 0 for this one. */
  #fillWeb(response: AnnounceResponse, view: DataView, at: number, count: number, seeders: number): void {
    const { webPeers: list, webTrackers } = response;
    list.count = count;
    list.seeders = Math.min(count, seeders);
    for (let i = 0, to = list.at; i < count; i++, at += webEndpointLength, to += listedWebLength) {
      const tracker = view.getUint32(at);
      if (webTrackers !== undefined) webTrackers[i] = tracker === this.#tracker ? 0 : tracker;
      list.view.setUint32(to, view.getUint32(at + 4));
      list.view.setUint16(to + 4, view.getUint16(at + 8));
    }
  }

  #begin(operation: number, family: number): number {
    const at = this.#end;
    this.#reserve(recordHeadLength + endpointLengths[family]! + this.#tailLength);
    this.#bytes[at] = operation;
    this.#bytes[at + 1] = family;
    return at;
  }

  /** @returns the offset of the record */
  #append(record: Uint8Array): number {
    const at = this.#end;
    this.#reserve(record.length);
    this.#bytes.set(record, at);
    return at;
  }

  #addPeer(at: number, request: AnnounceRequest, family: number): void {
    const bytes = this.#bytes;
    const { infoHash, address, peerId, port, tag } = request;
    for (let i = 0; i < infoHashLength; i++) bytes[at + 10 + i] = infoHash[i]!;
    const endpoint = at + recordHeadLength;
    const length = endpointLengths[family]!;
    if (family === web) {
      this.#view.setUint32(endpoint, request.tracker || this.#tracker);
      this.#view.setUint32(endpoint + 4, request.handle);
      this.#view.setUint16(endpoint + 8, request.generation);
    } else {
      for (let i = 0; i < length - 2; i++) bytes[endpoint + i] = address.bytes[i]!;
      this.#view.setUint16(endpoint + length - 2, port);
    }
    const tail = endpoint + length;
    if (this.#shape.tags) this.#view.setUint32(tail, tag);
    if (this.#shape.peerIds) bytes.set(peerId, tail + this.#tailLength - peerIdLength);
  }

  #reserve(length: number): void {
    this.#end += length;
    if (this.#end <= this.#bytes.length) return;
    const bytes = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#end));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}
