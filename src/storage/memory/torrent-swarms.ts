import type { Family } from "../../ip/address.ts";
import type { Random } from "../../lib/clock.ts";
import { RecordAllocator } from "./allocator.ts";
import { FamilySwarms } from "./family-swarms.ts";
import {
  Control,
  hasPassed,
  record6Words,
  type StoreMemory,
  Swarm,
  Torrent,
  torrentWords,
} from "./layout.ts";
import { TorrentTable } from "./torrent-table.ts";

/** The largest number of snatches; counting wraps after it. */
const mostSnatches = 0x7fffffff;

/**
 * The parts of a torrent: its IPv4 swarm, whose record is inside the torrent; its IPv6 swarm, whose record exists while
 * the swarm has peers; and its snatches. The caller holds the lock of the torrent's stripe.
 */
export class TorrentSwarms {
  readonly table: TorrentTable;
  readonly swarms4: FamilySwarms;
  readonly swarms6: FamilySwarms;
  readonly #torrents: Int32Array;
  readonly #words6: Int32Array;
  readonly #records6: RecordAllocator;

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
    this.swarms4 = new FamilySwarms(4, memory, this.table, this.#torrents, random, owner);
    this.swarms6 = new FamilySwarms(6, memory, this.table, records6, random, owner);
  }

  of(family: Family): FamilySwarms {
    return family === 4 ? this.swarms4 : this.swarms6;
  }

  /** Returns the offset of a family's record of a torrent; 0 if the torrent has no IPv6 swarm. */
  record(torrent: number, swarms: FamilySwarms): number {
    const at = torrent * torrentWords;
    if (swarms.family === 4) return at + Torrent.record4;
    const more = this.#torrents[at + Torrent.more]!;
    return more > 0 ? more * record6Words : 0;
  }

  /** Adds the record of an IPv6 swarm. @returns its offset, or 0 if there is no room */
  addRecord6(torrent: number): number {
    const id = this.#records6.allocate();
    if (id === 0) return 0;
    this.#words6[id * record6Words + Swarm.snatches] = this.snatches(torrent);
    this.#torrents[torrent * torrentWords + Torrent.more] = id;
    return id * record6Words;
  }

  snatches(torrent: number): number {
    const more = this.#torrents[torrent * torrentWords + Torrent.more]!;
    return more > 0 ? this.#words6[more * record6Words + Swarm.snatches]! : more & mostSnatches;
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
    if (more > 0) this.#words6[more * record6Words + Swarm.snatches] = snatches;
    else this.#torrents[at] = snatches | ~mostSnatches;
  }

  /** Cleans up after peers may have left: frees an empty IPv6 record, and records when a torrent became empty. */
  settle(torrent: number, tick: number): void {
    const at = torrent * torrentWords;
    const id = this.#torrents[at + Torrent.more]!;
    if (id > 0 && this.swarms6.total(id * record6Words) === 0) {
      const snatches = this.snatches(torrent);
      this.#torrents[at + Torrent.more] = snatches === 0 ? 0 : snatches | ~mostSnatches;
      this.#records6.free(id);
    }
    if (this.isEmpty(torrent)) this.#torrents[at + Torrent.record4 + Swarm.counts] = tick;
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
