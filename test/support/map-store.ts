import type { AnnounceRequest, AnnounceResponse } from "../../src/bittorrent/announce.ts";
import { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { parseInfoHash, toHex } from "../../src/bittorrent/info-hash.ts";
import { compactLength, type PeerList } from "../../src/bittorrent/peer-list.ts";
import type { ScrapeRequest, ScrapeResponse } from "../../src/bittorrent/scrape.ts";
import { Address, formatIPv4, formatIPv6 } from "../../src/ip/address.ts";
import type { Clock, Random } from "../../src/lib/clock.ts";
import {
  type PeerStore,
  Step,
  type StoreStatistics,
  type SwarmKind,
  type SwarmSummary,
} from "../../src/storage/peer-store.ts";

import {
  checkPeerRecord,
  checkTorrentRecord,
  type PeerRecord,
  type RecordBatch,
  type RecordPage,
  type Records,
  type ReplayResult,
  type TorrentRecord,
} from "../../src/storage/records.ts";

const swarmKinds: readonly SwarmKind[] = [4, 6, "web"];

/** A stored peer. */
export interface MapPeer {
  address: Uint8Array;
  port: number;
  /** Undefined for a peer that was replayed without a peer id. */
  id: Uint8Array | undefined;
  seeder: boolean;
  partial: boolean;
  snatched: boolean;
  announced: number;
}

/** A torrent: its peers by endpoint, for each kind. */
export interface MapTorrent {
  snatches: number;
  peers: Record<SwarmKind, Map<string, MapPeer>>;
}

export interface MapStoreOptions {
  clock: Clock;
  random: Random;
  peerLifetime: number;
  capacity?: number;
}

/**
 * A simple and slow implementation of the store contract with maps and arrays. Packed stores are compared with this model,
 * and deliberately broken stores are derived from it.
 */
export class MapStore implements PeerStore {
  readonly torrents: Map<string, MapTorrent> = new Map();
  readonly options: MapStoreOptions;
  readonly records: MapRecords = new MapRecords(this);
  refused = 0;
  readonly keepsPeerIds: boolean = true;

  constructor(options: MapStoreOptions) {
    this.options = options;
  }

  announce(request: AnnounceRequest, response: AnnounceResponse, step: Step): void | Promise<void> {
    if (step & Step.apply) this.apply(request);
    if (step & Step.select) this.select(request, response);
  }

  apply(request: AnnounceRequest): void {
    const infoHash = toHex(request.infoHash);
    const key = endpointKey(request);
    const kind = kindOf(request);
    const existing = this.torrents.get(infoHash)?.peers[kind].get(key);
    if (request.event === AnnounceEvent.stopped) {
      if (existing) this.removePeer(infoHash, kind, key);
      return;
    }
    if (!existing && this.count() >= (this.options.capacity ?? Number.POSITIVE_INFINITY)) {
      this.refused++;
      return;
    }
    const torrent = this.torrent(infoHash);
    const completed = request.event === AnnounceEvent.completed;
    if (completed && !existing?.snatched) torrent.snatches++;
    torrent.peers[kind].set(key, {
      ...placeOf(request),
      id: request.peerId.slice(),
      seeder: request.isSeeder,
      partial: request.event === AnnounceEvent.paused && !request.isSeeder,
      snatched: completed || existing?.snatched === true,
      announced: this.options.clock.seconds,
    });
  }

  select(request: AnnounceRequest, response: AnnounceResponse): void {
    const kind = kindOf(request);
    const torrent = this.torrents.get(toHex(request.infoHash));
    if (!torrent) return;
    const all = [...torrent.peers[kind].values()];
    const { seeders, leechers } = countPeers(torrent);
    response.complete = seeders;
    response.incomplete = leechers;
    response.snatches = torrent.snatches;
    if (request.event === AnnounceEvent.stopped) return;

    const self = endpointKey(request);
    if (kind === "web") {
      this.fill(response.webPeers, this.candidates(torrent, kind, request, self), request.numWant);
      if (request.isSeeder) response.webPeers.seeders = 0; // its seeders come last
      return;
    }
    const [own, other] = kind === 4 ? [response.peers4, response.peers6] : [response.peers6, response.peers4];
    this.fill(own, this.candidates(torrent, kind, request, self), request.numWant);
    this.fill(other, this.candidates(torrent, other.family, request, self), request.numWant - own.count);
    const lone = torrent.peers[kind].get(self);
    if (lone && all.length === 1 && own.count + other.count === 0) {
      this.fill(own, [{ ...lone, seeder: false }], request.numWant);
    }
  }

  /** Returns the peers for an announcer, in their order in the response. */
  candidates(torrent: MapTorrent, kind: SwarmKind, request: AnnounceRequest, self: string): MapPeer[] {
    const others = [...torrent.peers[kind]].filter(([key]) => key !== self).map(([, peer]) => peer);
    const leechers = this.rotate(others.filter((peer) => !peer.seeder));
    const seeders = this.rotate(others.filter((peer) => peer.seeder));
    if (!request.isSeeder) return [...seeders, ...leechers];
    return kind === "web" ? [...leechers, ...seeders] : leechers;
  }

  rotate(peers: MapPeer[]): MapPeer[] {
    if (peers.length === 0) return peers;
    const start = this.options.random.next() % peers.length;
    return [...peers.slice(start), ...peers.slice(0, start)];
  }

  fill(list: PeerList, peers: MapPeer[], numWant: number): void {
    const stride = compactLength[list.family];
    for (const peer of peers.slice(0, Math.max(0, Math.min(numWant, list.limit)))) {
      if (list.peerIds !== undefined && peer.id === undefined) continue;
      const at = list.at + list.count * stride;
      list.bytes.set(peer.address, at);
      list.view.setUint16(at + stride - 2, peer.port);
      list.peerIds?.set(peer.id!, list.count * 20);
      list.count++;
      if (peer.seeder) list.seeders++;
    }
    list.hasPeerIds = list.peerIds !== undefined;
  }

  scrape(request: ScrapeRequest, response: ScrapeResponse): void | Promise<void> {
    for (let i = 0; i < request.count; i++) {
      if (request.isHidden(i)) continue;
      const torrent = this.torrents.get(toHex(request.infoHash(i)));
      if (!torrent) continue;
      const { seeders, leechers, partial } = countPeers(torrent);
      response.set(i, seeders, leechers, torrent.snatches, partial);
    }
  }

  remove(infoHash: Uint8Array): void | Promise<void> {
    this.torrents.delete(toHex(infoHash));
  }

  statistics(): StoreStatistics {
    const sum = { swarms: 0, seeders: 0, leechers: 0, peers4: 0, peers6: 0, peersWeb: 0, refused: 0 };
    for (const { family, seeders, leechers } of this.summaries()) {
      if (seeders + leechers > 0) sum.swarms++;
      sum.seeders += seeders;
      sum.leechers += leechers;
      sum[family === "web" ? "peersWeb" : (`peers${family}` as const)] += seeders + leechers;
    }
    return { ...sum, refused: this.refused };
  }

  swarms(): Iterable<SwarmSummary> {
    return this.summaries().filter(({ seeders, leechers, snatches }) => seeders + leechers + snatches > 0);
  }

  summaries(): SwarmSummary[] {
    return [...this.torrents].flatMap(([key, { peers, snatches }]) =>
      swarmKinds.map((family) => {
        const all = [...peers[family].values()];
        const seeders = all.filter((peer) => peer.seeder).length;
        return { infoHash: parseInfoHash(key)!, family, seeders, leechers: all.length - seeders, snatches };
      }),
    );
  }

  expire(): number {
    let removed = 0;
    const before = this.options.clock.seconds - this.options.peerLifetime;
    for (const [infoHash, torrent] of this.torrents) {
      for (const family of swarmKinds) {
        for (const [key, peer] of torrent.peers[family]) {
          if (peer.announced > before) continue;
          this.removePeer(infoHash, family, key);
          removed++;
        }
      }
    }
    return removed;
  }

  sweep(worker: number): number {
    let removed = 0;
    for (const [infoHash, { peers }] of this.torrents) {
      for (const [key, { address }] of peers.web) {
        if (address[0]! >>> 2 !== worker) continue;
        this.removePeer(infoHash, "web", key);
        removed++;
      }
    }
    return removed;
  }

  start(): void {}
  stop(): void {}

  count(): number {
    let peers = 0;
    for (const torrent of this.torrents.values()) peers += sizeOf(torrent);
    return peers;
  }

  torrent(infoHash: string): MapTorrent {
    let torrent = this.torrents.get(infoHash);
    if (!torrent) {
      torrent = { snatches: 0, peers: { 4: new Map(), 6: new Map(), web: new Map() } };
      this.torrents.set(infoHash, torrent);
    }
    return torrent;
  }

  removePeer(infoHash: string, kind: SwarmKind, key: string): void {
    const torrent = this.torrents.get(infoHash)!;
    torrent.peers[kind].delete(key);
    if (sizeOf(torrent) === 0 && torrent.snatches === 0) {
      this.torrents.delete(infoHash);
    }
  }
}

/** Records in one page of a {@link MapStore}. */
const pageRecords = 1000;

/** A record with its name: the infohash followed by the endpoint of the peer. */
type NamedRecord = [name: string, torrent: TorrentRecord | undefined, peer: PeerRecord | undefined];

/** The records of a {@link MapStore}, walked in the order of their names. */
export class MapRecords implements Records {
  readonly store: MapStore;

  constructor(store: MapStore) {
    this.store = store;
  }

  torrents(cursor?: string): RecordPage {
    return this.page(
      [...this.store.torrents].map((entry) => this.torrentRecord(...entry)),
      cursor,
    );
  }

  find(infoHashes: readonly Uint8Array[]): Iterable<TorrentRecord> | Promise<Iterable<TorrentRecord>> {
    return infoHashes.flatMap((infoHash) => {
      const torrent = this.store.torrents.get(toHex(infoHash));
      return torrent === undefined ? [] : this.torrentRecord(toHex(infoHash), torrent)[1]!;
    });
  }

  peers(infoHash: Uint8Array, cursor?: string): RecordPage {
    const torrent = this.store.torrents.get(toHex(infoHash));
    return this.page(torrent ? this.all(toHex(infoHash), torrent) : [], cursor);
  }

  export(cursor?: string): RecordPage {
    return this.page(
      [...this.store.torrents].flatMap((entry) => this.all(...entry)),
      cursor,
    );
  }

  replay({ torrents = [], peers = [] }: RecordBatch): ReplayResult {
    for (const record of torrents) {
      checkTorrentRecord(record);
      const infoHash = toHex(record.infoHash);
      if (record.snatches === 0) continue;
      const torrent = this.store.torrent(infoHash);
      torrent.snatches = Math.max(torrent.snatches, record.snatches);
    }
    const result: ReplayResult = { taken: 0, expired: 0, refused: 0 };
    for (const peer of peers) {
      checkPeerRecord(peer);
      result[this.replayPeer(peer)]++;
    }
    return result;
  }

  replayPeer({
    infoHash,
    address,
    port,
    peerId,
    seeder,
    partial,
    snatched,
    age,
  }: PeerRecord): keyof ReplayResult {
    const { store } = this;
    const { clock, peerLifetime, capacity = Number.POSITIVE_INFINITY } = store.options;
    if (age >= peerLifetime) return "expired";
    const name = toHex(infoHash);
    const key = endpointKey({ address, port });
    const known = store.torrents.get(name)?.peers[address.family].get(key);
    if (known === undefined && store.count() >= capacity) {
      store.refused++;
      return "refused";
    }
    const announced = clock.seconds - age;
    if (known !== undefined && known.announced >= announced) {
      known.snatched ||= snatched;
      return "taken";
    }
    store.torrent(name).peers[address.family].set(key, {
      address: address.bytes.slice(0, address.family === 4 ? 4 : 16),
      port,
      id: peerId?.slice(),
      seeder,
      partial: partial && !seeder,
      snatched: snatched || known?.snatched === true,
      announced,
    });
    return "taken";
  }

  page(records: NamedRecord[], cursor = "map"): RecordPage {
    if (!/^map([0-9a-f]{40}.*)?$/.test(cursor)) throw new RangeError(`not a cursor: ${cursor}`);
    const rest = records.filter(([name]) => name > cursor.slice(3)).sort(([a], [b]) => (a < b ? -1 : 1));
    const some = rest.slice(0, pageRecords);
    return {
      torrents: some.flatMap(([, torrent]) => torrent ?? []),
      peers: some.flatMap(([, , peer]) => peer ?? []),
      next: rest.length > some.length ? `map${some.at(-1)![0]}` : undefined,
    };
  }

  torrentRecord(name: string, torrent: MapTorrent): NamedRecord {
    const { peers, snatches } = torrent;
    const [peers4, peers6, peersWeb] = [peers[4].size, peers[6].size, peers.web.size];
    const infoHash = parseInfoHash(name)!;
    return [name, { infoHash, ...countPeers(torrent), snatches, peers4, peers6, peersWeb }, undefined];
  }

  all(name: string, torrent: MapTorrent): NamedRecord[] {
    const peers = ([4, 6] as const).flatMap((family) =>
      [...torrent.peers[family]].map(([key, peer]) => this.peerRecord(name, family, key, peer)),
    );
    return [this.torrentRecord(name, torrent), ...peers];
  }

  peerRecord(name: string, family: 4 | 6, key: string, peer: MapPeer): NamedRecord {
    const address = new Address();
    address.set(family, peer.address, 0);
    const { port, id: peerId, seeder, partial, snatched, announced } = peer;
    const age = this.store.options.clock.seconds - announced;
    const record = { infoHash: parseInfoHash(name)!, address, port, peerId, seeder, partial, snatched, age };
    return [name + key, undefined, record];
  }
}

/** Counts the peers of all kinds. */
export function countPeers({ peers }: MapTorrent): { seeders: number; leechers: number; partial: number } {
  const all = swarmKinds.flatMap((kind) => [...peers[kind].values()]);
  const seeders = all.filter((peer) => peer.seeder).length;
  return { seeders, leechers: all.length - seeders, partial: all.filter((peer) => peer.partial).length };
}

/** Returns the number of peers of a torrent. */
export function sizeOf({ peers }: MapTorrent): number {
  return peers[4].size + peers[6].size + peers.web.size;
}

/** The peer of a request: by its address, or by its socket in the form of an IPv4 address. */
type Located = Pick<AnnounceRequest, "address" | "port"> &
  Partial<Pick<AnnounceRequest, "kind" | "handle" | "generation">>;

/** Returns the kind of the swarm of a request. */
export function kindOf({ kind, address }: Located): SwarmKind {
  return kind === "web" ? "web" : address.family;
}

function placeOf(request: Located): { address: Uint8Array; port: number } {
  const kind = kindOf(request);
  if (kind !== "web") {
    return { address: request.address.bytes.slice(0, kind === 4 ? 4 : 16), port: request.port };
  }
  const handle = Buffer.alloc(4);
  handle.writeUInt32BE(request.handle!);
  return { address: handle, port: request.generation! };
}

/** Returns `address:port`, which identifies a peer among those of its kind. */
export function endpointKey(request: Located): string {
  const { address, port } = placeOf(request);
  return `${address.length === 4 ? formatIPv4(address, 0) : formatIPv6(address, 0)}:${port}`;
}

/** Returns the endpoint of peer `index` of a list. */
export function listedKey(list: PeerList, index: number): string {
  const stride = compactLength[list.family];
  const at = list.at + index * stride;
  const address = list.family === 4 ? formatIPv4(list.bytes, at) : formatIPv6(list.bytes, at);
  return `${address}:${list.view.getUint16(at + stride - 2)}`;
}
