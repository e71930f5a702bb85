import {
  AnnounceEvent,
  type AnnounceRequest,
  type AnnounceResponse,
  type Clock,
  type Family,
  type PeerList,
  type PeerStore,
  parseInfoHash,
  type Random,
  type ScrapeRequest,
  type ScrapeResponse,
  Step,
  type StoreStatistics,
  type SwarmSummary,
  toHex,
} from "chihaya";

/** The options of the store. Durations are in seconds. */
export interface PlainOptions {
  peerLifetime: number;
  gcInterval: number;
  maxPeers: number;
}

interface Peer {
  /** Address and port as in a compact list of peers. */
  compact: Uint8Array;
  isSeeder: boolean;
  isPartial: boolean;
  hasSnatched: boolean;
  announcedAt: number;
}

interface Torrent {
  snatches: number;
  /** By family, then by {@link Peer.compact} in hexadecimal. */
  swarms: Record<Family, Map<string, Peer>>;
}

/** The contract of a store in its plainest form. The cost of an announce grows with the size of the swarm. */
export class PlainStore implements PeerStore {
  readonly #torrents = new Map<string, Torrent>();
  readonly #clock: Clock;
  readonly #random: Random;
  #options: PlainOptions;
  #count = 0;
  #refused = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PlainOptions, clock: Clock, random: Random) {
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
  }

  announce(request: AnnounceRequest, response: AnnounceResponse, step: Step): void {
    const compact = compactPeer(request);
    const key = Buffer.from(compact).toString("hex");
    if (step & Step.apply) this.#apply(request, compact, key);
    if (step & Step.select) this.#select(request, response, key);
  }

  #apply(request: AnnounceRequest, compact: Uint8Array, key: string): void {
    const { event, isSeeder } = request;
    const { family } = request.address;
    const name = toHex(request.infoHash);
    const known = this.#torrents.get(name)?.swarms[family].get(key);
    if (event === AnnounceEvent.stopped) {
      if (known) this.#removePeer(name, family, key);
      return;
    }
    if (!known && this.#count >= this.#options.maxPeers) {
      this.#refused++;
      return;
    }
    const torrent = this.#torrents.get(name) ?? { snatches: 0, swarms: { 4: new Map(), 6: new Map() } };
    this.#torrents.set(name, torrent);
    const hasCompleted = event === AnnounceEvent.completed;
    if (hasCompleted && !known?.hasSnatched) torrent.snatches++;
    if (!known) this.#count++;
    torrent.swarms[family].set(key, {
      compact,
      isSeeder,
      isPartial: event === AnnounceEvent.paused && !isSeeder,
      hasSnatched: hasCompleted || known?.hasSnatched === true,
      announcedAt: this.#clock.seconds,
    });
  }

  #select(request: AnnounceRequest, response: AnnounceResponse, self: string): void {
    const torrent = this.#torrents.get(toHex(request.infoHash));
    if (!torrent) return;
    const { seeders, leechers } = countPeers(torrent);
    response.complete = seeders;
    response.incomplete = leechers;
    response.snatches = torrent.snatches;
    if (request.event === AnnounceEvent.stopped) return;
    const { peers4, peers6 } = response;
    const [own, other] = request.address.family === 4 ? [peers4, peers6] : [peers6, peers4];
    let wanted = request.numWant;
    for (const list of [own, other]) {
      wanted -= this.#fill(list, this.#candidates(torrent.swarms[list.family], request, self), wanted);
    }
    // The only peer of a swarm gets itself, because some clients expect at least one peer.
    const swarm = torrent.swarms[own.family];
    const alone = swarm.get(self);
    if (alone && swarm.size === 1 && own.count + other.count === 0)
      this.#fill(own, [{ ...alone, isSeeder: false }], wanted);
  }

  /** Seeders get leechers; leechers get seeders first. */
  #candidates(swarm: Map<string, Peer>, { isSeeder }: AnnounceRequest, self: string): Peer[] {
    const others = [...swarm].filter(([key]) => key !== self).map(([, peer]) => peer);
    const leechers = this.#rotate(others.filter((peer) => !peer.isSeeder));
    return isSeeder ? leechers : [...this.#rotate(others.filter((peer) => peer.isSeeder)), ...leechers];
  }

  /** Rotates the peers to a random start, so that all of them are listed equally often. */
  #rotate(peers: Peer[]): Peer[] {
    const start = peers.length === 0 ? 0 : this.#random.next() % peers.length;
    return [...peers.slice(start), ...peers.slice(0, start)];
  }

  /** Returns the number of peers written. */
  #fill(list: PeerList, peers: Peer[], wanted: number): number {
    const chosen = peers.slice(0, Math.max(0, Math.min(wanted, list.limit)));
    for (const { compact, isSeeder } of chosen) {
      list.bytes.set(compact, list.at + list.count * compact.length);
      list.count++;
      if (isSeeder) list.seeders++;
    }
    return chosen.length;
  }

  scrape(request: ScrapeRequest, response: ScrapeResponse): void {
    for (let i = 0; i < request.count; i++) {
      const torrent = request.isHidden(i) ? undefined : this.#torrents.get(toHex(request.infoHash(i)));
      if (!torrent) continue;
      const { seeders, leechers, partial } = countPeers(torrent);
      response.set(i, seeders, leechers, torrent.snatches, partial);
    }
  }

  remove(infoHash: Uint8Array): void {
    const { swarms } = this.#torrents.get(toHex(infoHash)) ?? {};
    this.#count -= swarms ? swarms[4].size + swarms[6].size : 0;
    this.#torrents.delete(toHex(infoHash));
  }

  statistics(): StoreStatistics {
    const sum = { swarms: 0, seeders: 0, leechers: 0, peers4: 0, peers6: 0, refused: this.#refused };
    for (const { family, seeders, leechers } of this.swarms()) {
      if (seeders + leechers > 0) sum.swarms++;
      sum.seeders += seeders;
      sum.leechers += leechers;
      sum[family === 4 ? "peers4" : "peers6"] += seeders + leechers;
    }
    return sum;
  }

  *swarms(): Generator<SwarmSummary> {
    for (const [name, { swarms, snatches }] of this.#torrents) {
      for (const family of [4, 6] as const) {
        const seeders = [...swarms[family].values()].filter((peer) => peer.isSeeder).length;
        const leechers = swarms[family].size - seeders;
        if (seeders + leechers + snatches === 0) continue;
        yield { infoHash: parseInfoHash(name)!, family, seeders, leechers, snatches };
      }
    }
  }

  expire(): number {
    const before = this.#clock.seconds - this.#options.peerLifetime;
    let removed = 0;
    for (const [name, { swarms }] of this.#torrents) {
      for (const family of [4, 6] as const) {
        for (const [key, { announcedAt }] of swarms[family]) {
          if (announcedAt > before) continue;
          this.#removePeer(name, family, key);
          removed++;
        }
      }
    }
    return removed;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.expire(), this.#options.gcInterval * 1000).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Applies a new peer lifetime, expiry interval and maximum number of peers. */
  prepare(options: PlainOptions): () => void {
    return () => {
      this.#options = options;
      if (this.#timer === undefined) return;
      this.stop();
      this.start();
    };
  }

  #removePeer(name: string, family: Family, key: string): void {
    const { swarms, snatches } = this.#torrents.get(name)!;
    if (swarms[family].delete(key)) this.#count--;
    if (swarms[4].size + swarms[6].size + snatches === 0) this.#torrents.delete(name);
  }
}

/** Address and port, 6 bytes or 18. */
function compactPeer({ address, port }: AnnounceRequest): Uint8Array {
  const bytes = address.bytes.slice(0, address.family === 4 ? 4 : 16);
  return Uint8Array.of(...bytes, port >>> 8, port & 0xff);
}

/** Counts the peers of both families. */
function countPeers({ swarms }: Torrent): { seeders: number; leechers: number; partial: number } {
  const peers = [...swarms[4].values(), ...swarms[6].values()];
  const seeders = peers.filter((peer) => peer.isSeeder).length;
  return {
    seeders,
    leechers: peers.length - seeders,
    partial: peers.filter((peer) => peer.isPartial).length,
  };
}
