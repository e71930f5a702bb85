import { setImmediate } from "node:timers/promises";
import type { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import type { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import type { Clock, Random } from "../../lib/clock.ts";
import { type PeerStore, Step, type StoreStatistics, type SwarmSummary } from "../peer-store.ts";
import { Expiry } from "./expiry.ts";
import { type FamilySwarms, PeerKey } from "./family-swarms.ts";
import {
  Control,
  Count,
  reserveMemory,
  type StoreMemory,
  Stripe,
  stripeStride,
  swarmKinds,
  ticksSince,
  timeRange,
  torrentWords,
} from "./layout.ts";
import { MemoryRecords } from "./memory-records.ts";
import { TorrentSwarms } from "./torrent-swarms.ts";
import type { TorrentTable } from "./torrent-table.ts";

/** The options of the memory store. */
export interface MemoryStoreConfig {
  /** Seconds between two passes that remove expired peers. */
  gcInterval: number;
  /** Seconds without an announce after which a peer expires. */
  peerLifetime: number;
  /**
   * The maximum number of peers of all kinds. Memory for them is reserved at start, but used only as peers arrive.
   */
  maxPeers: number;
  /** Whether to store peer ids, for responses in the non-compact form; 20 more bytes per peer. */
  peerIds: boolean;
  /** Whether to store the tags of announces, for a private tracker; 4 more bytes per peer. */
  tags?: boolean;
}

export interface MemoryStoreOptions {
  config: MemoryStoreConfig;
  clock: Clock;
  random: Random;
  /** The memory of another thread's store, to share its swarms. */
  memory?: StoreMemory;
  /** Whether this store expires peers. Exactly one of the stores that share memory does; by default the first. */
  expires?: boolean;
  /** A positive number that identifies this thread among those that share the memory. */
  owner?: number;
  /** Called after each complete pass of the expiry: milliseconds of work, and removed peers. */
  onExpired?: (milliseconds: number, removed: number) => void;
}

/**
 * Returns the longest time in seconds for which an expired peer may stay; within this time, the 14-bit times must not
 * wrap.
 */
function timeSpan({ peerLifetime, gcInterval }: MemoryStoreConfig): number {
  return peerLifetime + gcInterval;
}

/** Buckets and peers that one step of the expiry looks at: a fraction of a millisecond. */
const expiryUnits = 8192;
/** Milliseconds between two such steps. */
const expiryPauseMs = 4;
/** Peers that one step of `remove` deletes under one lock: less than a millisecond. */
const removedAtOnce = 1024;
/** Peers and web records that one step of a sweep visits. */
const sweptAtOnce = 8192;

/**
 * Keeps all swarms in shared memory: packed peers, no object per peer, no work for the garbage collector, and no
 * allocation per announce. Responds at once.
 */
export class MemoryStore implements PeerStore {
  readonly memory: StoreMemory;
  readonly records: MemoryRecords;
  readonly #expires: boolean;
  readonly #clock: Clock;
  readonly #torrents: TorrentSwarms;
  readonly #table: TorrentTable;
  readonly #control: Int32Array;
  readonly #key = new PeerKey();
  /** The word of a web peer's handle, in the order of an IPv4 address. */
  readonly #handle = new Int32Array(4);
  readonly #handleView = new DataView(this.#handle.buffer);
  readonly #expiry: Expiry;
  readonly #onExpired: ((milliseconds: number, removed: number) => void) | undefined;
  #times: MemoryStoreConfig;
  #lifetime: number;
  #timer: NodeJS.Timeout | undefined;
  #workedMs = 0;

  constructor(options: MemoryStoreOptions) {
    const { config, clock, random, memory, expires = memory === undefined, owner = 1, onExpired } = options;
    this.#expires = expires;
    this.memory = memory ?? reserveMemory(config.maxPeers, config, timeSpan(config));
    this.#clock = clock;
    this.#torrents = new TorrentSwarms(this.memory, random, owner);
    this.#table = this.#torrents.table;
    this.#control = this.#table.control;
    this.#expiry = new Expiry(this.#torrents);
    this.#times = config;
    this.#lifetime = this.#ticks(config.peerLifetime);
    this.#onExpired = onExpired;
    this.records = new MemoryRecords(this.memory, this.#torrents, {
      tick: () => this.#tick,
      peerLifetime: () => this.#times.peerLifetime,
    });
  }

  get keepsPeerIds(): boolean {
    return this.memory.peerIds;
  }

  announce(request: AnnounceRequest, response: AnnounceResponse, step: Step): void {
    const key = this.#key;
    key.peerId = request.peerIdWords;
    key.isSeeder = request.isSeeder;
    key.tag = request.tag;
    let port: number;
    let own: FamilySwarms;
    if (request.kind === "web") {
      own = this.#torrents.swarmsWeb;
      this.#handleView.setUint32(0, request.handle);
      key.address = this.#handle;
      port = request.generation;
    } else {
      own = this.#torrents.of(request.address.family);
      key.address = request.address.words;
      port = request.port;
    }
    key.port = (port >>> 8) | ((port & 0xff) << 8);

    const table = this.#table;
    const hash = table.hash(request.infoHashWords, 0);
    let added = false;
    table.lock(hash);
    try {
      added = this.#step(request, response, step, own, hash);
    } finally {
      table.unlock(hash); // also after an error: if the caller's lists are shorter than they claim, the step throws
    }
    if (added) table.grow();
  }

  /** Performs the step, under the lock. @returns whether the announce has added a torrent */
  #step(
    request: AnnounceRequest,
    response: AnnounceResponse,
    step: Step,
    own: FamilySwarms,
    hash: number,
  ): boolean {
    const table = this.#table;
    let added = false;
    let self = -1;
    let torrent = table.find(request.infoHashWords, 0, hash);
    if ((step & Step.apply) === 0) {
      if (torrent !== 0) self = this.#find(torrent, own);
    } else if (request.event === AnnounceEvent.stopped) {
      if (torrent !== 0) torrent = this.#leave(torrent, own, hash);
    } else {
      if (torrent === 0 && !this.#isFull()) {
        torrent = table.add(request.infoHashWords, hash);
        added = torrent !== 0;
      }
      self = torrent === 0 ? -1 : this.#join(torrent, own, request, response);
      if (self < 0) {
        Atomics.add(this.#control, Control.refused, 1);
        if (added) {
          table.remove(torrent, hash);
          torrent = 0;
          added = false;
        }
      }
    }
    if ((step & Step.select) !== 0 && torrent !== 0) this.#select(torrent, own, self, request, response);
    return added;
  }

  scrape(request: ScrapeRequest, response: ScrapeResponse): void {
    const words = request.infoHashWords;
    const { swarms4, swarms6, swarmsWeb } = this.#torrents;
    for (let i = 0; i < request.count; i++) {
      if (request.isHidden(i)) continue;
      const hash = this.#table.hash(words, 5 * i);
      this.#table.lock(hash);
      const torrent = this.#table.find(words, 5 * i, hash);
      if (torrent !== 0) {
        const record4 = this.#torrents.record(torrent, swarms4);
        const record6 = this.#torrents.record(torrent, swarms6);
        let total = swarms4.total(record4);
        let seeders = total === 0 ? 0 : swarms4.seeders(record4);
        let partial = total === 0 ? 0 : swarms4.partial(record4);
        if (record6 !== 0) {
          total += swarms6.total(record6);
          seeders += swarms6.seeders(record6);
          partial += swarms6.partial(record6);
        }
        const recordWeb = this.#torrents.record(torrent, swarmsWeb);
        if (recordWeb !== 0) {
          total += swarmsWeb.total(recordWeb);
          seeders += swarmsWeb.seeders(recordWeb);
          partial += swarmsWeb.partial(recordWeb);
        }
        response.set(i, seeders, total - seeders, this.#torrents.snatches(torrent), partial);
      }
      this.#table.unlock(hash);
    }
  }

  /** Removes a small swarm at once, and a big one in steps with a turn of the event loop between them. */
  remove(infoHash: Uint8Array): void | Promise<void> {
    const words = new Int32Array(Uint8Array.from(infoHash).buffer); // a Buffer's `slice` would not copy
    if (!this.#removeSome(words)) return this.#removeRest(words);
  }

  async #removeRest(infoHashWords: Int32Array): Promise<void> {
    do await setImmediate();
    while (!this.#removeSome(infoHashWords));
  }

  /** Removes some peers of a torrent, or the rest of it. @returns whether the torrent is gone */
  #removeSome(infoHashWords: Int32Array): boolean {
    const table = this.#table;
    const hash = table.hash(infoHashWords, 0);
    table.lock(hash);
    const torrent = table.find(infoHashWords, 0, hash);
    const isGone = torrent === 0 || this.#removePeers(torrent);
    if (torrent !== 0 && isGone) table.remove(torrent, hash);
    table.unlock(hash);
    return isGone;
  }

  /** Removes up to {@link removedAtOnce} peers. @returns whether the torrent has none left */
  #removePeers(torrent: number): boolean {
    let left = removedAtOnce;
    for (const kind of swarmKinds) {
      const swarms = this.#torrents.of(kind);
      const record = this.#torrents.record(torrent, swarms);
      if (record === 0) continue;
      for (; left > 0 && swarms.total(record) > 0; left--) swarms.remove(record, swarms.total(record) - 1);
    }
    this.#torrents.settle(torrent, this.#tick);
    return this.#torrents.isEmpty(torrent);
  }

  /** Finds the peers through the web records, so the cost does not depend on the torrents without web peers. */
  async sweep(worker: number): Promise<number> {
    const { table } = this.#torrents;
    const infoHash = new Int32Array(5);
    let removed = 0;
    let units = sweptAtOnce;
    for (let id = 1; id < this.#torrents.webRecords; id++) {
      const torrent = this.#torrents.torrentOfWeb(id);
      let isDone = torrent === 0;
      for (let position = Number.MAX_SAFE_INTEGER; !isDone; ) {
        // A torrent that changes meanwhile has no peer of a dead worker: such a peer keeps the web record in its place.
        for (let i = 0; i < 5; i++) infoHash[i] = table.torrents[torrent * torrentWords + i]!;
        const hash = table.hash(infoHash, 0);
        table.lock(hash);
        const found = table.find(infoHash, 0, hash);
        const swarms = this.#torrents.swarmsWeb;
        const record = found === 0 ? 0 : this.#torrents.record(found, swarms);
        position = Math.min(position, record === 0 ? -1 : swarms.total(record) - 1);
        const count = Math.min(position + 1, sweptAtOnce);
        const gone = count === 0 ? 0 : swarms.sweep(record, position, count, worker);
        if (gone > 0) this.#settleAfter(found, hash);
        table.unlock(hash);
        removed += gone;
        units -= count;
        position -= count;
        isDone = position < 0;
        if (!isDone) await setImmediate();
      }
      if (--units > 0) continue;
      await setImmediate();
      units = sweptAtOnce;
    }
    return removed;
  }

  /** Cleans up a torrent that has lost peers. @returns the torrent, or 0 if it went with its last peer */
  #settleAfter(torrent: number, hash: number): number {
    const tick = this.#tick;
    this.#torrents.settle(torrent, tick);
    if (!this.#torrents.isExpendable(torrent, tick, this.#lifetime)) return torrent;
    this.#table.remove(torrent, hash);
    return 0;
  }

  get capacity(): number {
    return this.memory.maxPeers;
  }

  statistics(): StoreStatistics {
    const { counts4, counts6, countsWeb } = Stripe;
    const seeders4 = this.#sum(counts4 + Count.seeders);
    const seeders6 = this.#sum(counts6 + Count.seeders);
    const leechers4 = this.#sum(counts4 + Count.leechers);
    const leechers6 = this.#sum(counts6 + Count.leechers);
    const seedersWeb = this.#sum(countsWeb + Count.seeders);
    const leechersWeb = this.#sum(countsWeb + Count.leechers);
    return {
      torrents: Atomics.load(this.#control, Control.torrents),
      swarms:
        this.#sum(counts4 + Count.swarms) +
        this.#sum(counts6 + Count.swarms) +
        this.#sum(countsWeb + Count.swarms),
      seeders: seeders4 + seeders6 + seedersWeb,
      leechers: leechers4 + leechers6 + leechersWeb,
      peers4: seeders4 + leechers4,
      peers6: seeders6 + leechers6,
      peersWeb: seedersWeb + leechersWeb,
      refused: Atomics.load(this.#control, Control.refused) >>> 0,
    };
  }

  *swarms(): Generator<SwarmSummary> {
    const table = this.#table;
    for (let bucket = 0; bucket < table.bucketCount; bucket++) {
      if (table.first(bucket) === 0) continue;
      const found: SwarmSummary[] = [];
      table.lock(bucket);
      for (let id = table.first(bucket); id !== 0; id = table.next(id)) this.#summarize(id, found);
      table.unlock(bucket);
      yield* found;
    }
  }

  expire(): number {
    return this.#expiry.pass(this.#tick, this.#lifetime);
  }

  start(): void {
    if (this.#expires)
      this.#timer ??= setTimeout(() => this.#expireInSteps(true), this.#times.gcInterval * 1000).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Takes interval and lifetime; the rest of the options is the memory's shape. */
  prepare(config: MemoryStoreConfig): () => void {
    if (this.#ticks(timeSpan(config)) > (timeRange / 4) * 3) {
      const keys = "storage.config.peer_lifetime and gc_interval";
      throw new RangeError(`${keys} are longer together than the stored times reach; restart to change them`);
    }
    return () => {
      const isNewInterval = config.gcInterval !== this.#times.gcInterval;
      this.#times = config;
      this.#lifetime = this.#ticks(config.peerLifetime);
      if (this.#timer === undefined || !isNewInterval) return;
      this.stop();
      this.start();
    };
  }

  /** Makes a pass in small steps with pauses between them, then waits for the next interval. */
  #expireInSteps(begin: boolean): void {
    if (begin) {
      this.#expiry.begin();
      this.#workedMs = 0;
    }
    const started = performance.now();
    const removed = this.#expiry.step(expiryUnits, this.#tick, this.#lifetime);
    this.#workedMs += performance.now() - started;
    if (removed !== undefined) this.#onExpired?.(this.#workedMs, removed);
    const wait = removed === undefined ? expiryPauseMs : this.#times.gcInterval * 1000;
    this.#timer = setTimeout(() => this.#expireInSteps(removed !== undefined), wait).unref();
  }

  /** Converts a lifetime to ticks. If a tick is longer than a second, adds one, so that no peer expires early. */
  #ticks(seconds: number): number {
    const { tickSeconds } = this.memory;
    return Math.ceil(seconds / tickSeconds) + (tickSeconds > 1 ? 1 : 0);
  }

  get #tick(): number {
    return Math.floor(this.#clock.seconds / this.memory.tickSeconds) & (timeRange - 1);
  }

  #isFull(): boolean {
    return this.#control[Control.peers]! >= this.memory.maxPeers;
  }

  /** Sums up a word over all stripes. */
  #sum(word: number): number {
    const { stripes } = this.#table;
    let sum = 0;
    for (let at = word; at < stripes.length; at += stripeStride) sum += stripes[at]!;
    return sum;
  }

  #find(torrent: number, swarms: FamilySwarms): number {
    const record = this.#torrents.record(torrent, swarms);
    return record === 0 ? -1 : swarms.find(record, this.#key);
  }

  /** Adds or refreshes the peer. @returns its position, or -1 if there is no room */
  #join(torrent: number, swarms: FamilySwarms, request: AnnounceRequest, response: AnnounceResponse): number {
    const tick = this.#tick;
    const seeder = this.#key.isSeeder;
    let record = this.#torrents.record(torrent, swarms);
    let self = record === 0 ? -1 : swarms.find(record, this.#key);
    if (self >= 0) {
      response.renewedAfter = ticksSince(swarms.time(record, self), tick) * this.memory.tickSeconds;
      self = swarms.refresh(record, self, this.#key, tick, seeder, request.event === AnnounceEvent.paused);
    } else {
      if (this.#isFull()) return -1;
      if (record === 0) record = this.#torrents.addRecord(torrent, swarms);
      if (record !== 0) self = swarms.add(record, this.#key, seeder, tick);
      if (self < 0) {
        this.#torrents.settle(torrent, tick);
        return -1;
      }
      if (!seeder && request.event === AnnounceEvent.paused) swarms.setPartial(record, self, true);
    }
    if (request.event === AnnounceEvent.completed && swarms.setSnatched(record, self)) {
      this.#torrents.addSnatch(torrent);
    }
    return self;
  }

  /** Removes the peer if the swarm has it. @returns the torrent, or 0 if the torrent went with its last peer */
  #leave(torrent: number, swarms: FamilySwarms, hash: number): number {
    const self = this.#find(torrent, swarms);
    if (self < 0) return torrent;
    swarms.remove(this.#torrents.record(torrent, swarms), self);
    return this.#settleAfter(torrent, hash);
  }

  #select(
    torrent: number,
    own: FamilySwarms,
    self: number,
    request: AnnounceRequest,
    response: AnnounceResponse,
  ): void {
    const { swarms4, swarms6, swarmsWeb } = this.#torrents;
    const record4 = this.#torrents.record(torrent, swarms4);
    const record6 = this.#torrents.record(torrent, swarms6);
    const recordWeb = this.#torrents.record(torrent, swarmsWeb);
    const total4 = swarms4.total(record4);
    const total6 = record6 === 0 ? 0 : swarms6.total(record6);
    const totalWeb = recordWeb === 0 ? 0 : swarmsWeb.total(recordWeb);
    let seeders = total4 === 0 ? 0 : swarms4.seeders(record4);
    if (total6 > 0) seeders += swarms6.seeders(record6);
    if (totalWeb > 0) seeders += swarmsWeb.seeders(recordWeb);
    response.complete = seeders;
    response.incomplete = total4 + total6 + totalWeb - seeders;
    response.snatches = this.#torrents.snatches(torrent);
    const { numWant } = request;
    if (numWant === 0 || request.event === AnnounceEvent.stopped) return;
    if (own === swarmsWeb) {
      if (totalWeb > 0) own.select(recordWeb, this.#key, self, numWant, response.webPeers);
      return;
    }

    const is4 = own === swarms4;
    const record = is4 ? record4 : record6;
    const total = is4 ? total4 : total6;
    const other = is4 ? swarms6 : swarms4;
    const otherList = is4 ? response.peers6 : response.peers4;
    const ownList = is4 ? response.peers4 : response.peers6;
    let left = numWant;
    if (total > 0) left -= own.select(record, this.#key, self, left, ownList);
    if (left > 0 && otherList.limit > 0 && total4 + total6 > total) {
      left -= other.select(is4 ? record6 : record4, this.#key, -1, left, otherList);
    }
    if (left === numWant && self >= 0 && total === 1 && request.tag === 0)
      own.selectOne(record, self, ownList);
  }

  #summarize(torrent: number, found: SwarmSummary[]): void {
    const at = torrent * torrentWords;
    const snatches = this.#torrents.snatches(torrent);
    for (const kind of swarmKinds) {
      const swarms = this.#torrents.of(kind);
      const record = this.#torrents.record(torrent, swarms);
      const total = record === 0 ? 0 : swarms.total(record);
      const isKeptForSnatches = kind === 4 && this.#torrents.isEmpty(torrent);
      if (total === 0 && !isKeptForSnatches) continue;
      const seeders = total === 0 ? 0 : swarms.seeders(record);
      const infoHash = new Uint8Array(this.#table.torrents.slice(at, at + 5).buffer);
      found.push({ infoHash, family: kind, seeders, leechers: total - seeders, snatches });
    }
  }
}
