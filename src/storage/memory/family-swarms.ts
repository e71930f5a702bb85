import type { Random } from "../../bittorrent/clock.ts";
import { compactLength, type PeerList } from "../../bittorrent/peer-list.ts";
import { BlockAllocator, indexedClass } from "./allocator.ts";
import { BlockIndex } from "./block-index.ts";
import { Control, Count, hasPassed, Meta, peerWords, type StoreMemory, Stripe, Swarm } from "./memory.ts";
import type { TorrentTable } from "./torrent-table.ts";

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
const classMask = 31;
const partialUnit = 32;

/** The peer that an announce is about, as the store compares it. Filled once for each request. */
export class PeerKey {
  /** Address in machine order: one word or four. */
  address: Int32Array = new Int32Array(4);
  /** The port's bytes, the first one lowest. */
  port = 0;
  /** Five words, or undefined where ids are not kept. */
  peerId: Int32Array | undefined;
}

/**
 * All swarms of one family: how peers lie in their blocks, and everything that is done to them. A swarm is
 * given by the offset of its record in `records`; the caller holds the lock of its torrent's stripe.
 *
 *     block:   | seeder | seeder | ... | leecher | leecher | ... | free ... | index |
 *     position   0                       seeders                   total
 */
export class FamilySwarms {
  readonly family: 4 | 6;
  readonly #records: Int32Array;
  readonly #peers: Int32Array;
  readonly #control: Int32Array;
  readonly #table: TorrentTable;
  readonly #stripes: Int32Array;
  readonly #counts: number;
  readonly #stride: number;
  readonly #meta: number;
  readonly #idAt: number;
  readonly #allocator: BlockAllocator;
  readonly #index: BlockIndex;
  /** State of a xorshift32 of its own, as one word: see {@link #draw}. */
  readonly #random: Int32Array;

  constructor(
    family: 4 | 6,
    memory: StoreMemory,
    table: TorrentTable,
    records: Int32Array,
    random: Random,
    owner: number,
  ) {
    this.family = family;
    this.#records = records;
    this.#peers = new Int32Array(family === 4 ? memory.peers4 : memory.peers6);
    this.#control = table.control;
    this.#table = table;
    this.#stripes = table.stripes;
    this.#counts = family === 4 ? Stripe.counts4 : Stripe.counts6;
    this.#stride = peerWords(family, memory.peerIds);
    this.#meta = family === 4 ? 1 : 4;
    this.#idAt = memory.peerIds ? this.#meta + 1 : 0;
    this.#allocator = new BlockAllocator(
      this.#peers,
      this.#control,
      family === 4 ? 0 : 1,
      this.#stride,
      owner,
    );
    this.#index = new BlockIndex(this.#peers, this.#control, this.#stride, this.#meta);
    this.#random = Int32Array.of(random.next() | 1);
  }

  total(record: number): number {
    return this.#records[record + Swarm.total]!;
  }

  seeders(record: number): number {
    return this.#records[record + Swarm.seeders]!;
  }

  /** Partial seeds among the leechers. */
  partial(record: number): number {
    return this.#records[record + Swarm.meta]! >>> 5;
  }

  /** @returns the position of a peer, or -1 */
  find(record: number, key: PeerKey): number {
    const peers = this.#peers;
    const total = this.#records[record + Swarm.total]!;
    if (total === 0) return -1;
    const block = this.#records[record + Swarm.block]!;
    const { address, port } = key;
    const cls = this.#class(record);
    if (cls >= indexedClass) return this.#index.find(block, cls, address, port);
    const stride = this.#stride;
    const first = address[0]!;
    const end = block + total * stride;
    if (this.family === 4) {
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
   * Adds a peer that is not there.
   * @returns its position, or -1 when there is no room
   */
  add(record: number, key: PeerKey, seeder: boolean, tick: number): number {
    const records = this.#records;
    const total = records[record + Swarm.total]!;
    const cls = this.#class(record);
    if (total === 0) {
      const block = this.#allocator.allocate(0);
      if (block === 0) return -1;
      records[record + Swarm.block] = block;
      records[record + Swarm.seeders] = 0;
      records[record + Swarm.meta] = 0;
      this.#count(Count.swarms, 1);
    } else if (total === 1 << cls && !this.#resize(record, cls + 1)) {
      return -1;
    }
    const block = records[record + Swarm.block]!;
    this.#write(block + total * this.#stride, key, tick);
    if (this.#class(record) >= indexedClass) this.#index.add(block, this.#class(record), total);
    records[record + Swarm.total] = total + 1;
    this.#countPeer(Count.leechers, 1);
    return seeder ? this.setSeeder(record, total, true) : total;
  }

  /** Brings a peer that is there up to date. */
  refresh(record: number, position: number, key: PeerKey, tick: number): void {
    const at = this.#records[record + Swarm.block]! + position * this.#stride;
    const meta = at + this.#meta;
    this.#peers[meta] = (this.#peers[meta]! & 0x3ffff) | (tick << Meta.timeShift);
    if (this.#idAt > 0 && key.peerId) this.#writeId(at, key.peerId);
  }

  isSeeder(record: number, position: number): boolean {
    return position < this.#records[record + Swarm.seeders]!;
  }

  /** Moves a peer between the ranges. @returns its new position */
  setSeeder(record: number, position: number, seeder: boolean): number {
    const records = this.#records;
    const seeders = records[record + Swarm.seeders]!;
    if (position < seeders === seeder) return position;
    if (seeder) this.setPartial(record, position, false);
    const to = seeder ? seeders : seeders - 1;
    this.#swap(record, position, to);
    records[record + Swarm.seeders] = seeder ? seeders + 1 : seeders - 1;
    this.#count(Count.seeders, seeder ? 1 : -1);
    this.#count(Count.leechers, seeder ? -1 : 1);
    return to;
  }

  /** Marks or unmarks a peer as a partial seed. */
  setPartial(record: number, position: number, partial: boolean): void {
    const meta = this.#records[record + Swarm.block]! + position * this.#stride + this.#meta;
    const old = this.#peers[meta]!;
    if (((old & Meta.partial) !== 0) === partial) return;
    this.#peers[meta] = old ^ Meta.partial;
    this.#records[record + Swarm.meta] =
      this.#records[record + Swarm.meta]! + (partial ? partialUnit : -partialUnit);
  }

  /** Marks a peer as one that has completed. @returns whether it was not marked before */
  setSnatched(record: number, position: number): boolean {
    const meta = this.#records[record + Swarm.block]! + position * this.#stride + this.#meta;
    const old = this.#peers[meta]!;
    this.#peers[meta] = old | Meta.snatched;
    return (old & Meta.snatched) === 0;
  }

  /** Removes the peer at `position`; others may change places with a higher position only. */
  remove(record: number, position: number): void {
    const records = this.#records;
    const block = records[record + Swarm.block]!;
    const cls = this.#class(record);
    const total = records[record + Swarm.total]!;
    const wasSeeder = this.isSeeder(record, position);
    this.setPartial(record, position, false);
    if (wasSeeder) {
      // The last seeder fills the gap, so that the range stays whole; what is removed becomes a leecher.
      const last = records[record + Swarm.seeders]! - 1;
      this.#swap(record, position, last);
      records[record + Swarm.seeders] = last;
      position = last;
    }
    this.#swap(record, position, total - 1);
    if (cls >= indexedClass) this.#index.remove(block, cls, total - 1);
    records[record + Swarm.total] = total - 1;
    this.#countPeer(wasSeeder ? Count.seeders : Count.leechers, -1);
    if (total === 1) {
      this.#allocator.free(block, cls);
      records[record + Swarm.block] = 0;
      records[record + Swarm.meta] = 0;
      this.#count(Count.swarms, -1);
    } else if (total - 1 <= (1 << cls) >> 2) {
      this.#resize(record, cls - 1); // no room is no harm: the block stays as it is
    }
  }

  /**
   * Removes up to `count` peers, from `position` downwards, that have not announced for `lifetime` ticks.
   * @returns how many were removed
   */
  expire(record: number, position: number, count: number, tick: number, lifetime: number): number {
    let removed = 0;
    for (let left = count; left > 0 && position >= 0; left--, position--) {
      const block = this.#records[record + Swarm.block]!;
      const time = this.#peers[block + position * this.#stride + this.#meta]! >>> Meta.timeShift;
      if (hasPassed(time, tick, lifetime)) {
        this.remove(record, position);
        removed++;
      }
    }
    return removed;
  }

  /**
   * Writes up to `count` peers of a range into `list`, in order from a random start, without the announcer.
   * @param self  position of the announcer, or -1
   * @returns peers written
   */
  select(record: number, seeders: boolean, self: number, count: number, list: PeerList): number {
    const split = this.#records[record + Swarm.seeders]!;
    const from = seeders ? 0 : split;
    const to = seeders ? split : this.#records[record + Swarm.total]!;
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
   * A random number of 31 bits. Not from the injected source: where V8 does not inline that, it puts every number
   * above 2^31 on the heap (bench/micro/udp-frontend.ts: 8 bytes an announce over IPv4, 13 over IPv6 → 0).
   */
  #draw(): number {
    const random = this.#random;
    let state = random[0]!;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    random[0] = state;
    return state >>> 1;
  }

  /** Writes the one peer at `position`. */
  selectOne(record: number, position: number, list: PeerList): void {
    if (list.count < list.limit) this.#copy(record, position, 1, list);
  }

  #copy(record: number, position: number, count: number, list: PeerList): void {
    const peers = this.#peers;
    const stride = this.#stride;
    const view = list.view;
    let at = this.#records[record + Swarm.block]! + position * stride;
    let to = list.at + list.count * compactLength[this.family];
    const end = at + count * stride;
    if (list.peerIds !== undefined && this.#idAt > 0) this.#copyIds(at, count, list);
    list.count += count;
    if (this.family === 4) {
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

  #copyIds(at: number, count: number, list: PeerList): void {
    const ids = new Int32Array(count * 5);
    for (let i = 0; i < count; i++, at += this.#stride) {
      for (let word = 0; word < 5; word++) ids[i * 5 + word] = this.#peers[at + this.#idAt + word]!;
    }
    list.peerIds!.set(new Uint8Array(ids.buffer), list.count * 20);
    list.hasPeerIds = true;
  }

  #write(at: number, key: PeerKey, tick: number): void {
    const peers = this.#peers;
    const meta = this.#meta;
    for (let i = 0; i < meta; i++) peers[at + i] = key.address[i]!;
    peers[at + meta] = key.port | (tick << Meta.timeShift);
    if (this.#idAt > 0 && key.peerId) this.#writeId(at, key.peerId);
  }

  #writeId(at: number, peerId: Int32Array): void {
    for (let i = 0; i < 5; i++) this.#peers[at + this.#idAt + i] = peerId[i]!;
  }

  #swap(record: number, a: number, b: number): void {
    if (a === b) return;
    const peers = this.#peers;
    const block = this.#records[record + Swarm.block]!;
    const cls = this.#class(record);
    if (cls >= indexedClass) this.#index.swap(block, cls, a, b);
    const atA = block + a * this.#stride;
    const atB = block + b * this.#stride;
    for (let i = 0; i < this.#stride; i++) {
      const word = peers[atA + i]!;
      peers[atA + i] = peers[atB + i]!;
      peers[atB + i] = word;
    }
  }

  /** Moves a swarm to a block of another class. @returns whether there was room */
  #resize(record: number, cls: number): boolean {
    const records = this.#records;
    const old = records[record + Swarm.block]!;
    const oldClass = this.#class(record);
    const total = records[record + Swarm.total]!;
    const block = this.#allocator.allocate(cls);
    if (block === 0) return false;
    this.#peers.copyWithin(block, old, old + total * this.#stride);
    if (cls >= indexedClass) this.#index.build(block, cls, total);
    records[record + Swarm.block] = block;
    records[record + Swarm.meta] = (records[record + Swarm.meta]! & ~classMask) | cls;
    this.#allocator.free(old, oldClass);
    return true;
  }

  /** Changes a count of the stripe that is locked. */
  #count(what: number, by: 1 | -1): void {
    const at = this.#table.held + this.#counts + what;
    this.#stripes[at] = this.#stripes[at]! + by;
  }

  /** Counts a peer more or less. */
  #countPeer(what: number, by: 1 | -1): void {
    const at = this.#table.held + this.#counts + what;
    this.#stripes[at] = this.#stripes[at]! + by;
    Atomics.add(this.#control, Control.peers, by);
  }

  #class(record: number): number {
    return this.#records[record + Swarm.meta]! & classMask;
  }
}
