import { infoHashLength, peerIdLength } from "../../bittorrent/info-hash.ts";
import { Address, type Family } from "../../ip/address.ts";
import type { PeerRecord, RecordPage, TorrentRecord } from "../records.ts";
import type { SwarmPart } from "./family-swarms.ts";
import { Meta, type PeerShape, peerWords, swarmLayouts, ticksSince } from "./layout.ts";

/** Words of a torrent in a page: the infohash, then the counts of {@link TorrentRecord}. */
const torrentLength = 12;
/** Words before the peers of a part: infohash, family, number of peers, number of seeders. */
const partHead = 8;

/** Collects one page as words. The stripe of the added data is locked, so this class calls no foreign code. */
export class PageWriter {
  readonly #shape: PeerShape;
  #torrents = new Int32Array(1024 * torrentLength);
  #torrentsEnd = 0;
  #parts = new Int32Array(16_384);
  #partsEnd = 0;
  peers = 0;

  constructor(shape: PeerShape) {
    this.#shape = shape;
  }

  /** Begins a new page; returned pages keep their words. */
  begin(): void {
    this.#torrentsEnd = 0;
    this.#partsEnd = 0;
    this.peers = 0;
  }

  /** Adds a torrent; {@link setCounts} follows. */
  addTorrent(words: Int32Array, infoHashAt: number): void {
    const at = this.#torrentsEnd;
    this.#torrentsEnd += torrentLength;
    this.#torrents = withRoom(this.#torrents, this.#torrentsEnd);
    for (let i = 0; i < 5; i++) this.#torrents[at + i] = words[infoHashAt + i]!;
  }

  /** Sets the counts of the last torrent, in the order of {@link TorrentRecord}. Without a list of them, which would be garbage. */
  setCounts(
    seeders: number,
    leechers: number,
    partial: number,
    snatches: number,
    peers4: number,
    peers6: number,
    peersWeb: number,
  ): void {
    const torrents = this.#torrents;
    const at = this.#torrentsEnd - 7;
    torrents[at] = seeders;
    torrents[at + 1] = leechers;
    torrents[at + 2] = partial;
    torrents[at + 3] = snatches;
    torrents[at + 4] = peers4;
    torrents[at + 5] = peers6;
    torrents[at + 6] = peersWeb;
  }

  /**
   * Adds peers of one swarm.
   * @param size  maximum number of peers
   * @param copy  writes the peers in memory order, and sets the part
   */
  addPart(
    words: Int32Array,
    infoHashAt: number,
    family: Family,
    size: number,
    part: SwarmPart,
    copy: (to: Int32Array, at: number) => void,
  ): void {
    const stride = peerWords(family, this.#shape);
    const at = this.#partsEnd;
    this.#parts = withRoom(this.#parts, at + partHead + size * stride);
    const parts = this.#parts;
    copy(parts, at + partHead);
    if (part.count === 0) return;
    for (let i = 0; i < 5; i++) parts[at + i] = words[infoHashAt + i]!;
    parts[at + 5] = family;
    parts[at + 6] = part.count;
    parts[at + 7] = part.seeders;
    this.#partsEnd = at + partHead + part.count * stride;
    this.peers += part.count;
  }

  /** Ends the page. @param tick  the present time @param next  cursor of the next page, or undefined */
  finish(tick: number, tickSeconds: number, next: string | undefined): RecordPage {
    const torrents = this.#torrents.slice(0, this.#torrentsEnd);
    const parts = this.#parts.slice(0, this.#partsEnd);
    const shape = this.#shape;
    return {
      torrents: { [Symbol.iterator]: () => readTorrents(torrents) },
      peers: { [Symbol.iterator]: () => readPeers(parts, shape, tick, tickSeconds) },
      next,
    };
  }
}

function withRoom(words: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  if (words.length >= length) return words;
  const longer = new Int32Array(Math.max(length, 2 * words.length));
  longer.set(words);
  return longer;
}

function* readTorrents(words: Int32Array): Generator<TorrentRecord> {
  const infoHash = new Uint8Array(infoHashLength);
  const infoHashWords = new Int32Array(infoHash.buffer);
  const record = {
    infoHash,
    seeders: 0,
    leechers: 0,
    partial: 0,
    snatches: 0,
    peers4: 0,
    peers6: 0,
    peersWeb: 0,
  };
  for (let at = 0; at < words.length; at += torrentLength) {
    for (let i = 0; i < 5; i++) infoHashWords[i] = words[at + i]!;
    record.seeders = words[at + 5]!;
    record.leechers = words[at + 6]!;
    record.partial = words[at + 7]!;
    record.snatches = words[at + 8]!;
    record.peers4 = words[at + 9]!;
    record.peers6 = words[at + 10]!;
    record.peersWeb = words[at + 11]!;
    yield record;
  }
}

function* readPeers(
  words: Int32Array,
  shape: PeerShape,
  tick: number,
  tickSeconds: number,
): Generator<PeerRecord> {
  const infoHash = new Uint8Array(infoHashLength);
  const infoHashWords = new Int32Array(infoHash.buffer);
  const peerId = new Uint8Array(peerIdLength);
  const peerIdWords = new Int32Array(peerId.buffer);
  const address = new Address();
  const record: PeerRecord = {
    infoHash,
    address,
    port: 0,
    peerId: undefined,
    seeder: false,
    partial: false,
    snatched: false,
    age: 0,
  };
  for (let at = 0; at < words.length; ) {
    for (let i = 0; i < 5; i++) infoHashWords[i] = words[at + i]!;
    const family = words[at + 5] as Family;
    const count = words[at + 6]!;
    const seeders = words[at + 7]!;
    at += partHead;
    const { addressWords } = swarmLayouts[family];
    const stride = peerWords(family, shape);
    address.family = family;
    address.words.fill(0);
    for (let n = 0; n < count; n++, at += stride) {
      for (let i = 0; i < addressWords; i++) address.words[i] = words[at + i]!;
      const meta = words[at + addressWords]!;
      record.port = ((meta & 0xff) << 8) | ((meta & Meta.port) >>> 8);
      record.seeder = n < seeders;
      record.partial = (meta & Meta.partial) !== 0;
      record.snatched = (meta & Meta.snatched) !== 0;
      record.age = ticksSince(meta >>> Meta.timeShift, tick) * tickSeconds;
      if (shape.peerIds) {
        const idAt = at + stride - 5;
        let any = 0;
        for (let i = 0; i < 5; i++) any |= peerIdWords[i] = words[idAt + i]!;
        record.peerId = any === 0 ? undefined : peerId;
      }
      yield record;
    }
  }
}
