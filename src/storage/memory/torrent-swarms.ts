import type { Random } from "../../bittorrent/clock.ts";
import { RecordAllocator } from "./allocator.ts";
import { FamilySwarms } from "./family-swarms.ts";
import { Control, hasPassed, recordWords, type StoreMemory, Swarm, Torrent, torrentWords } from "./memory.ts";
import { TorrentTable } from "./torrent-table.ts";

/**
 * What a torrent has: its IPv4 swarm, whose record is part of it; its IPv6 swarm, whose record exists while it
 * has peers; and its snatches. The caller holds the lock of the torrent's stripe.
 */
export class TorrentSwarms {
  readonly table: TorrentTable;
  readonly swarms4: FamilySwarms;
  readonly swarms6: FamilySwarms;
  readonly #torrents: Int32Array;
  readonly #records6: RecordAllocator;

  constructor(memory: StoreMemory, random: Random, owner: number) {
    this.table = new TorrentTable(memory, owner);
    this.#torrents = this.table.torrents;
    const records6 = new Int32Array(memory.records6);
    this.#records6 = new RecordAllocator(
      records6,
      recordWords,
      Swarm.block,
      this.table.control,
      Control.record6Top,
      Control.record6Free,
      owner,
    );
    this.swarms4 = new FamilySwarms(4, memory, this.table, this.#torrents, random, owner);
    this.swarms6 = new FamilySwarms(6, memory, this.table, records6, random, owner);
  }

  /** Offset of a family's record of a torrent; 0 where it has no IPv6 swarm. */
  record(torrent: number, swarms: FamilySwarms): number {
    const at = torrent * torrentWords;
    return swarms.family === 4 ? at + Torrent.record4 : this.#torrents[at + Torrent.record6]! * recordWords;
  }

  /** Makes the record of an IPv6 swarm. @returns its offset, or 0 when there is no room */
  addRecord6(torrent: number): number {
    const id = this.#records6.allocate();
    this.#torrents[torrent * torrentWords + Torrent.record6] = id;
    return id * recordWords;
  }

  snatches(torrent: number): number {
    return this.#torrents[torrent * torrentWords + Torrent.snatches]! >>> 0;
  }

  addSnatch(torrent: number): void {
    const at = torrent * torrentWords + Torrent.snatches;
    this.#torrents[at] = this.#torrents[at]! + 1;
  }

  /** After peers may have left: lets go of an empty IPv6 record, and notes since when a torrent is empty. */
  settle(torrent: number, tick: number): void {
    const at = torrent * torrentWords;
    const id = this.#torrents[at + Torrent.record6]!;
    if (id !== 0 && this.swarms6.total(id * recordWords) === 0) {
      this.#torrents[at + Torrent.record6] = 0;
      this.#records6.free(id);
    }
    if (this.isEmpty(torrent)) this.#torrents[at + Torrent.record4 + Swarm.block] = tick;
  }

  isEmpty(torrent: number): boolean {
    const at = torrent * torrentWords;
    return this.#torrents[at + Torrent.record6] === 0 && this.swarms4.total(at + Torrent.record4) === 0;
  }

  /** Whether a settled torrent is empty and has no snatches, or none that are worth another lifetime. */
  isUseless(torrent: number, tick: number, lifetime: number): boolean {
    if (!this.isEmpty(torrent)) return false;
    if (this.snatches(torrent) === 0) return true;
    const emptySince = this.#torrents[torrent * torrentWords + Torrent.record4 + Swarm.block]!;
    return hasPassed(emptySince, tick, lifetime);
  }
}
