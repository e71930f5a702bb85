import { copy20 } from "../../bittorrent/info-hash.ts";
import type { PeerList } from "../../bittorrent/peer-list.ts";
import type { Random } from "../../lib/clock.ts";
import type { SwarmKind } from "../peer-store.ts";
import { openFamilyBlocks } from "./family-blocks.ts";
import {
  Arena,
  Big,
  Control,
  Count,
  Counted,
  hasPassed,
  leafWords,
  locate,
  Meta,
  pagePeers,
  type StoreMemory,
  swarmLayouts,
} from "./layout.ts";
import type { PeerBlocks } from "./peer-blocks.ts";
import type { PeerIndex } from "./peer-index.ts";
import { reverseBits } from "./reverse-bits.ts";
import type { TorrentTable } from "./torrent-table.ts";

/** Peers of a swarm that are copied under one lock, in a few microseconds. */
const wholeUpTo = 2048;

/** The result of {@link FamilySwarms.copyPart}. */
export interface SwarmPart {
  count: number;
  /** The number of seeders at the beginning. */
  seeders: number;
  /** The start of the next part; 0 after the last. */
  next: number;
}

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Returns the worker in the word of a handle: the upper six bits of the first byte. */
function workerOf(word: number): number {
  return littleEndian ? (word & 0xff) >>> 2 : word >>> 26;
}

/** The announcing peer in the form that the store compares. Filled once per request. */
export class PeerKey {
  /** Address in machine order: one word or four. Of a web peer, its handle, as the word of an IPv4 address. */
  address: Int32Array = new Int32Array(4);
  /** The bytes of the port or generation, the first byte lowest. */
  port = 0;
  isSeeder = false;
  /** Five words, or undefined if the store does not keep peer ids. */
  peerId: Int32Array | undefined;
  /** The user of a private tracker; 0 for none. */
  tag = 0;
}

/**
 * All swarms of one kind, with operations on peers by position. A swarm is identified by the offset of its record in
 * `records`. The caller holds the lock of the torrent's stripe.
 *
 *     peers:   | seeder | seeder | ... | leecher | leecher | ... | free ... |
 *     position   0                       seeders                   total
 */
export class FamilySwarms {
  readonly kind: SwarmKind;
  readonly arena: Arena;
  readonly #records: Int32Array;
  readonly #peers: Int32Array;
  readonly #control: Int32Array;
  readonly #table: TorrentTable;
  readonly #stripes: Int32Array;
  readonly #counts: number;
  readonly #stride: number;
  readonly #meta: number;
  /** Words before the tag and the peer id in a peer; 0 without them. */
  readonly #tagAt: number;
  readonly #idAt: number;
  /** The tag of the peer for which {@link select} selects. */
  #ownTag = 0;
  readonly #index: PeerIndex;
  readonly #blocks: PeerBlocks;
  readonly #id: Int32Array = new Int32Array(5);
  readonly #idBytes: Uint8Array = new Uint8Array(this.#id.buffer);
  readonly #listed: Int32Array = new Int32Array(leafWords);
  /** The state of a private xorshift32, as one word: see {@link #draw}. */
  readonly #random: Int32Array;

  constructor(
    kind: SwarmKind,
    memory: StoreMemory,
    table: TorrentTable,
    records: Int32Array,
    random: Random,
    owner: number,
  ) {
    this.kind = kind;
    this.arena = swarmLayouts[kind].arena;
    this.#records = records;
    this.#control = table.control;
    this.#table = table;
    this.#stripes = table.stripes;
    this.#counts = swarmLayouts[kind].counts;
    const { peers, stride, addressWords, index, blocks } = openFamilyBlocks(
      memory,
      kind,
      table.control,
      records,
      owner,
    );
    this.#peers = peers;
    this.#stride = stride;
    this.#meta = addressWords;
    this.#tagAt = memory.tags ? addressWords + 1 : 0;
    this.#idAt = memory.peerIds && kind !== "web" ? stride - 5 : 0;
    this.#index = index;
    this.#blocks = blocks;
    this.#random = Int32Array.of(random.next() | 1);
  }

  total(record: number): number {
    return this.#blocks.count(record, Counted.total);
  }

  seeders(record: number): number {
    return this.#blocks.count(record, Counted.seeders);
  }

  /** Partial seeds among the leechers. */
  partial(record: number): number {
    return this.#blocks.count(record, Counted.partial);
  }

  /** @returns the position of a peer, or -1 */
  find(record: number, key: PeerKey): number {
    const block = this.#records[record]!;
    if (block === 0) return -1;
    if (block > 0) return this.#scan(block, this.total(record), key);
    if (this.#peers[Big.index - block] !== 0) {
      return this.#index.find(-block, key.address, key.port, this.#begin(-block, key.isSeeder));
    }
    const total = this.total(record);
    for (let first = 0; first < total; first += pagePeers) {
      const count = Math.min(pagePeers, total - first);
      const position = this.#scan(this.#blocks.at(record, first), count, key);
      if (position >= 0) return first + position;
    }
    return -1;
  }

  /** Returns the position at which {@link select} would begin now. */
  #begin(header: number, seeder: boolean): number {
    const seeders = this.#peers[header + Counted.seeders]!;
    const isFirst = !seeder && seeders > 0;
    const count = isFirst ? seeders : this.#peers[header]! - seeders;
    const start = (this.#random[0]! >>> 1) % Math.max(count, 1);
    return isFirst ? start : seeders + start;
  }

  /** Finds a peer among `count` adjacent peers. @returns its index among them, or -1 */
  #scan(block: number, count: number, key: PeerKey): number {
    const peers = this.#peers;
    const { address, port } = key;
    const stride = this.#stride;
    const first = address[0]!;
    const end = block + count * stride;
    if (this.#meta === 1) {
      for (let at = block; at < end; at += stride) {
        if (peers[at] === first && (peers[at + 1]! & Meta.port) === port) return (at - block) / stride;
      }
    } else {
      for (let at = block; at < end; at += stride) {
        if (
          peers[at + 3] === address[3] &&
          peers[at] === first &&
          peers[at + 1] === address[1] &&
          peers[at + 2] === address[2] &&
          (peers[at + 4]! & Meta.port) === port
        ) {
          return (at - block) / stride;
        }
      }
    }
    return -1;
  }

  /**
   * Adds a peer that the swarm does not have.
   * @returns its position, or -1 if there is no room
   */
  add(record: number, key: PeerKey, seeder: boolean, tick: number): number {
    const blocks = this.#blocks;
    if (!blocks.grow(record)) return -1;
    const total = this.total(record);
    this.#write(blocks.at(record, total), key, tick);
    const header = blocks.indexed(record);
    if (header !== 0 && !this.#index.add(header, total)) return -1;
    blocks.add(record, Counted.total, 1);
    if (total === 0) this.#count(Count.swarms, 1);
    this.#countPeer(Count.leechers, 1);
    return seeder ? this.setSeeder(record, total, true) : total;
  }

  /** Updates a peer of the swarm. @returns its position afterwards */
  refresh(
    record: number,
    position: number,
    key: PeerKey,
    tick: number,
    seeder: boolean,
    partial: boolean,
  ): number {
    const at = this.#blocks.at(record, position);
    const meta = at + this.#meta;
    const old = this.#peers[meta]!;
    const flag = partial && !seeder ? Meta.partial : 0;
    this.#peers[meta] = (old & (Meta.port | Meta.snatched)) | flag | (tick << Meta.timeShift);
    if ((old & Meta.partial) !== flag) this.#blocks.add(record, Counted.partial, flag !== 0 ? 1 : -1);
    if (this.#tagAt > 0 && key.tag !== 0) this.#peers[at + this.#tagAt] = key.tag;
    if (this.#idAt > 0 && key.peerId) this.#writeId(at, key.peerId);
    return this.isSeeder(record, position) === seeder ? position : this.setSeeder(record, position, seeder);
  }

  isSeeder(record: number, position: number): boolean {
    return position < this.seeders(record);
  }

  /** Moves a peer between seeders and leechers. @returns its new position */
  setSeeder(record: number, position: number, seeder: boolean): number {
    const seeders = this.seeders(record);
    if (position < seeders === seeder) return position;
    if (seeder) this.setPartial(record, position, false);
    const to = seeder ? seeders : seeders - 1;
    this.#swap(record, position, to);
    this.#blocks.add(record, Counted.seeders, seeder ? 1 : -1);
    this.#count(Count.seeders, seeder ? 1 : -1);
    this.#count(Count.leechers, seeder ? -1 : 1);
    return to;
  }

  /** Sets or removes the mark of a partial seed. */
  setPartial(record: number, position: number, partial: boolean): void {
    const meta = this.#blocks.at(record, position) + this.#meta;
    const old = this.#peers[meta]!;
    if (((old & Meta.partial) !== 0) === partial) return;
    this.#peers[meta] = old ^ Meta.partial;
    this.#blocks.add(record, Counted.partial, partial ? 1 : -1);
  }

  /** Marks a peer as completed. @returns whether the mark is new */
  setSnatched(record: number, position: number): boolean {
    const meta = this.#blocks.at(record, position) + this.#meta;
    const old = this.#peers[meta]!;
    this.#peers[meta] = old | Meta.snatched;
    return (old & Meta.snatched) === 0;
  }

  /** Removes the peer at `position`; only peers at higher positions may move. */
  remove(record: number, position: number): void {
    const blocks = this.#blocks;
    const total = this.total(record);
    const wasSeeder = this.isSeeder(record, position);
    this.setPartial(record, position, false);
    if (wasSeeder) {
      // The last seeder fills the gap, so that seeders stay adjacent; the removed peer is then the first leecher.
      const last = this.seeders(record) - 1;
      this.#swap(record, position, last);
      blocks.add(record, Counted.seeders, -1);
      position = last;
    }
    this.#swap(record, position, total - 1);
    const header = blocks.indexed(record);
    if (header !== 0) this.#index.remove(header, total - 1);
    blocks.add(record, Counted.total, -1);
    this.#countPeer(wasSeeder ? Count.seeders : Count.leechers, -1);
    if (total === 1) this.#count(Count.swarms, -1);
    blocks.shrink(record);
  }

  /**
   * Removes peers that have not announced for `lifetime` ticks, among the `count` peers from `position` downwards.
   * @returns the number of removed peers
   */
  expire(record: number, position: number, count: number, tick: number, lifetime: number): number {
    let removed = 0;
    for (let left = count; left > 0 && position >= 0; left--, position--) {
      const time = this.#peers[this.#blocks.at(record, position) + this.#meta]! >>> Meta.timeShift;
      if (hasPassed(time, tick, lifetime)) {
        this.remove(record, position);
        removed++;
      }
    }
    return removed;
  }

  /**
   * Removes the web peers of one worker's sockets, among the `count` peers from `position` downwards.
   * @param worker  see `AnnounceRequest.handle`
   * @returns the number of removed peers
   */
  sweep(record: number, position: number, count: number, worker: number): number {
    let removed = 0;
    for (let left = count; left > 0 && position >= 0; left--, position--) {
      if (workerOf(this.#peers[this.#blocks.at(record, position)]!) !== worker) continue;
      this.remove(record, position);
      removed++;
    }
    return removed;
  }

  /**
   * Writes up to `count` peers into `list`: leechers for a seeder, otherwise seeders before leechers. A web seeder gets
   * seeders after the leechers. Leaves out the peers with the announcer's tag.
   * @param key   the announcer
   * @param self  position of the announcer, or -1
   * @returns the number of peers written
   */
  select(record: number, key: PeerKey, self: number, count: number, list: PeerList): number {
    const seeder = key.isSeeder;
    this.#ownTag = this.#tagAt > 0 ? key.tag : 0;
    const split = this.seeders(record);
    const before = list.count;
    let written = seeder ? 0 : this.#selectRange(record, 0, split, self, count, list);
    list.seeders = list.count - before;
    if (written === count) return count;
    written += this.#selectRange(record, split, this.total(record), self, count - written, list);
    if (seeder && this.arena === Arena.web && written < count)
      written += this.#selectRange(record, 0, split, self, count - written, list);
    return written;
  }

  /** Writes up to `count` peers of a range into `list`, in order from a random start, without the announcer. */
  #selectRange(
    record: number,
    from: number,
    to: number,
    self: number,
    count: number,
    list: PeerList,
  ): number {
    if (this.#ownTag !== 0) return this.#selectOthers(record, from, to, count, list);
    if (self < from || self >= to) self = -1;
    const others = to - from - (self >= 0 ? 1 : 0);
    if (count > others) count = others;
    if (count > list.limit - list.count) count = list.limit - list.count;
    if (count <= 0) return 0;

    const start = this.#draw() % others;
    let position = self >= 0 ? self + 1 + start : from + start;
    if (position >= to) position -= to - from;
    let left = count;
    while (left > 0) {
      const stop = position < self ? self : to;
      let run = stop - position;
      if (run > left) run = left;
      this.#copy(record, position, run, list);
      left -= run;
      position += run;
      if (position === self) position++;
      if (position >= to) position = self === from ? from + 1 : from;
    }
    return count;
  }

  /**
   * Writes up to `count` peers of a range that have another tag than the announcer, in order from a random start. Gives up after
   * many peers with the announcer's own tag.
   */
  #selectOthers(record: number, from: number, to: number, count: number, list: PeerList): number {
    const most = Math.min(count, list.limit - list.count);
    if (to <= from || most <= 0) return 0;
    let position = from + (this.#draw() % (to - from));
    let written = 0;
    for (let left = Math.min(to - from, 8 * most + 1024); left > 0 && written < most; left--) {
      const at = this.#blocks.at(record, position);
      if (this.#peers[at + this.#tagAt] !== this.#ownTag) {
        this.#copyRun(at, 1, list);
        written++;
      }
      if (++position === to) position = from;
    }
    return written;
  }

  /**
   * Returns a random number of 31 bits. Does not use the injected source: unless V8 inlines that source, every number
   * above 2^31 goes on the heap (bench/micro/udp-frontend.ts: 8 bytes an announce over IPv4, 13 over IPv6 → 0).
   */
  #draw(): number {
    const random = this.#random;
    const drawn = random[0]!;
    let state = drawn;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    random[0] = state;
    return drawn >>> 1;
  }

  /** Returns the maximum number of peers that {@link copyPart} copies. */
  partSize(record: number, from: number): number {
    const total = this.total(record);
    return this.#isWhole(record, total, from) ? total : leafWords;
  }

  /**
   * Copies peers in memory order: all peers of a small swarm; of a big swarm the peers whose endpoints share a leaf of
   * the index, since the hash of a peer never changes while the peer changes places. A big swarm without an index is
   * copied whole, as each of its announces scans the whole swarm too.
   * @param from  the end of the previous part, 0 at first: the hash of an endpoint with its bits reversed
   * @param to    receives seeders before leechers, from word `at`; has room for {@link partSize}
   * @param part  receives the numbers
   */
  copyPart(record: number, from: number, to: Int32Array, at: number, part: SwarmPart): void {
    const total = this.total(record);
    const seeders = this.seeders(record);
    const start = at;
    part.next = 0;
    if (this.#isWhole(record, total, from)) {
      for (let position = 0; position < total; position++) {
        if (position === seeders) part.seeders = (at - start) / this.#stride;
        at = this.#copyFrom(record, position, from, to, at);
      }
      if (seeders === total) part.seeders = (at - start) / this.#stride;
    } else {
      const header = this.#blocks.indexed(record);
      const hash = reverseBits(from);
      const positions = this.#listed;
      const count = this.#index.list(header, hash, positions);
      for (let i = 0; i < count; i++)
        if (positions[i]! < seeders) at = this.#copyFrom(record, positions[i]!, from, to, at);
      part.seeders = (at - start) / this.#stride;
      for (let i = 0; i < count; i++)
        if (positions[i]! >= seeders) at = this.#copyFrom(record, positions[i]!, from, to, at);
      const span = 2 ** (32 - this.#index.sharedBits(header, hash));
      const next = (Math.floor(from / span) + 1) * span;
      if (next < 2 ** 32) part.next = next;
    }
    part.count = (at - start) / this.#stride;
  }

  #isWhole(record: number, total: number, from: number): boolean {
    return (from === 0 && total <= wholeUpTo) || this.#blocks.indexed(record) === 0;
  }

  /** Copies a peer unless its hash is below `from`. @returns the offset after the last word */
  #copyFrom(record: number, position: number, from: number, to: Int32Array, at: number): number {
    const source = this.#blocks.at(record, position);
    if (from > 0 && reverseBits(this.#index.hashAt(source)) < from) return at;
    for (let i = 0; i < this.#stride; i++) to[at + i] = this.#peers[source + i]!;
    return at + this.#stride;
  }

  /** Returns the time of a peer's last announce, see {@link Meta}. */
  time(record: number, position: number): number {
    return this.#peers[this.#blocks.at(record, position) + this.#meta]! >>> Meta.timeShift;
  }

  /** Writes the single peer at `position`. */
  selectOne(record: number, position: number, list: PeerList): void {
    if (list.count < list.limit) this.#copy(record, position, 1, list);
  }

  /** Copies a run of peers, page by page in a big swarm. */
  #copy(record: number, position: number, count: number, list: PeerList): void {
    const block = this.#records[record]!;
    while (count > 0) {
      let run = count;
      let at = block + position * this.#stride;
      if (block < 0) {
        const rest = pagePeers - (position & (pagePeers - 1));
        if (run > rest) run = rest;
        at = locate(this.#peers, -block, position, this.#stride);
      }
      this.#copyRun(at, run, list);
      position += run;
      count -= run;
    }
  }

  #copyRun(from: number, count: number, list: PeerList): void {
    if (list.peerIds === undefined || this.#idAt === 0) {
      this.#copyPeers(from, count, list);
      return;
    }
    list.hasPeerIds = true;
    for (let at = from; count > 0; count--, at += this.#stride) {
      if (!this.#copyId(at, list.peerIds, list.count)) continue; // the peer's next announce brings its id
      this.#copyPeers(at, 1, list);
    }
  }

  #copyPeers(from: number, count: number, list: PeerList): void {
    const peers = this.#peers;
    const stride = this.#stride;
    const view = list.view;
    let at = from;
    let to = list.at + list.count * (this.#meta === 1 ? 6 : 18);
    const end = at + count * stride;
    list.count += count;
    if (this.#meta === 1) {
      for (; at < end; at += stride, to += 6) {
        view.setInt32(to, peers[at]!, littleEndian);
        view.setUint16(to + 4, peers[at + 1]! & Meta.port, true);
      }
    } else {
      for (; at < end; at += stride, to += 18) {
        view.setInt32(to, peers[at]!, littleEndian);
        view.setInt32(to + 4, peers[at + 1]!, littleEndian);
        view.setInt32(to + 8, peers[at + 2]!, littleEndian);
        view.setInt32(to + 12, peers[at + 3]!, littleEndian);
        view.setUint16(to + 16, peers[at + 4]! & Meta.port, true);
      }
    }
  }

  /** Writes a peer's id at `index` of `ids`. @returns whether the id is known: a replayed peer may have none */
  #copyId(at: number, ids: Uint8Array, index: number): boolean {
    const words = this.#id;
    let any = 0;
    for (let word = 0; word < 5; word++) {
      words[word] = this.#peers[at + this.#idAt + word]!;
      any |= words[word]!;
    }
    if (any !== 0) copy20(this.#idBytes, 0, ids, index * 20);
    return any !== 0;
  }

  #write(at: number, key: PeerKey, tick: number): void {
    const peers = this.#peers;
    const meta = this.#meta;
    for (let i = 0; i < meta; i++) peers[at + i] = key.address[i]!;
    peers[at + meta] = key.port | (tick << Meta.timeShift);
    if (this.#tagAt > 0) peers[at + this.#tagAt] = key.tag;
    if (this.#idAt > 0 && key.peerId) this.#writeId(at, key.peerId);
  }

  #writeId(at: number, peerId: Int32Array): void {
    for (let i = 0; i < 5; i++) this.#peers[at + this.#idAt + i] = peerId[i]!;
  }

  #swap(record: number, a: number, b: number): void {
    if (a === b) return;
    const peers = this.#peers;
    const header = this.#blocks.indexed(record);
    if (header !== 0) this.#index.swap(header, a, b);
    const atA = this.#blocks.at(record, a);
    const atB = this.#blocks.at(record, b);
    for (let i = 0; i < this.#stride; i++) {
      const word = peers[atA + i]!;
      peers[atA + i] = peers[atB + i]!;
      peers[atB + i] = word;
    }
  }

  /** Changes a count of the locked stripe. */
  #count(what: number, by: 1 | -1): void {
    const at = this.#table.held + this.#counts + what;
    this.#stripes[at] = this.#stripes[at]! + by;
  }

  /** Adds `by` to a count of peers. */
  #countPeer(what: number, by: 1 | -1): void {
    const at = this.#table.held + this.#counts + what;
    this.#stripes[at] = this.#stripes[at]! + by;
    Atomics.add(this.#control, Control.peers, by);
  }
}
