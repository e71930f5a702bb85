import { AnnounceRequest } from "../../bittorrent/announce.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { copy20, infoHashLength, peerIdLength, toHex } from "../../bittorrent/info-hash.ts";
import { compactLength } from "../../bittorrent/peer-list.ts";
import { Address, type Family } from "../../ip/address.ts";
import type { Clock } from "../../lib/clock.ts";
import type { PeerShape } from "../memory/layout.ts";
import {
  checkPeerRecord,
  checkTorrentRecord,
  type PeerRecord,
  type RecordBatch,
  type RecordPage,
  type Records,
  type ReplayResult,
  type TorrentRecord,
} from "../records.ts";
import { Batch } from "./batch.ts";
import type { RedisArgument, RedisNode } from "./redis-port.ts";
import { firstStampSeconds, metaLength, tailLength } from "./script.ts";
import { metaOf, scanTorrents, type TorrentMeta } from "./torrents.ts";

/** The intended number of peers in a page; unevenly full pages of Redis give a few more. */
const pagePeers = 2048;
/** Average number of peers in one cell of a big torrent. */
const cellPeers = 512;
/** Maximum number of cells of one step, and of one torrent. */
const mostCells = 1024;
const mostCellsOfTorrent = 2 ** 20;
/** Keys that Redis visits in one step of an export; the cursor names the keys that remain. */
const exportCount = 64;
/** Characters of an infohash in a cursor. */
const nameLength = 27;
/** Commands in progress at once. */
const commandsAtOnce = 64;
/** Batches in progress at once to a single server; on a cluster each batch has one torrent. */
const batchesAtOnce = 4;
/** Announces in one call of the script. */
const maxBatch = 128;

/** The parts of the store that the records need. */
export interface RedisAccess {
  readonly clock: Clock;
  readonly prefix: Buffer;
  readonly shape: PeerShape;
  /** Returns the present peer lifetime in seconds. */
  peerLifetime(): number;
  masters(): RedisNode[] | Promise<RedisNode[]>;
  /** Returns whether a batch must have only one torrent. */
  isCluster(): boolean;
  /** Sends a command to the server that has the key. */
  send(key: Buffer, args: readonly RedisArgument[]): Promise<unknown>;
  /** Runs {@link cellScript}. @returns an empty list if the key is unreadable */
  readCell(key: Buffer, cells: number, cell: number): Promise<(number | Buffer)[]>;
  /** Runs {@link snatchesScript}, unless Redis is full. */
  raiseSnatches(key: Buffer, snatches: number): Promise<void>;
  /** Applies a batch. @returns the number of peers that did not fit */
  deliver(batch: Batch): Promise<number>;
}

/** A set of peers to fetch: one cell of one torrent, see {@link cellScript}. */
interface Cell {
  readonly infoHash: Buffer;
  readonly cells: number;
  readonly cell: number;
}

/** A page from Redis: the number of its table, and its bytes. */
interface TablePage {
  readonly infoHash: Buffer;
  readonly table: number;
  readonly bytes: Buffer;
}

/**
 * The records of the Redis store: the torrents and peers of all trackers that share Redis. A torrent can come twice if
 * Redis grows its table of keys (`SCAN`), and a walk can miss a torrent of a cluster whose slot moves. A peer comes
 * once each time that its torrent comes.
 */
export class RedisRecords implements Records {
  readonly #redis: RedisAccess;

  constructor(redis: RedisAccess) {
    this.#redis = redis;
  }

  async torrents(cursor?: string): Promise<RecordPage> {
    const [, node, scan] = parse(cursor, "0.0", /^(\d+)\.(\d+)$/);
    const nodes = await this.#redis.masters();
    const found = await scanTorrents(nodeOf(nodes, node!, cursor), this.#redis.prefix, scan!);
    const torrents = found.torrents.map(readMeta).filter(isWorthListing);
    return { torrents, peers: [], next: afterScan(nodes.length, Number(node), found.next) };
  }

  async find(infoHashes: readonly Uint8Array[]): Promise<TorrentRecord[]> {
    const found = await this.#readMetas(infoHashes.map((infoHash) => Buffer.from(infoHash)));
    return found.map(readMeta).filter(isWorthListing);
  }

  async peers(infoHash: Uint8Array, cursor?: string): Promise<RecordPage> {
    const [, cells, cell] = parse(cursor, "1.0", /^(\d+)\.(\d+)$/);
    checkCell(cursor, cells!, cell!);
    const [found] = await this.#readMetas([Buffer.from(infoHash)]);
    if (found === undefined) return { torrents: [], peers: [], next: undefined };
    const torrent = readMeta(found);
    const plan = new Plan();
    const count = cursor === undefined ? cellsOf(torrent) : Number(cells);
    const stoppedAt = plan.add(found.infoHash, torrent, count, Number(cell));
    return {
      torrents: cursor === undefined && isWorthListing(torrent) ? [torrent] : [],
      peers: this.#read(await this.#fetch(plan.cells)),
      next: stoppedAt === undefined ? undefined : `redis.${count}.${stoppedAt}`,
    };
  }

  /**
   * Visits torrents. The cursor names the torrents that Redis has listed already, because a repeated SCAN may list
   * others.
   */
  async export(cursor?: string): Promise<RecordPage> {
    const pattern = /^(\d+)\.(\d+)(?:\.(\d+)\.(\d+)\.([\w-]+))?$/;
    const [, node, scan, cells, cell, names] = parse(cursor, "0.0", pattern);
    if (names !== undefined) checkCell(cursor, cells!, cell!);
    const nodes = await this.#redis.masters();
    const from = nodeOf(nodes, node!, cursor);
    const found =
      names === undefined
        ? await scanTorrents(from, this.#redis.prefix, scan!, exportCount)
        : { next: scan!, torrents: await this.#readMetas(splitNames(cursor, names)) };
    const resumed = names?.slice(0, nameLength);
    const plan = new Plan();
    const torrents: TorrentRecord[] = [];
    for (const [i, each] of found.torrents.entries()) {
      const torrent = readMeta(each);
      const isResumed = i === 0 && cell !== undefined && cell !== "0" && nameOf(each.infoHash) === resumed;
      const count = isResumed ? Number(cells) : cellsOf(torrent);
      const first = isResumed ? Number(cell) : 0;
      const stoppedAt = plan.add(each.infoHash, torrent, count, first);
      if (first === 0 && stoppedAt !== 0 && isWorthListing(torrent)) torrents.push(torrent);
      if (stoppedAt === undefined) continue;
      const left = found.torrents.slice(i).map(({ infoHash }) => nameOf(infoHash));
      const next = `redis.${node}.${found.next}.${count}.${stoppedAt}.${left.join("")}`;
      return { torrents, peers: this.#read(await this.#fetch(plan.cells)), next };
    }
    const next = afterScan(nodes.length, Number(node), found.next);
    return { torrents, peers: this.#read(await this.#fetch(plan.cells)), next };
  }

  async replay({ torrents = [], peers = [] }: RecordBatch): Promise<ReplayResult> {
    const result: ReplayResult = { taken: 0, expired: 0, refused: 0 };
    const snatches: { key: Buffer; snatches: number }[] = [];
    for (const torrent of torrents) {
      checkTorrentRecord(torrent);
      if (torrent.snatches === 0) continue;
      const key = this.#keyOf(torrent.infoHash);
      snatches.push({ key, snatches: Math.min(torrent.snatches, 0xffffffff) });
    }
    const batches: Batch[] = [];
    const filling = new Map<string, Batch>();
    const { clock, shape } = this.#redis;
    const request = new AnnounceRequest();
    for (const peer of peers) {
      checkPeerRecord(peer);
      const unixSeconds = Math.ceil(clock.unixSeconds - peer.age);
      if (peer.age >= this.#redis.peerLifetime()) {
        result.expired++;
        continue;
      }
      const of = this.#redis.isCluster() ? toHex(peer.infoHash) : "";
      let batch = filling.get(of);
      if (batch === undefined || batch.entries.length >= maxBatch) {
        batch = new Batch(shape, 8192);
        filling.set(of, batch);
        batches.push(batch);
      }
      fillRequest(request, peer);
      batch.addPast(request, unixSeconds, peer.snatched);
      result.taken++;
    }
    await forEachConcurrently(snatches, commandsAtOnce, async (each) =>
      this.#redis.raiseSnatches(each.key, each.snatches),
    );
    await forEachConcurrently(
      batches,
      this.#redis.isCluster() ? commandsAtOnce : batchesAtOnce,
      async (batch) => {
        result.refused += await this.#redis.deliver(batch);
      },
    );
    result.taken -= result.refused;
    return result;
  }

  #keyOf(infoHash: Uint8Array): Buffer {
    return Buffer.concat([this.#redis.prefix, infoHash]);
  }

  /** @returns the existing torrents, in the same order */
  async #readMetas(infoHashes: readonly Buffer[]): Promise<TorrentMeta[]> {
    const metas = await Promise.all(
      infoHashes.map((infoHash) => {
        const key = this.#keyOf(infoHash);
        return metaOf({ send: (args) => this.#redis.send(key, args) }, key);
      }),
    );
    return infoHashes.flatMap((infoHash, i) => {
      const meta = metas[i]!;
      return meta === null ? [] : [{ infoHash, meta }];
    });
  }

  async #fetch(plan: readonly Cell[]): Promise<TablePage[]> {
    const pages: TablePage[][] = [];
    await forEachConcurrently([...plan.entries()], commandsAtOnce, async ([i, { infoHash, cells, cell }]) => {
      const reply = await this.#redis.readCell(this.#keyOf(infoHash), cells, cell);
      pages[i] = [];
      for (let at = 0; at < reply.length; at += 2)
        pages[i]!.push({ infoHash, table: reply[at] as number, bytes: reply[at + 1] as Buffer });
    });
    return pages.flat();
  }

  #read(pages: readonly TablePage[]): Iterable<PeerRecord> {
    const { clock, shape } = this.#redis;
    const { unixSeconds } = clock;
    return { [Symbol.iterator]: () => readPeers(pages, shape, unixSeconds) };
  }
}

/** Chooses the cells of one step, until they have enough peers. */
class Plan {
  readonly cells: Cell[] = [];
  #peers = 0;

  /**
   * Adds as many cells of a torrent as fit; the first cell of the step always fits.
   * @returns the cell that did not fit, or undefined if all did
   */
  add(infoHash: Buffer, torrent: TorrentRecord, cells: number, first: number): number | undefined {
    const each = (torrent.peers4 + torrent.peers6) / cells;
    for (let cell = first; each > 0 && cell < cells; cell++) {
      const isFull = this.#peers + each > pagePeers || this.cells.length >= mostCells;
      if (isFull && this.cells.length > 0) return cell;
      this.cells.push({ infoHash, cells, cell });
      this.#peers += each;
    }
    return undefined;
  }
}

function cellsOf({ peers4, peers6 }: TorrentRecord): number {
  let cells = 1;
  while (cells * cellPeers < peers4 + peers6) cells *= 2;
  return cells;
}

/** Reads the field `m` of a torrent's key, see `script.ts`. */
function readMeta({ infoHash, meta }: TorrentMeta): TorrentRecord {
  const [snatches, , seeders4, leechers4, seeders6, leechers6, partial4, partial6] = Array.from(
    { length: 8 },
    (_, i) => meta.readUInt32BE(4 * i),
  ) as [number, number, number, number, number, number, number, number];
  const hasWeb = meta.length > metaLength;
  const [seedersWeb, leechersWeb, partialWeb] = [0, 4, 8].map((at) =>
    hasWeb ? meta.readUInt32BE(metaLength + at) : 0,
  ) as [number, number, number];
  return {
    infoHash,
    seeders: seeders4 + seeders6 + seedersWeb,
    leechers: leechers4 + leechers6 + leechersWeb,
    partial: partial4 + partial6 + partialWeb,
    snatches,
    peers4: seeders4 + leechers4,
    peers6: seeders6 + leechers6,
    peersWeb: seedersWeb + leechersWeb,
  };
}

function isWorthListing({ seeders, leechers, snatches }: TorrentRecord): boolean {
  return seeders + leechers + snatches > 0;
}

function* readPeers(
  pages: readonly TablePage[],
  shape: PeerShape,
  unixSeconds: number,
): Generator<PeerRecord> {
  const length = tailLength(shape);
  const address = new Address();
  const id = new Uint8Array(peerIdLength);
  const flags = { seeder: false, partial: false, snatched: false };
  const record: PeerRecord = {
    infoHash: new Uint8Array(infoHashLength),
    address,
    port: 0,
    peerId: undefined,
    age: 0,
    ...flags,
  };
  for (const { infoHash, table, bytes } of pages) {
    const family: Family = table < 3 ? 4 : 6;
    const endpointLength = compactLength[family];
    const count = (bytes.length - 4) / (endpointLength + 4 + length);
    if (!Number.isInteger(count)) continue; // no tracker with these options can have written the page
    copy20(infoHash, 0, record.infoHash);
    record.seeder = table % 2 === 1;
    const stampsAt = 4 + count * endpointLength;
    const tailsAt = stampsAt + 4 * count;
    for (let i = 0; i < count; i++) {
      const at = 4 + i * endpointLength;
      address.set(family, bytes, at);
      record.port = bytes.readUInt16BE(at + endpointLength - 2);
      const stamp = bytes.readUInt32BE(stampsAt + 4 * i);
      record.partial = (stamp & 1) !== 0;
      record.snatched = (stamp & 2) !== 0;
      record.age = Math.max(0, unixSeconds - firstStampSeconds - Math.floor(stamp / 4));
      if (shape.peerIds) {
        copy20(bytes, tailsAt + (i + 1) * length - peerIdLength, id);
        record.peerId = id.some((byte) => byte !== 0) ? id : undefined;
      }
      yield record;
    }
  }
}

function fillRequest(request: AnnounceRequest, peer: PeerRecord): void {
  copy20(peer.infoHash, 0, request.infoHash);
  if (peer.peerId === undefined) request.peerId.fill(0);
  else copy20(peer.peerId, 0, request.peerId);
  request.address.copyFrom(peer.address);
  request.port = peer.port;
  request.left = peer.seeder ? 0n : 1n;
  request.event = peer.partial && !peer.seeder ? AnnounceEvent.paused : AnnounceEvent.none;
}

/** Runs a function for each item, a bounded number at a time. */
async function forEachConcurrently<T>(
  all: readonly T[],
  atOnce: number,
  run: (one: T) => Promise<void>,
): Promise<void> {
  for (let i = 0; i < all.length; i += atOnce) await Promise.all(all.slice(i, i + atOnce).map(run));
}

/** Returns an infohash as text for a cursor: base64 for URLs. */
function nameOf(infoHash: Buffer): string {
  return infoHash.toString("base64url");
}

function splitNames(cursor: string | undefined, names: string): Buffer[] {
  if (names.length % nameLength !== 0) throw foreignCursor(cursor);
  return Array.from({ length: names.length / nameLength }, (_, i) =>
    Buffer.from(names.slice(i * nameLength, (i + 1) * nameLength), "base64url"),
  );
}

function parse(cursor: string | undefined, begin: string, pattern: RegExp): (string | undefined)[] {
  const text = cursor === undefined ? begin : cursor.startsWith("redis.") ? cursor.slice(6) : "";
  const match = pattern.exec(text);
  if (match === null) throw foreignCursor(cursor);
  return match;
}

function checkCell(cursor: string | undefined, cells: string, cell: string): void {
  const count = Number(cells);
  if (!Number.isInteger(Math.log2(count)) || count > mostCellsOfTorrent || Number(cell) >= count)
    throw foreignCursor(cursor);
}

function nodeOf(nodes: readonly RedisNode[], index: string, cursor: string | undefined): RedisNode {
  const node = nodes[Number(index)];
  if (node === undefined) throw foreignCursor(cursor);
  return node;
}

/** Returns the cursor behind one step of `SCAN`. */
function afterScan(nodes: number, node: number, scan: string): string | undefined {
  if (scan !== "0") return `redis.${node}.${scan}`;
  return node + 1 < nodes ? `redis.${node + 1}.0` : undefined;
}

function foreignCursor(cursor: string | undefined): RangeError {
  return new RangeError(`not a cursor of this walk: ${JSON.stringify(cursor)}; begin without one`);
}
