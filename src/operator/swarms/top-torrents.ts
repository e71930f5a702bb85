import { toHex } from "../../bittorrent/info-hash.ts";
import type { TorrentRecord } from "../../storage/records.ts";
import type { TopPosition, TopQuery, TorrentCounts, TorrentOrder } from "./swarm-methods.ts";

interface Candidate {
  readonly value: number;
  readonly record: TorrentRecord;
}

/** Returns the count by which an order sorts. */
export function countOf(record: Omit<TorrentRecord, "infoHash">, order: TorrentOrder): number {
  return order === "peers" ? record.seeders + record.leechers : record[order];
}

/**
 * Collects the torrents with the largest counts from records that come in any order. A torrent may come twice. Keeps at most
 * twice the wanted number.
 */
export class TopTorrents {
  readonly #query: TopQuery;
  readonly #after: { value: number; infoHash: Uint8Array } | undefined;
  /** The prefix as whole bytes, and its last digit if their number is odd. */
  readonly #prefix: Uint8Array;
  readonly #lastDigit: number | undefined;
  #kept: Candidate[] = [];
  /** The last of the wanted number, once there are so many. */
  #last: Candidate | undefined;

  constructor(query: TopQuery) {
    const { prefix, after } = query;
    this.#query = query;
    this.#after = after && parsePosition(after);
    this.#prefix = Buffer.from(prefix.slice(0, prefix.length & ~1), "hex");
    this.#lastDigit = prefix.length % 2 === 1 ? Number.parseInt(prefix.at(-1)!, 16) : undefined;
  }

  /** Takes a record, which may be reused afterwards. */
  add(record: TorrentRecord): void {
    const { order, minPeers, limit } = this.#query;
    const value = countOf(record, order);
    if (this.#last !== undefined && value < this.#last.value) return;
    if (record.seeders + record.leechers < minPeers || !this.#hasPrefix(record.infoHash)) return;
    const after = this.#after;
    if (after !== undefined && compare(value, record.infoHash, after.value, after.infoHash) <= 0) return;
    const last = this.#last;
    if (last !== undefined && compare(value, record.infoHash, last.value, last.record.infoHash) >= 0) return;
    this.#kept.push({ value, record: { ...record, infoHash: record.infoHash.slice() } });
    if (this.#kept.length >= 2 * limit) this.#cut();
  }

  /** Returns the torrents, the largest first. */
  finish(): TorrentCounts[] {
    this.#cut();
    return this.#kept.map(({ record }) => ({ ...record, infoHash: toHex(record.infoHash) }));
  }

  #cut(): void {
    const { limit } = this.#query;
    this.#kept.sort((a, b) => compare(a.value, a.record.infoHash, b.value, b.record.infoHash));
    const seen = new Set<string>();
    this.#kept = this.#kept
      .filter(({ record }) => seen.size < seen.add(Buffer.from(record.infoHash).toString("latin1")).size)
      .slice(0, limit);
    this.#last = this.#kept[limit - 1];
  }

  #hasPrefix(infoHash: Uint8Array): boolean {
    const prefix = this.#prefix;
    for (let i = 0; i < prefix.length; i++) if (infoHash[i] !== prefix[i]) return false;
    return this.#lastDigit === undefined || infoHash[prefix.length]! >>> 4 === this.#lastDigit;
  }
}

function parsePosition({ value, infoHash }: TopPosition): { value: number; infoHash: Uint8Array } {
  return { value, infoHash: Buffer.from(infoHash, "hex") };
}

/** Compares places in the list: a larger count comes first, then the smaller infohash. */
function compare(value: number, infoHash: Uint8Array, otherValue: number, other: Uint8Array): number {
  return otherValue - value || Buffer.compare(infoHash, other);
}
