import { AnnounceRequest, AnnounceResponse, Counter } from "../../bittorrent/announce.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { compactLength, type PeerList } from "../../bittorrent/peer-list.ts";
import { Address, otherFamily } from "../../ip/address.ts";
import { drawKeys, hashKeys, hashWords } from "../../lib/keyed-hash.ts";
import { type PeerStore, Step } from "../../storage/peer-store.ts";
import type { Level } from "./level.ts";
import { createList, hashPeer, isAmong, isPeer, peerHashKeys, readAddress, roomOf } from "./peer-lists.ts";

/** Maximum words of a level's key. */
const maxKeyWords = 5;
/** The number of random words for the hashes of {@link NeighbourhoodSwarms}. */
export const secretWords: number = 2 * hashKeys(maxKeyWords);
/** Words for one bit per value of {@link hashPeer}. */
const markWords = 32;

/**
 * The swarms of one level: one for each torrent and neighbourhood, in a store that all levels share. The infohash of
 * such a swarm is the torrent's infohash mixed with a keyed hash of neighbourhood and level.
 */
export class NeighbourhoodSwarms {
  readonly level: Level;
  /** Peers of the announcer's neighbourhood and family, seeders first. Valid until the next step. */
  list: PeerList;
  /** Whether the announcer has a neighbourhood in this level. */
  isThere = false;
  /** How many of {@link list} are seeders. */
  seeders = 0;
  /** Whether the list has the requested number of peers, so that there may be more. */
  isFull = false;
  /** The number of peers that the announcer could get, perhaps including itself. */
  candidates = 0;
  /**
   * One bit for the hash of each peer of {@link list}, unless the list is full. A clear bit quickly rules a peer out.
   */
  readonly #marks = new Int32Array(markWords);
  readonly #markKeys = drawKeys(peerHashKeys);
  readonly #store: PeerStore;
  readonly #number: number;
  readonly #secret: Int32Array;
  readonly #address = new Address();
  readonly #request = new AnnounceRequest();
  #response = createResponse(0);

  /**
   * @param number  identifies the level among the others
   * @param secret  {@link secretWords} secret words, so that an attacker cannot choose colliding neighbourhoods or
   * infohashes
   */
  constructor(level: Level, number: number, store: PeerStore, secret: Int32Array) {
    this.level = level;
    this.#store = store;
    this.#number = number;
    this.#secret = secret;
    this.list = this.#response.peers4;
  }

  /**
   * Applies an announce to the swarm of its neighbourhood (if `step` includes the apply), and selects up to `count`
   * neighbours. Allocates only if `count` is higher than ever before.
   */
  announce(from: AnnounceRequest, count: number, step: Step): void {
    if (count > roomOf(this.#response.peers6)) this.#response = createResponse(count);
    const response = this.#response;
    const { family } = from.address;
    const own = response.peersOf(family);
    const other = response.peersOf(otherFamily[family]);
    this.list = own;
    this.seeders = 0;
    this.isFull = false;
    this.candidates = 0;
    own.count = own.seeders = 0;
    own.limit = count;
    other.limit = 0;
    const what = (step & Step.apply) | (count > 0 ? Step.select : 0);
    this.isThere = what !== 0 && this.level.enter(from.address);
    if (!this.isThere) return;

    const request = this.#request;
    this.#mixInfoHash(from.infoHashWords);
    request.address.copyFrom(from.address);
    request.port = from.port;
    // Snatches and partial seeds belong to the whole swarm.
    request.event = from.event === AnnounceEvent.stopped ? AnnounceEvent.stopped : AnnounceEvent.none;
    request.counters[2 * Counter.left] = from.isSeeder ? 0 : 1;
    request.numWant = count;
    request.tag = from.tag;
    response.complete = response.incomplete = 0;
    void this.#store.announce(request, response, what as Step); // a secondary store responds at once
    if (own.count === 1 && isPeer(own, 0, from.address, from.port)) own.count = own.seeders = 0; // a lone announcer gets itself
    this.isFull = own.count === count;
    this.candidates = countCandidates(from, response);
    this.seeders = own.seeders;
    if (own.count > 0 && !this.isFull) this.#mark(own);
  }

  /**
   * Finds the first peer of `from[start..end)` that belongs to this level: a peer in {@link list}, or, if the list is
   * full, any peer of the neighbourhood. Never allocates.
   * @returns its index, or `end`
   */
  findNearer(from: PeerList, start: number, end: number): number {
    const { list, level } = this;
    if (this.isFull) {
      for (let i = start; i < end; i++) {
        readAddress(from, i, this.#address);
        if (level.has(this.#address)) return i;
      }
      return end;
    }
    if (list.count === 0) return end;
    // Cheaper than `level.has`: bench/micro/locality.ts
    const marks = this.#marks;
    const keys = this.#markKeys;
    const { view } = from;
    const length = compactLength[from.family];
    for (let i = start, next = from.at + (start + 1) * length; i < end; i++, next += length) {
      const hash = hashPeer(view, next, keys);
      const isMarked = ((marks[hash >>> 5]! >>> (hash & 31)) & 1) === 1;
      if (isMarked && isAmong(from, i, list, list.count)) return i;
    }
    return end;
  }

  #mark({ view, at, count, family }: PeerList): void {
    const marks = this.#marks;
    const keys = this.#markKeys;
    for (let i = 0; i < markWords; i++) marks[i] = 0;
    const length = compactLength[family];
    for (let i = 0, next = at + length; i < count; i++, next += length) {
      const hash = hashPeer(view, next, keys);
      marks[hash >>> 5]! |= 1 << (hash & 31);
    }
  }

  #mixInfoHash(from: Int32Array): void {
    const { key } = this.level;
    const to = this.#request.infoHashWords;
    const secret = this.#secret;
    const number = this.#number;
    to[0] = from[0]! ^ hashWords(key, 0, key.length, number, secret, 0);
    to[1] = from[1]! ^ hashWords(key, 0, key.length, number, secret, secretWords / 2);
    to[2] = from[2]!;
    to[3] = from[3]!;
    to[4] = from[4]!;
  }
}

/** Returns how many peers of a swarm an announcer could get, perhaps including itself. */
export function countCandidates(request: AnnounceRequest, response: AnnounceResponse): number {
  return request.isSeeder ? response.incomplete : response.complete + response.incomplete;
}

/** Creates a response with room for `count` peers of each family. */
export function createResponse(count: number): AnnounceResponse {
  return new AnnounceResponse(createList(4, count), createList(6, count));
}
