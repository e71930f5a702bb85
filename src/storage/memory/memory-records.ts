import { copy20, parseInfoHash, toHex } from "../../bittorrent/info-hash.ts";
import type { Family } from "../../ip/address.ts";
import {
  checkPeerRecord,
  checkTorrentRecord,
  type PeerRecord,
  type RecordBatch,
  type RecordPage,
  type Records,
  type ReplayResult,
  type TorrentRecord,
} from "../records.ts";
import { type FamilySwarms, PeerKey, type SwarmPart } from "./family-swarms.ts";
import { Control, type StoreMemory, ticksSince, timeRange, torrentWords } from "./layout.ts";
import { PageWriter } from "./record-page.ts";
import { reverseBits } from "./reverse-bits.ts";
import type { TorrentSwarms } from "./torrent-swarms.ts";

/** Buckets and torrents that one step visits: with their peers, less than a millisecond. */
const stepUnits = 2048;
/** Maximum peers of a page; only a big swarm without an index exceeds it. */
const pagePeers = 2048;

/**
 * The position of a walk: the reversed hash of the next torrents, or one torrent, its family and the part of its swarm
 * (see `FamilySwarms.copyPart`).
 */
interface Position {
  from: number;
  infoHash: Int32Array | undefined;
  family: Family;
  part: number;
}

/** The end of the order of reversed hashes. */
const end = 2 ** 32;

const Pause = { none: 0, unlock: 1, page: 2 } as const;
type Pause = (typeof Pause)[keyof typeof Pause];

/** The values that change while a store runs. */
interface StoreTimes {
  /** Returns the present time, in the ticks of the peers' times. */
  tick(): number;
  /** Seconds. */
  peerLifetime(): number;
}

/**
 * The records of the memory store. A torrent or peer that is present during a whole walk comes exactly once: the walk
 * visits torrents in the order of their reversed hashes, in which a bucket stays a range however often it is split, and
 * the peers of big swarms in the same way by the hashes of their endpoints. The walk locks only the stripe that it
 * copies, for a bucket with up to 2,048 peers or one leaf of a big swarm's index.
 *
 * A walk waits for locks, so it must not run in the thread that repairs memory after other threads.
 *
 * The order of a walk reveals something about the keyed hash of infohashes. A reader of whole walks with infohashes of
 * its own choice could learn the key, so only trusted people may read whole walks.
 */
export class MemoryRecords implements Records {
  readonly #memory: StoreMemory;
  readonly #torrents: TorrentSwarms;
  readonly #control: Int32Array;
  readonly #times: StoreTimes;
  readonly #page: PageWriter;
  readonly #part: SwarmPart = { count: 0, seeders: 0, next: 0 };
  readonly #key = new PeerKey();
  readonly #infoHash = new Uint8Array(20);
  readonly #infoHashWords = new Int32Array(this.#infoHash.buffer);
  readonly #peerId = new Uint8Array(20);
  readonly #peerIdWords = new Int32Array(this.#peerId.buffer);

  constructor(memory: StoreMemory, torrents: TorrentSwarms, times: StoreTimes) {
    this.#memory = memory;
    this.#torrents = torrents;
    this.#control = torrents.table.control;
    this.#times = times;
    this.#page = new PageWriter(memory);
  }

  torrents(cursor?: string): RecordPage {
    return this.#walk(cursor, false);
  }

  export(cursor?: string): RecordPage {
    return this.#walk(cursor, true);
  }

  find(infoHashes: readonly Uint8Array[]): Iterable<TorrentRecord> {
    const { table } = this.#torrents;
    const at = createPosition();
    this.#page.begin();
    for (const infoHash of infoHashes) {
      const hash = this.#hash(infoHash);
      table.lock(hash);
      const id = table.find(this.#infoHashWords, 0, hash);
      if (id !== 0) this.#visitTorrent(id, at, false);
      table.unlock(hash);
    }
    return this.#finish(undefined).torrents;
  }

  peers(infoHash: Uint8Array, cursor?: string): RecordPage {
    const { table } = this.#torrents;
    const at = createPosition();
    if (cursor !== undefined) {
      const [, family, part] = this.#parse(cursor, /^([46])\.([0-9a-f]{1,8})$/);
      at.family = Number(family) as Family;
      at.part = Number.parseInt(part!, 16);
    }
    const hash = this.#hash(infoHash);
    const words = this.#infoHashWords;
    this.#page.begin();
    for (;;) {
      table.lock(hash);
      const id = table.find(words, 0, hash);
      const pause = id === 0 ? Pause.none : this.#visitTorrent(id, at, true);
      table.unlock(hash);
      if (pause === Pause.unlock) continue;
      return this.#finish(pause === Pause.none ? undefined : `${at.family}.${at.part.toString(16)}`);
    }
  }

  replay({ torrents = [], peers = [] }: RecordBatch): ReplayResult {
    const result: ReplayResult = { taken: 0, expired: 0, refused: 0 };
    for (const torrent of torrents) {
      checkTorrentRecord(torrent);
      this.#replaySnatches(torrent.infoHash, torrent.snatches);
    }
    for (const peer of peers) {
      checkPeerRecord(peer);
      if (peer.age >= this.#times.peerLifetime()) result.expired++;
      else result[this.#replayPeer(peer) ? "taken" : "refused"]++;
    }
    return result;
  }

  #walk(cursor: string | undefined, withPeers: boolean): RecordPage {
    const { table } = this.#torrents;
    const at = this.#position(cursor);
    this.#page.begin();
    for (let units = stepUnits; at.from < end; units--) {
      if (units <= 0) return this.#finish(format(at));
      const hash = reverseBits(at.from);
      table.lock(hash);
      const ids = table.listBucket(hash);
      const pause = this.#visitBucket(ids, at, withPeers);
      const span = end / 2 ** table.sharedBits(hash);
      table.unlock(hash);
      if (pause === Pause.page) return this.#finish(format(at));
      if (pause === Pause.unlock) continue;
      units -= ids.length;
      at.from = (Math.floor(at.from / span) + 1) * span;
    }
    return this.#finish(undefined);
  }

  #visitBucket(ids: readonly number[], at: Position, withPeers: boolean): Pause {
    const { table } = this.#torrents;
    for (const id of ids) {
      const offset = id * torrentWords;
      if (at.infoHash !== undefined) {
        const order = table.compare(offset, at.infoHash, 0);
        if (order < 0) continue;
        if (order > 0) begin(at);
      }
      const pause = this.#visitTorrent(id, at, withPeers);
      if (pause !== Pause.none) {
        at.infoHash = table.torrents.slice(offset, offset + 5);
        return pause;
      }
      begin(at);
    }
    begin(at);
    return Pause.none;
  }

  /** Adds a torrent, or the rest of it, to the page. @returns the reason for stopping before the end */
  #visitTorrent(id: number, at: Position, withPeers: boolean): Pause {
    const { swarms4, swarms6, swarmsWeb, table } = this.#torrents;
    const record4 = this.#torrents.record(id, swarms4);
    const record6 = this.#torrents.record(id, swarms6);
    const total4 = swarms4.total(record4);
    const total6 = record6 === 0 ? 0 : swarms6.total(record6);
    const recordWeb = this.#torrents.record(id, swarmsWeb);
    const totalWeb = recordWeb === 0 ? 0 : swarmsWeb.total(recordWeb);
    if (at.family === 4 && at.part === 0) {
      const snatches = this.#torrents.snatches(id);
      if (total4 + total6 + totalWeb + snatches === 0) return Pause.none;
      const first =
        total4 > 0 ? swarms4.partSize(record4, 0) : total6 === 0 ? 0 : swarms6.partSize(record6, 0);
      if (withPeers && !this.#fits(first)) return Pause.page;
      let seeders = swarms4.seeders(record4);
      let partial = swarms4.partial(record4);
      if (total6 > 0) {
        seeders += swarms6.seeders(record6);
        partial += swarms6.partial(record6);
      }
      if (totalWeb > 0) {
        seeders += swarmsWeb.seeders(recordWeb);
        partial += swarmsWeb.partial(recordWeb);
      }
      const leechers = total4 + total6 + totalWeb - seeders;
      this.#page.addTorrent(table.torrents, id * torrentWords);
      this.#page.setCounts(seeders, leechers, partial, snatches, total4, total6, totalWeb);
    }
    if (!withPeers) return Pause.none;
    if (at.family === 4) {
      const pause = total4 === 0 ? Pause.none : this.#visitSwarm(id, swarms4, record4, at);
      if (pause !== Pause.none) return pause;
      at.family = 6;
      at.part = 0;
    }
    return total6 === 0 ? Pause.none : this.#visitSwarm(id, swarms6, record6, at);
  }

  #visitSwarm(id: number, swarms: FamilySwarms, record: number, at: Position): Pause {
    const part = this.#part;
    const size = swarms.partSize(record, at.part);
    if (!this.#fits(size)) return Pause.page;
    const { torrents } = this.#torrents.table;
    this.#page.addPart(torrents, id * torrentWords, at.family, size, part, (to, from) =>
      swarms.copyPart(record, at.part, to, from, part),
    );
    at.part = part.next;
    return part.next === 0 ? Pause.none : Pause.unlock;
  }

  #fits(peers: number): boolean {
    return this.#page.peers === 0 || this.#page.peers + peers <= pagePeers;
  }

  #finish(position: string | undefined): RecordPage {
    const next = position === undefined ? undefined : `${this.#identity}.${position}`;
    return this.#page.finish(this.#times.tick(), this.#memory.tickSeconds, next);
  }

  get #identity(): string {
    return (this.#control[Control.identity]! >>> 0).toString(16);
  }

  #position(cursor: string | undefined): Position {
    const at = createPosition();
    if (cursor === undefined) return at;
    const pattern = /^(?:([0-9a-f]{1,8})|([0-9a-f]{40})\.([46])\.([0-9a-f]{1,8}))$/;
    const [, from, infoHash, family, part] = this.#parse(cursor, pattern);
    if (infoHash === undefined) return { ...at, from: Number.parseInt(from!, 16) };
    const words = new Int32Array(parseInfoHash(infoHash)!.buffer);
    return {
      from: reverseBits(this.#torrents.table.hash(words, 0)),
      infoHash: words,
      family: Number(family) as Family,
      part: Number.parseInt(part!, 16),
    };
  }

  /** @throws RangeError if the cursor is from another memory or method */
  #parse(cursor: string, pattern: RegExp): RegExpExecArray {
    const start = `${this.#identity}.`;
    const match = cursor.startsWith(start) ? pattern.exec(cursor.slice(start.length)) : null;
    if (match === null) throw foreignCursor(cursor);
    return match;
  }

  #replaySnatches(infoHash: Uint8Array, snatches: number): void {
    if (snatches === 0) return;
    const hash = this.#hash(infoHash);
    const { table } = this.#torrents;
    table.lock(hash);
    const known = table.find(this.#infoHashWords, 0, hash);
    const torrent = known === 0 ? table.add(this.#infoHashWords, hash) : known;
    const isNew = known === 0 && torrent !== 0;
    if (torrent !== 0) this.#torrents.raiseSnatches(torrent, snatches);
    if (isNew) this.#torrents.settle(torrent, this.#times.tick());
    table.unlock(hash);
    if (isNew) table.grow();
  }

  /** @returns whether the store has the peer afterwards */
  #replayPeer(peer: PeerRecord): boolean {
    const key = this.#key;
    key.address = peer.address.words;
    key.port = (peer.port >>> 8) | ((peer.port & 0xff) << 8);
    key.isSeeder = peer.seeder;
    if (peer.peerId === undefined) this.#peerId.fill(0);
    else copy20(peer.peerId, 0, this.#peerId);
    key.peerId = this.#peerIdWords;
    const hash = this.#hash(peer.infoHash);
    const { table } = this.#torrents;
    const swarms = this.#torrents.of(peer.address.family);
    const age = Math.floor(peer.age / this.#memory.tickSeconds);
    const partial = peer.partial && !peer.seeder;
    table.lock(hash);
    const known = table.find(this.#infoHashWords, 0, hash);
    const torrent = known !== 0 || this.#isFull() ? known : table.add(this.#infoHashWords, hash);
    const isTaken = torrent !== 0 && this.#join(torrent, swarms, age, partial, peer.snatched);
    if (!isTaken) {
      Atomics.add(this.#control, Control.refused, 1);
      if (known === 0 && torrent !== 0) table.remove(torrent, hash);
    }
    table.unlock(hash);
    if (known === 0 && isTaken) table.grow();
    return isTaken;
  }

  /** Adds the peer, or updates it if the store's record is older. @param age  ticks */
  #join(torrent: number, swarms: FamilySwarms, age: number, partial: boolean, snatched: boolean): boolean {
    const key = this.#key;
    const tick = this.#times.tick();
    const time = (tick - age) & (timeRange - 1);
    let record = this.#torrents.record(torrent, swarms);
    let self = record === 0 ? -1 : swarms.find(record, key);
    if (self < 0) {
      if (this.#isFull()) return false;
      if (record === 0) record = this.#torrents.addRecord(torrent, swarms);
      if (record !== 0) self = swarms.add(record, key, key.isSeeder, time);
      if (self < 0) {
        this.#torrents.settle(torrent, tick);
        return false;
      }
      if (partial) swarms.setPartial(record, self, true);
    } else if (ticksSince(swarms.time(record, self), tick) > age) {
      self = swarms.refresh(record, self, key, time, key.isSeeder, partial);
    }
    if (snatched) swarms.setSnatched(record, self);
    return true;
  }

  #hash(infoHash: Uint8Array): number {
    copy20(infoHash, 0, this.#infoHash);
    return this.#torrents.table.hash(this.#infoHashWords, 0);
  }

  #isFull(): boolean {
    return this.#control[Control.peers]! >= this.#memory.maxPeers;
  }
}

function createPosition(): Position {
  return { from: 0, infoHash: undefined, family: 4, part: 0 };
}

function begin(at: Position): void {
  at.infoHash = undefined;
  at.family = 4;
  at.part = 0;
}

function format({ from, infoHash, family, part }: Position): string {
  if (infoHash === undefined) return from.toString(16);
  return `${toHex(new Uint8Array(infoHash.buffer))}.${family}.${part.toString(16)}`;
}

function foreignCursor(cursor: string): RangeError {
  return new RangeError(`not a cursor of this walk: ${JSON.stringify(cursor)}; begin without one`);
}
