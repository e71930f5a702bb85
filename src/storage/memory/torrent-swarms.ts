import type { Random } from "../../lib/clock.ts";
import type { SwarmKind } from "../peer-store.ts";
import { RecordAllocator } from "./allocator.ts";
import { FamilySwarms } from "./family-swarms.ts";
import {
  Arena,
  Control,
  hasPassed,
  record6Words,
  recordWebWords,
  type StoreMemory,
  Swarm,
  Torrent,
  torrentWords,
  webBit,
} from "./layout.ts";
import { TorrentTable } from "./torrent-table.ts";

/** The largest number of snatches; counting wraps after it. */
const mostSnatches = 0x7fffffff;

/**
 * The parts of a torrent: its IPv4 swarm, whose record is inside the torrent; its IPv6 swarm and its web swarm, whose
 * records exist while the swarms have peers; and its snatches. The caller holds the lock of the torrent's stripe.
 */
export class TorrentSwarms {
  readonly table: TorrentTable;
  readonly swarms4: FamilySwarms;
  readonly swarms6: FamilySwarms;
  readonly swarmsWeb: FamilySwarms;
  readonly #torrents: Int32Array;
  readonly #words6: Int32Array;
  readonly #wordsWeb: Int32Array;
  readonly #records6: RecordAllocator;
  readonly #recordsWeb: RecordAllocator;

  constructor(memory: StoreMemory, random: Random, owner: number) {
    this.table = new TorrentTable(memory, owner);
    this.#torrents = this.table.torrents;
    const records6 = new Int32Array(memory.records6);
    this.#words6 = records6;
    this.#records6 = new RecordAllocator(
      records6,
      record6Words,
      Swarm.block,
      this.table.control,
      Control.record6Top,
      Control.record6Free,
      owner,
    );
    const recordsWeb = new Int32Array(memory.recordsWeb);
    this.#wordsWeb = recordsWeb;
    this.#recordsWeb = new RecordAllocator(
      recordsWeb,
      recordWebWords,
      Swarm.block,
      this.table.control,
      Control.recordWebTop,
      Control.recordWebFree,
      owner,
    );
    this.swarms4 = new FamilySwarms(4, memory, this.table, this.#torrents, random, owner);
    this.swarms6 = new FamilySwarms(6, memory, this.table, records6, random, owner);
    this.swarmsWeb = new FamilySwarms("web", memory, this.table, recordsWeb, random, owner);
  }

  of(kind: SwarmKind): FamilySwarms {
    return kind === 4 ? this.swarms4 : kind === 6 ? this.swarms6 : this.swarmsWeb;
  }

  /** Returns the offset of a kind's record of a torrent; 0 if the torrent has no IPv6 swarm, or no web swarm. */
  record(torrent: number, swarms: FamilySwarms): number {
    const at = torrent * torrentWords;
    if (swarms.arena === Arena.ip4) return at + Torrent.record4;
    const more = this.#torrents[at + Torrent.more]!;
    if (more <= 0) return 0;
    const isWeb = swarms.arena === Arena.web;
    if (more < webBit) return isWeb ? 0 : more * record6Words;
    const web = (more - webBit) * recordWebWords;
    return isWeb ? web : this.#wordsWeb[web + Swarm.record6]! * record6Words;
  }

  /** Adds the record of an IPv6 or web swarm. @returns its offset, or 0 if there is no room */
  addRecord(torrent: number, swarms: FamilySwarms): number {
    return swarms.arena === Arena.web ? this.#addRecordWeb(torrent) : this.#addRecord6(torrent);
  }

  #addRecord6(torrent: number): number {
    const id = this.#records6.allocate();
    if (id === 0) return 0;
    const web = this.record(torrent, this.swarmsWeb);
    if (web !== 0) {
      this.#wordsWeb[web + Swarm.record6] = id;
    } else {
      this.#words6[id * record6Words + Swarm.snatches] = this.snatches(torrent);
      this.#torrents[torrent * torrentWords + Torrent.more] = id;
    }
    return id * record6Words;
  }

  #addRecordWeb(torrent: number): number {
    const id = this.#recordsWeb.allocate();
    if (id === 0) return 0;
    const at = torrent * torrentWords + Torrent.more;
    const record = id * recordWebWords;
    this.#wordsWeb[record + Swarm.snatches] = this.snatches(torrent);
    this.#wordsWeb[record + Swarm.record6] = Math.max(this.#torrents[at]!, 0);
    this.#wordsWeb[record + Swarm.torrent] = torrent;
    this.#torrents[at] = id | webBit;
    return record;
  }

  /**
   * Returns the torrent of a web record, or 0. Without the torrent's lock the number may be out of date.
   * @param id  1 or more
   */
  torrentOfWeb(id: number): number {
    return this.#wordsWeb[id * recordWebWords + Swarm.torrent]!;
  }

  /** The number of web records that have ever been in use, plus one. */
  get webRecords(): number {
    return this.table.control[Control.recordWebTop]!;
  }

  snatches(torrent: number): number {
    const more = this.#torrents[torrent * torrentWords + Torrent.more]!;
    if (more <= 0) return more & mostSnatches;
    if (more < webBit) return this.#words6[more * record6Words + Swarm.snatches]!;
    return this.#wordsWeb[(more - webBit) * recordWebWords + Swarm.snatches]!;
  }

  addSnatch(torrent: number): void {
    this.#setSnatches(torrent, (this.snatches(torrent) + 1) & mostSnatches);
  }

  /** Replaces the snatches by another store's number if that number is larger. */
  raiseSnatches(torrent: number, snatches: number): void {
    if (snatches > this.snatches(torrent)) this.#setSnatches(torrent, Math.min(snatches, mostSnatches));
  }

  #setSnatches(torrent: number, snatches: number): void {
    const at = torrent * torrentWords + Torrent.more;
    const more = this.#torrents[at]!;
    if (more >= webBit) this.#wordsWeb[(more - webBit) * recordWebWords + Swarm.snatches] = snatches;
    else if (more > 0) this.#words6[more * record6Words + Swarm.snatches] = snatches;
    else this.#torrents[at] = snatches | ~mostSnatches;
  }

  /** Cleans up after peers may have left: frees empty records, and records when a torrent became empty. */
  settle(torrent: number, tick: number): void {
    const at = torrent * torrentWords;
    if (this.#torrents[at + Torrent.more]! >= webBit) this.#settleWeb(torrent);
    const id = this.#torrents[at + Torrent.more]!;
    if (id > 0 && id < webBit && this.swarms6.total(id * record6Words) === 0) {
      const snatches = this.snatches(torrent);
      this.#torrents[at + Torrent.more] = snatches === 0 ? 0 : snatches | ~mostSnatches;
      this.#records6.free(id);
    }
    if (this.isEmpty(torrent)) this.#torrents[at + Torrent.record4 + Swarm.counts] = tick;
  }

  /** Frees the empty records of a torrent with a web record: the web record, or the IPv6 record behind it. */
  #settleWeb(torrent: number): void {
    const at = torrent * torrentWords + Torrent.more;
    const id = this.#torrents[at]! - webBit;
    const web = id * recordWebWords;
    const id6 = this.#wordsWeb[web + Swarm.record6]!;
    if (this.swarmsWeb.total(web) === 0) {
      const snatches = this.snatches(torrent);
      if (id6 > 0) this.#words6[id6 * record6Words + Swarm.snatches] = snatches;
      this.#torrents[at] = id6 > 0 ? id6 : snatches === 0 ? 0 : snatches | ~mostSnatches;
      this.#recordsWeb.free(id);
    } else if (id6 > 0 && this.swarms6.total(id6 * record6Words) === 0) {
      this.#wordsWeb[web + Swarm.record6] = 0;
      this.#records6.free(id6);
    }
  }

  isEmpty(torrent: number): boolean {
    const at = torrent * torrentWords;
    return (
      this.#torrents[at + Torrent.more]! <= 0 && this.#torrents[at + Torrent.record4 + Swarm.block] === 0
    );
  }

  /** Returns whether a settled torrent is empty and has no snatches, or has kept its snatches for a lifetime. */
  isExpendable(torrent: number, tick: number, lifetime: number): boolean {
    if (!this.isEmpty(torrent)) return false;
    if (this.snatches(torrent) === 0) return true;
    const emptySince = this.#torrents[torrent * torrentWords + Torrent.record4 + Swarm.counts]!;
    return hasPassed(emptySince, tick, lifetime);
  }
}
