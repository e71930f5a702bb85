import type { Clock } from "../../lib/clock.ts";
import {
  countTorrents,
  type PackedTorrents,
  readTorrent,
  type TorrentCounts,
} from "../swarms/packed-torrents.ts";
import type { SwarmMethods, TopPosition, TopQuery } from "../swarms/swarm-methods.ts";
import { countOf } from "../swarms/top-torrents.ts";

/** Seconds for which a list is kept. */
const keptFor = 10;
/** Torrents of one list, the lists that are kept, and the lists that one pass makes. */
export const mostListed = 1000;
const maxKept = 32;
const maxAtOnce = 8;

/** A sorted list of torrents, or a part of it. */
interface Part {
  readonly query: TopQuery;
  /** When the list was ready; infinite before. */
  readyAt: number;
  readonly torrents: Promise<PackedTorrents>;
}

interface Waiting {
  readonly query: TopQuery;
  readonly result: PromiseWithResolvers<PackedTorrents>;
}

/** What a page of a list has. */
interface TopPage {
  readonly torrents: readonly TorrentCounts[];
  readonly next: TopPosition | undefined;
  /** Seconds since the torrents were counted. */
  readonly age: number;
}

/**
 * Sorted lists of torrents. A pass over the store makes a list of 1,000 torrents, which then serves all pages for ten seconds.
 * One pass runs at a time, and makes all the lists that are waiting.
 */
export class TopLists {
  readonly #swarms: Pick<SwarmMethods, "top">;
  readonly #clock: Clock;
  #parts: Part[] = [];
  #waiting: Waiting[] = [];
  #isPassing = false;

  constructor(swarms: Pick<SwarmMethods, "top">, clock: Clock) {
    this.#swarms = swarms;
    this.#clock = clock;
  }

  /** Returns some torrents from the place `query.after` on. */
  async read(query: TopQuery): Promise<TopPage> {
    const now = this.#clock.seconds;
    this.#parts = this.#parts.filter(({ readyAt }) => now - readyAt < keptFor).slice(-maxKept);
    for (const part of this.#parts) {
      const page = isSameList(part.query, query) ? await this.#cut(part, query) : undefined;
      if (page !== undefined) return page;
    }
    const whole = { ...query, limit: mostListed };
    const part: Part = { query: whole, readyAt: Number.POSITIVE_INFINITY, torrents: this.#request(whole) };
    this.#parts.push(part);
    try {
      await part.torrents;
    } catch (error) {
      this.#parts = this.#parts.filter((other) => other !== part);
      throw error;
    }
    part.readyAt = this.#clock.seconds;
    return (await this.#cut(part, query))!;
  }

  /** Cuts a page from a part, once that is ready. @returns undefined if the part does not have the whole page */
  async #cut(
    { query: { after: begin }, torrents, readyAt }: Part,
    query: TopQuery,
  ): Promise<TopPage | undefined> {
    const { order, after, limit } = query;
    const list = await torrents;
    if (begin !== undefined && (after === undefined || compare(after, begin) < 0)) return undefined;
    const count = countTorrents(list);
    const start = after === undefined ? 0 : findAfter(list, order, after);
    const isLast = count < mostListed;
    if (!isLast && start + limit > count) return undefined;
    const found: TorrentCounts[] = [];
    for (let i = start; i < Math.min(count, start + limit); i++) found.push(readTorrent(list, i));
    const hasMore = start + limit < count || !isLast;
    const next = hasMore ? positionOf(found.at(-1)!, order) : undefined;
    return { torrents: found, next, age: Math.max(0, this.#clock.seconds - readyAt) };
  }

  #request(query: TopQuery): Promise<PackedTorrents> {
    const result = Promise.withResolvers<PackedTorrents>();
    this.#waiting.push({ query, result });
    if (!this.#isPassing) void this.#pass();
    return result.promise;
  }

  /** Makes the lists that are waiting, until there are none. */
  async #pass(): Promise<void> {
    this.#isPassing = true;
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting.splice(0, maxAtOnce);
      try {
        const lists = await this.#swarms.top(waiting.map(({ query }) => query));
        for (const [i, { result }] of waiting.entries()) result.resolve(lists[i]!);
      } catch (error) {
        for (const { result } of waiting) result.reject(error);
      }
    }
    this.#isPassing = false;
  }
}

function isSameList(a: TopQuery, b: TopQuery): boolean {
  return a.order === b.order && a.minPeers === b.minPeers && a.prefix === b.prefix;
}

/** Returns the index of the first torrent after a place. */
function findAfter(list: PackedTorrents, order: TopQuery["order"], after: TopPosition): number {
  let from = 0;
  let to = countTorrents(list);
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (compare(positionOf(readTorrent(list, middle), order), after) > 0) to = middle;
    else from = middle + 1;
  }
  return from;
}

/** Compares two places in a list: the larger count comes first, then the smaller infohash. */
function compare(a: TopPosition, b: TopPosition): number {
  return b.value - a.value || (a.infoHash < b.infoHash ? -1 : Number(a.infoHash > b.infoHash));
}

function positionOf(torrent: TorrentCounts, order: TopQuery["order"]): TopPosition {
  return { value: countOf(torrent, order), infoHash: torrent.infoHash };
}
