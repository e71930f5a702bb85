import assert from "node:assert/strict";
import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { copy20, toHex } from "../../bittorrent/info-hash.ts";
import { compactLength, PeerList } from "../../bittorrent/peer-list.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import { Address, type Family } from "../../ip/address.ts";
import {
  type PeerStore,
  Step,
  type StoreStatistics,
  type SwarmKind,
  type SwarmSummary,
} from "../peer-store.ts";

/** What a store is created with in the suite: the suite turns the clock by assignment. */
export interface ConformanceEnvironment {
  clock: { seconds: number; unixSeconds: number };
  /** Seconds without an announce after which a peer is removed. */
  peerLifetime: number;
  /** Peers of one family, in one swarm, that fit; absent where the suite does not fill the store. */
  capacity?: number;
}

/** Makes an empty store. */
export type CreateStore = (environment: ConformanceEnvironment) => PeerStore | Promise<PeerStore>;

/** A peer of the suite. The address and port of a web peer stand for its handle and its generation. */
export interface TestPeer {
  readonly isWeb?: true;
  readonly address: Address;
  readonly port: number;
  readonly id: Uint8Array;
}

/** How an announce of the suite differs from that of a leecher that wants 50 peers of its own kind. */
export interface AnnounceOptions {
  event?: AnnounceEvent;
  left?: bigint;
  numWant?: number;
  /** Limit of the list of the announcer's kind; `numWant` unless given. */
  limit?: number;
  /** Limit of the list of the {@link otherKind}; 0 unless given. */
  otherLimit?: number;
  step?: Step;
  wantPeerIds?: boolean;
  /** The user of a private tracker; none unless given. */
  tag?: number;
}

/** A response with its peers as text, see {@link endpoint}. */
export interface TesterResponse {
  complete: number;
  incomplete: number;
  snatches: number;
  /** Peers of the announcer's kind, in the order of the list. */
  peers: string[];
  /** How many seeders stand first in `peers`, as the store says. */
  seeders: number;
  /** Peers of the other kind. */
  others: string[];
  /** Peer ids of `peers` in hexadecimal, where the store has written them. */
  peerIds: string[] | undefined;
}

/** A row of a scrape. */
export interface Row {
  complete: number;
  incomplete: number;
  snatches: number;
  partial: number;
}

/** Counts that an announce without the select step must leave as a hook has set them. */
export const presetCounts = { complete: 7001, incomplete: 7002, snatches: 7003 } as const;

/** Peer `n` of a kind: an address and a port of its own. */
export function testPeer(kind: SwarmKind, n: number, port: number = 1024 + n): TestPeer {
  const low = n & 0xff;
  const address = Address.parse(
    kind === 6 ? `2001:db8::${(n >> 8).toString(16)}:${low.toString(16)}` : `10.1.${n >> 8}.${low}`,
  );
  return { ...(kind === "web" && { isWeb: true }), address, port, id: ascii(`-TS0000-${n}`) };
}

/** Infohash `n`: twenty decimal digits as ASCII. */
export function testInfoHash(n: number): Uint8Array {
  return ascii(`${n}`.padStart(20, "0"));
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text.padEnd(20, "-"));
}

/** Another kind than this: the other family, or IPv4 beside web peers. */
export function otherKind(kind: SwarmKind): Family {
  return kind === 4 ? 6 : 4;
}

/** The list of the only peer of a swarm: the peer itself, but nothing for a web peer. */
export function listOfLonePeer(peer: TestPeer): string[] {
  return peer.isWeb ? [] : [endpoint(peer)];
}

/** The address from which all web peers of the suite announce. */
const webClient = Address.parse("192.0.2.7");

/** `address:port`, as an {@link TesterResponse} lists a peer. */
export function endpoint(peer: TestPeer): string {
  return `${peer.address}:${peer.port}`;
}

const fence = 0xa5;
const margin = 7; // odd, so that no list is aligned

function createList(family: Family, limit: number, wantPeerIds: boolean): PeerList {
  const list = new PeerList(family, new Uint8Array(2 * margin + limit * compactLength[family]).fill(fence));
  list.at = margin;
  list.limit = limit;
  if (wantPeerIds) list.peerIds = new Uint8Array(limit * 20);
  return list;
}

/** Reads a list, after checking that the store has kept to its place. */
function readList(list: PeerList): string[] {
  const stride = compactLength[list.family];
  const end = list.at + list.limit * stride;
  assert.ok(list.count <= list.limit, `${list.count} peers in a list for ${list.limit}`);
  const outside = [...list.bytes.subarray(0, list.at), ...list.bytes.subarray(end)];
  assert.ok(
    outside.every((byte) => byte === fence),
    "a store writes only inside the place of the list",
  );
  const address = new Address();
  const peers: string[] = [];
  for (let i = 0; i < list.count; i++) {
    const at = list.at + i * stride;
    address.set(list.family, list.bytes, at);
    peers.push(`${address}:${list.view.getUint16(at + stride - 2)}`);
  }
  return peers;
}

/**
 * Speaks to one store as the tracker does. The tester overwrites request and response as soon as the store has
 * responded, as a tracker does.
 */
export class StoreTester {
  readonly store: PeerStore;
  readonly environment: ConformanceEnvironment;

  constructor(store: PeerStore, environment: ConformanceEnvironment) {
    this.store = store;
    this.environment = environment;
  }

  /** Advances the clock. */
  advance(seconds: number): void {
    this.environment.clock.seconds += seconds;
    this.environment.clock.unixSeconds += seconds;
  }

  async announce(
    infoHash: Uint8Array,
    peer: TestPeer,
    options: AnnounceOptions = {},
  ): Promise<TesterResponse> {
    const { numWant = 50, step = Step.both, wantPeerIds = false } = options;
    const kind = peer.isWeb ? "web" : peer.address.family;
    const request = new AnnounceRequest();
    copy20(infoHash, 0, request.infoHash);
    copy20(peer.id, 0, request.peerId);
    if (kind === "web") {
      request.kind = "web";
      request.address.copyFrom(webClient);
      request.handle = Buffer.from(peer.address.bytes).readUInt32BE();
      request.generation = peer.port;
    } else {
      request.address.copyFrom(peer.address);
      request.port = peer.port;
    }
    request.event = options.event ?? AnnounceEvent.none;
    request.left = options.left ?? 100n;
    request.numWant = numWant;
    request.tag = options.tag ?? 0;

    const own = createList(kind === 6 ? 6 : 4, options.limit ?? numWant, wantPeerIds);
    const other = createList(otherKind(kind), options.otherLimit ?? 0, false);
    const unused = createList(kind === "web" ? 6 : 4, 50, false); // also the web list of an announcer with an address
    const response =
      kind === 4
        ? new AnnounceResponse(own, other, unused)
        : kind === 6
          ? new AnnounceResponse(other, own, unused)
          : new AnnounceResponse(other, unused, own);
    response.reset(1800, 900);
    if (!(step & Step.select)) Object.assign(response, presetCounts);

    const waiting = this.store.announce(request, response, step);
    if (waiting) await waiting;

    request.infoHash.fill(fence);
    request.peerId.fill(fence);
    request.address.set(otherKind(kind), new Uint8Array(16).fill(fence), 0);
    request.handle = request.generation = fence;
    assert.equal(unused.count, 0, "a list gets peers that the announcer cannot reach");
    const { complete, incomplete, snatches } = response;
    const peers = readList(own);
    const peerIds = own.hasPeerIds ? peers.map((_, i) => toHex(own.peerIds!, 20 * i)) : undefined;
    return { complete, incomplete, snatches, peers, seeders: own.seeders, others: readList(other), peerIds };
  }

  /** @param hidden  indices of the rows that a hook has hidden */
  async scrape(infoHashes: readonly Uint8Array[], kind: SwarmKind, hidden: number[] = []): Promise<Row[]> {
    const request = new ScrapeRequest(infoHashes.length);
    request.address.copyFrom(testPeer(kind, 250).address);
    for (const infoHash of infoHashes) request.add(infoHash, 0);
    for (const index of hidden) request.hide(index);
    const response = new ScrapeResponse(infoHashes.length);
    const waiting = this.store.scrape(request, response);
    if (waiting) await waiting;
    return infoHashes.map((_, i) => ({
      complete: response.complete(i),
      incomplete: response.incomplete(i),
      snatches: response.snatches(i),
      partial: response.partial(i),
    }));
  }

  /** The row of one torrent. */
  async scrapeOne(infoHash: Uint8Array, kind: SwarmKind): Promise<Row> {
    return (await this.scrape([infoHash], kind))[0]!;
  }

  /** Asserts what a scrape of one torrent shows. */
  async expectCounts(
    infoHash: Uint8Array,
    kind: SwarmKind,
    complete: number,
    incomplete: number,
    why: string,
  ): Promise<void> {
    const row = await this.scrapeOne(infoHash, kind);
    assert.deepEqual({ complete: row.complete, incomplete: row.incomplete }, { complete, incomplete }, why);
  }

  async statistics(): Promise<StoreStatistics> {
    return await this.store.statistics();
  }

  async expire(): Promise<number> {
    return await this.store.expire();
  }

  /** All that the store lists, copied, sorted as text. */
  async swarms(): Promise<{ key: string; summary: SwarmSummary }[]> {
    const rows: { key: string; summary: SwarmSummary }[] = [];
    for await (const swarm of this.store.swarms()) {
      rows.push({ key: `${toHex(swarm.infoHash)} ${swarm.family}`, summary: { ...swarm } });
    }
    return rows.sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}
