import type { TorrentRecord } from "../../storage/records.ts";
import { type PackedTorrents, packTorrents } from "./packed-torrents.ts";
import type { TopQuery, TorrentOrder } from "./swarm-methods.ts";

/** A record that may be among the wanted ones. */
interface Candidate extends Omit<TorrentRecord, "infoHash"> {
  readonly value: number;
  /** The infohash as Latin-1, which sorts like its bytes. */
  readonly name: string;
}

/** A place in the list. */
interface Place {
  readonly value: number;
  readonly name: string;
}

/** Returns the count by which an order sorts. */
export function countOf(record: Omit<TorrentRecord, "infoHash">, order: TorrentOrder): number {
  return order === "peers" ? record.seeders + record.leechers : record[order];
}

/**
 * Collects the torrents with the largest counts from records that come in any order. A torrent may come twice. Keeps at most
 * twice the wanted number, if the caller calls {@link cut} as often as {@link isFull} becomes true.
 */
export class TopTorrents {
  readonly #query: TopQuery;
  readonly #after: Place | undefined;
  /** The prefix as whole bytes, and its last digit if their number is odd. */
  readonly #prefix: Uint8Array;
  readonly #lastDigit: number | undefined;
  #kept: Candidate[] = [];
  /** The last of the wanted number, once there are so many. */
  #last: Place | undefined;

  constructor(query: TopQuery) {
    const { prefix, after } = query;
    this.#query = query;
    this.#after = after && {
      value: after.value,
      name: Buffer.from(after.infoHash, "hex").toString("latin1"),
    };
    this.#prefix = Buffer.from(prefix.slice(0, prefix.length & ~1), "hex");
    this.#lastDigit = prefix.length % 2 === 1 ? Number.parseInt(prefix.at(-1)!, 16) : undefined;
  }

  /** Takes a record, which may be reused afterwards. */
  add(record: TorrentRecord): void {
    const { order, minPeers } = this.#query;
    const value = countOf(record, order);
    const last = this.#last;
    const after = this.#after;
    if ((last !== undefined && value < last.value) || (after !== undefined && value > after.value)) return;
    if (record.seeders + record.leechers < minPeers || !this.#hasPrefix(record.infoHash)) return;
    const { infoHash, seeders, leechers, partial, snatches, peers4, peers6, peersWeb = 0 } = record;
    const name = Buffer.from(infoHash.buffer, infoHash.byteOffset, infoHash.length).toString("latin1");
    const candidate = { value, name, seeders, leechers, partial, snatches, peers4, peers6, peersWeb };
    if (after !== undefined && compare(candidate, after) <= 0) return;
    if (last !== undefined && compare(candidate, last) >= 0) return;
    this.#kept.push(candidate);
  }

  /** Whether so many are kept that they should be cut. */
  get isFull(): boolean {
    return this.#kept.length >= 2 * this.#query.limit;
  }

  /** Returns the torrents, the largest first. */
  finish(): PackedTorrents {
    this.cut();
    return packTorrents(readAll(this.#kept), this.#kept.length);
  }

  /** Sorts the kept torrents, and forgets those behind the wanted number. */
  cut(): void {
    const { limit } = this.#query;
    const seen = new Set<string>();
    this.#kept = this.#kept
      .sort(compare)
      .filter(({ name }) => seen.size < seen.add(name).size)
      .slice(0, limit);
    this.#last = this.#kept[limit - 1];
  }

  #hasPrefix(infoHash: Uint8Array): boolean {
    const prefix = this.#prefix;
    for (let i = 0; i < prefix.length; i++) if (infoHash[i] !== prefix[i]) return false;
    return this.#lastDigit === undefined || infoHash[prefix.length]! >>> 4 === this.#lastDigit;
  }
}

function* readAll(kept: readonly Candidate[]): Generator<TorrentRecord> {
  for (const { name, ...record } of kept) yield { ...record, infoHash: Buffer.from(name, "latin1") };
}

/** Compares places in the list: a larger count comes first, then the smaller infohash. */
function compare(a: Place, b: Place): number {
  return b.value - a.value || (a.name < b.name ? -1 : Number(a.name > b.name));
}
