import type { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { compactLength, type PeerList } from "../../bittorrent/peer-list.ts";
import type { AnnounceStep } from "../../middleware/hook.ts";
import type { Counter } from "../../observability/metrics.ts";
import { type PeerStore, Step } from "../../storage/peer-store.ts";
import type { Level } from "./level.ts";
import { countCandidates, createResponse, NeighbourhoodSwarms } from "./neighbourhood-swarms.ts";
import { copyPeers, createList, isAmong, isPeer, roomOf } from "./peer-lists.ts";

/**
 * How many more requests the store gets if its list has mostly neighbours. A store may list peers in order of arrival,
 * and racks are switched on one after the other.
 */
const moreTries = 2;

/** The order of preference, and of the list. */
export type LocalityOrder = "near-first" | "seeders-first";

export interface LocalityParts {
  /** Levels from near to far. */
  levels: readonly Level[];
  /** The store of the neighbourhoods' peers; responds at once. */
  store: PeerStore;
  /** {@link secretWords} random words, the same in all threads that share the store. */
  secret: Int32Array;
  /** Share of a list that is reserved for peers from beyond a level; 0 to below 1. */
  remoteQuota: number;
  order: LocalityOrder;
  /** Counters of listed peers: one for each level, then one for the others. */
  given: readonly Counter[];
}

/**
 * Replaces distant peers by neighbours in the responses of a store.
 *
 * First the store handles each announce. Then the hook applies the announce to the swarm of each neighbourhood, and
 * rebuilds the list with the same length: neighbours of each level, from near to far, and peers from the store's list,
 * without duplicates. Counts, and the list of the other family, stay.
 *
 * Each level reserves places for peers from beyond it: the quota of the places that the previous level has left,
 * rounded up. Only peers from beyond the level get these places, while there are any.
 */
export class Locality {
  readonly #swarms: readonly NeighbourhoodSwarms[];
  readonly #quota: number;
  readonly #isSeedersFirst: boolean;
  readonly #given: readonly Counter[];
  /** Maximum peers of each level and the nearer levels, for the new list; then the list's length. */
  readonly #caps: Int32Array;
  /** Peers taken from each level, then from the rest. */
  readonly #taken: Int32Array;
  /** Copies of the store's lists. */
  readonly #far = { 4: createList(4, 0), 6: createList(6, 0) };
  /** For further requests to the store. */
  #more = createResponse(0);
  /** The new list, its present size, and the number of seeders at its start if seeders come first. */
  #out: PeerList = this.#far[4];
  #size = 0;
  #seeders = 0;

  constructor({ levels, store, secret, remoteQuota, order, given }: LocalityParts) {
    this.#swarms = levels.map((level, number) => new NeighbourhoodSwarms(level, number, store, secret));
    this.#quota = remoteQuota;
    this.#isSeedersFirst = order === "seeders-first";
    this.#given = given;
    this.#caps = new Int32Array(levels.length + 1);
    this.#taken = new Int32Array(levels.length + 1);
  }

  /** Wraps a step. */
  around(next: AnnounceStep): AnnounceStep {
    return (request, response, step): void | Promise<void> => {
      if (request.kind === "web") return next(request, response, step); // web peers are listed without their addresses
      const waiting = next(request, response, step);
      if (waiting !== undefined)
        return waiting.then(() => this.#announce(request, response, step, undefined));
      this.#announce(request, response, step, next);
    };
  }

  /** @param next  the step, if it responds at once */
  #announce(
    request: AnnounceRequest,
    response: AnnounceResponse,
    step: Step,
    next: AnnounceStep | undefined,
  ): void {
    const list = response.peersOf(request.address.family);
    // Neighbours have no peer ids. An announce that is not applied may name another role than the swarm has. A lone
    // announcer got itself from the store.
    const canChange = step === Step.both && !list.hasPeerIds;
    const isAlone = list.count === 1 && isPeer(list, 0, request.address, request.port);
    const length = canChange && !isAlone ? list.count : 0;
    this.#divide(length);
    let found = 0;
    for (let i = 0; i < this.#swarms.length; i++) {
      const swarms = this.#swarms[i]!;
      swarms.announce(request, this.#caps[i]!, step);
      found += swarms.list.count;
    }
    if (found > 0) this.#choose(request, response, list, next);
    else if (length > 0) this.#given[this.#swarms.length]!.inc(length);
  }

  /** Divides the places of a list among the levels. */
  #divide(length: number): void {
    const levels = this.#swarms.length;
    const caps = this.#caps;
    caps[levels] = length;
    let left = length;
    for (let i = 0; i < levels; i++) {
      left = length === 1 ? 0 : Math.ceil(left * this.#quota - 1e-9); // 0.07 * 100 is above 7
      caps[i] = length - left;
    }
  }

  /** Rebuilds the list. */
  #choose(
    request: AnnounceRequest,
    response: AnnounceResponse,
    list: PeerList,
    next: AnnounceStep | undefined,
  ): void {
    const levels = this.#swarms.length;
    const isSeedersFirst = this.#isSeedersFirst && !request.isSeeder;
    const far = this.#copy(list);
    const { seeders } = list;
    list.seeders = 0;
    if (!isSeedersFirst && levels === 1 && this.#putInFront(far, list)) return;
    this.#out = list;
    this.#size = this.#seeders = 0;
    this.#taken.fill(0);
    for (let pass = isSeedersFirst ? 0 : 1; pass < 2; pass++) {
      for (let i = 0; i <= levels; i++) {
        const source = i < levels ? this.#swarms[i]! : undefined;
        const from = source === undefined ? far : source.list;
        const split = source === undefined ? seeders : source.seeders;
        const start = pass === 1 && isSeedersFirst ? split : 0;
        this.#take(i, from, start, pass === 0 ? split : from.count, split);
      }
    }
    if (this.#size < list.count) {
      if (next !== undefined) this.#takeMore(request, response, next, list.count);
      this.#takeNew(far, seeders, list.count, false); // with few peers from beyond, neighbours get their places
    }
    list.seeders = this.#seeders;
    for (let i = 0; i <= levels; i++) {
      if (this.#taken[i]! > 0) this.#given[i]!.inc(this.#taken[i]!);
    }
  }

  /**
   * Rebuilds the list for a single level: neighbours, then the others in their order, run by run.
   * @returns false if the store's list has too few others; the list is then unchanged
   */
  #putInFront(far: PeerList, list: PeerList): boolean {
    const near = this.#swarms[0]!;
    let size = near.list.count;
    copyPeers(near.list, 0, size, list, 0);
    for (let start = 0; size < list.count; ) {
      if (start >= far.count) return false;
      const end = near.findNearer(far, start, Math.min(far.count, start + list.count - size));
      copyPeers(far, start, end - start, list, size);
      size += end - start;
      start = end + 1;
    }
    this.#given[0]!.inc(near.list.count);
    if (size > near.list.count) this.#given[1]!.inc(size - near.list.count);
    return true;
  }

  /** Copies the store's list, because the new list overwrites its bytes. */
  #copy(list: PeerList): PeerList {
    const { family, count } = list;
    if (roomOf(this.#far[family]) < count) this.#far[family] = createList(family, count);
    const far = this.#far[family];
    copyPeers(list, 0, count, far, 0);
    far.count = count;
    return far;
  }

  /** Takes peers of `from[start..end)` that are not in a nearer level, while there are places. */
  #take(source: number, from: PeerList, start: number, end: number, seeders: number): void {
    const room = this.#room(source);
    if (source === 0) {
      this.#add(from, start, Math.min(room, end - start), start < seeders);
      this.#taken[0]! += Math.min(room, end - start);
      return;
    }
    let taken = 0;
    for (let i = start; i < end && taken < room; i++) {
      if (this.#isNearer(source, from, i)) continue;
      this.#add(from, i, 1, i < seeders);
      taken++;
    }
    this.#taken[source]! += taken;
  }

  /** Returns whether a peer belongs to a nearer level than the source. */
  #isNearer(source: number, from: PeerList, index: number): boolean {
    for (let i = 0; i < source; i++) {
      if (this.#swarms[i]!.findNearer(from, index, index + 1) === index) return true;
    }
    return false;
  }

  /** Requests more peers from the store, from beyond a level that has enough. */
  #takeMore(request: AnnounceRequest, response: AnnounceResponse, next: AnnounceStep, length: number): void {
    const full = this.#swarms.findLast(({ isFull }) => isFull);
    if (full === undefined || countCandidates(request, response) <= full.candidates) return;
    const { family } = request.address;
    if (request.numWant > roomOf(this.#more.peers6)) this.#more = createResponse(request.numWant);
    const more = this.#more.peersOf(family);
    for (let time = 0; time < moreTries && this.#size < length; time++) {
      this.#more.reset(0, 0);
      this.#more.peers4.limit = this.#more.peers6.limit = 0;
      more.limit = request.numWant;
      void next(request, this.#more, Step.select); // it responds at once
      this.#takeNew(more, more.seeders, length, true);
    }
  }

  /** Takes new peers up to a length; with `isBeyond` only peers that are in no level. */
  #takeNew(from: PeerList, seeders: number, length: number, isBeyond: boolean): void {
    const levels = this.#swarms.length;
    for (let i = 0; i < from.count && this.#size < length; i++) {
      if (isBeyond && this.#isNearer(levels, from, i)) continue;
      if (isAmong(from, i, this.#out, this.#size)) continue;
      this.#add(from, i, 1, i < seeders);
      this.#taken[levels]!++;
    }
  }

  /** Writes peers to the end of the list, or behind its seeders. */
  #add(from: PeerList, index: number, count: number, isSeeder: boolean): void {
    const out = this.#out;
    let to = this.#size;
    if (this.#isSeedersFirst && isSeeder) {
      to = this.#seeders;
      this.#seeders += count;
      if (to < this.#size) {
        const length = compactLength[out.family];
        const at = out.at + to * length;
        out.bytes.copyWithin(at + count * length, at, out.at + this.#size * length);
      }
    }
    copyPeers(from, index, count, out, to);
    this.#size += count;
  }

  /** Returns the places for a source: within its own limit and the limits of farther levels. */
  #room(source: number): number {
    let room = this.#caps[this.#swarms.length]!;
    let taken = 0;
    for (let i = 0; i < this.#caps.length; i++) {
      taken += this.#taken[i]!;
      if (i >= source) room = Math.min(room, this.#caps[i]! - taken);
    }
    return room;
  }
}
