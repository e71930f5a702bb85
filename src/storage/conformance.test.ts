import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import {
  endpointKey,
  kindOf,
  MapRecords,
  MapStore,
  type MapStoreOptions,
  sizeOf,
} from "../../test/support/map-store.ts";
import type { AnnounceRequest } from "../bittorrent/announce.ts";
import { AnnounceEvent } from "../bittorrent/event.ts";
import { toHex } from "../bittorrent/info-hash.ts";
import { ScrapeRequest } from "../bittorrent/scrape.ts";
import { createRandom } from "../lib/clock.ts";
import { kindsOf } from "./conformance/group.ts";
import {
  type ConformanceEnvironment,
  conformanceGroups,
  runConformanceGroup,
  storeConformance,
} from "./conformance.ts";
import { Step } from "./peer-store.ts";
import type { PeerRecord, RecordBatch, RecordPage, ReplayResult } from "./records.ts";

function options({ clock, peerLifetime, capacity }: ConformanceEnvironment): MapStoreOptions {
  return { clock, peerLifetime, random: createRandom(1), ...(capacity === undefined ? {} : { capacity }) };
}

/** A store that responds asynchronously, to one announce after the other. */
class LateStore extends MapStore {
  #last: Promise<unknown> = Promise.resolve();

  override announce(...args: Parameters<MapStore["announce"]>): Promise<void> {
    const step = this.#last.then(() => super.announce(...args));
    this.#last = step;
    return step;
  }

  override async remove(infoHash: Uint8Array): Promise<void> {
    await this.#last;
    await super.remove(infoHash);
  }

  override async scrape(...args: Parameters<MapStore["scrape"]>): Promise<void> {
    await this.#last;
    await super.scrape(...args);
  }
}

storeConformance("map store", (environment) => new MapStore(options(environment)), {
  peerIds: true,
  capacity: true,
});
storeConformance(
  "map store that responds asynchronously",
  (environment) => new LateStore(options(environment)),
  {
    peerIds: true,
    capacity: true,
  },
);

/** Edits the peers that a store has of the announcer's family, after every announce. */
function afterApply(edit: (store: MapStore, request: AnnounceRequest) => void) {
  return class extends MapStore {
    override apply(request: AnnounceRequest): void {
      super.apply(request);
      edit(this, request);
    }
  };
}

/** Changes an announce before it is applied. */
function beforeApply(edit: (request: AnnounceRequest, store: MapStore) => void) {
  return class extends MapStore {
    override apply(request: AnnounceRequest): void {
      edit(request, this);
      super.apply(request);
    }
  };
}

/** Changes a response after the store has filled it. */
function afterSelect(edit: (...args: [...Parameters<MapStore["announce"]>, MapStore]) => void) {
  return class extends MapStore {
    override announce(...args: Parameters<MapStore["announce"]>): void {
      super.announce(...args);
      edit(...args, this);
    }
  };
}

/** Replaces the records of a store. */
function withRecords(Broken: new (store: MapStore) => MapRecords) {
  return class extends MapStore {
    override readonly records = new Broken(this);
  };
}

/** A deliberately broken store for each group, by the name of the group. */
const broken: Record<string, new (options: MapStoreOptions) => MapStore> = {
  "removing from an unknown swarm is no error and creates nothing": beforeApply((request, store) => {
    store.torrent(toHex(request.infoHash)).snatches = 1;
  }),
  "scraping an unknown swarm shows zeros and creates nothing": class extends MapStore {
    override scrape(...args: Parameters<MapStore["scrape"]>): void {
      super.scrape(...args);
      this.torrent(toHex(args[0].infoHash(0))).snatches ||= 1;
    }
  },
  "a leecher is only a leecher": beforeApply((request) => {
    if (request.left > 0n) request.left = 0n;
  }),
  "a leecher is listed to seeders and to leechers": class extends MapStore {
    override candidates(...args: Parameters<MapStore["candidates"]>) {
      return super.candidates(...args).filter((peer) => peer.seeder);
    }
  },
  "a removed leecher is listed no more": beforeApply((request) => {
    if (request.event === AnnounceEvent.stopped && !request.isSeeder) request.event = AnnounceEvent.none;
  }),
  "a seeder is listed to leechers": class extends MapStore {
    override candidates(...args: Parameters<MapStore["candidates"]>) {
      return super.candidates(...args).filter((peer) => !peer.seeder);
    }
  },
  "a removed seeder is listed no more": beforeApply((request) => {
    if (request.event === AnnounceEvent.stopped && request.isSeeder) request.event = AnnounceEvent.none;
  }),
  "a leecher that completes is a seeder, and stays one": beforeApply((request) => {
    if (request.event === AnnounceEvent.completed) request.event = AnnounceEvent.none;
  }),
  "removing twice is no error and leaves nothing": class extends MapStore {
    override apply(request: AnnounceRequest): void {
      const peers = this.count();
      super.apply(request);
      if (request.event === AnnounceEvent.stopped && this.count() === peers) throw new Error("no such peer");
    }
  },
  "a store starts and stops, also twice": class extends MapStore {
    stopped = false;
    override stop(): void {
      if (this.stopped) throw new Error("stopped already");
      this.stopped = true;
    }
  },
  "announcing again changes nothing": class extends MapStore {
    again = 0;
    override apply(request: AnnounceRequest): void {
      const peers = this.count();
      super.apply(request);
      if (this.count() === peers) this.again++;
    }
    override statistics() {
      return { ...super.statistics(), seeders: super.statistics().seeders + this.again };
    }
  },
  "a peer is its address and port, not its peer id": afterApply((store, request) => {
    // Keeps a peer apart by the last byte of its id, as Chihaya's key does.
    const id = String.fromCharCode(request.peerId[8]!);
    const peers = store.torrents.get(toHex(request.infoHash))?.peers;
    const key = endpointKey(request);
    const peer = peers?.[kindOf(request)].get(key);
    if (peer && id !== "1") peers![kindOf(request)].set(`${key}-${id}`, peer);
  }),
  "a role changes without completed": class extends MapStore {
    override apply(request: AnnounceRequest): void {
      const peers = this.torrents.get(toHex(request.infoHash))?.peers;
      const key = endpointKey(request);
      const before = peers?.[kindOf(request)].get(key)?.seeder;
      super.apply(request);
      const after = peers?.[kindOf(request)].get(key);
      if (before === true && after && request.event === AnnounceEvent.none) after.seeder = true;
    }
  },
  "a stranger that completes is a seeder": class extends MapStore {
    override apply(request: AnnounceRequest): void {
      const peers = this.torrents.get(toHex(request.infoHash))?.peers;
      const known = peers?.[kindOf(request)].has(endpointKey(request));
      if (request.event !== AnnounceEvent.completed || known) super.apply(request);
    }
  },
  "families of a torrent share the counts, not the lists": class extends MapStore {
    override select(...[request, response]: Parameters<MapStore["select"]>): void {
      super.select(request, response);
      const torrent = this.torrents.get(toHex(request.infoHash));
      if (torrent) response.incomplete -= sizeOf(torrent) - torrent.peers[kindOf(request)].size;
    }
  },
  "torrents that differ in one bit are different": class extends MapStore {
    override announce(...args: Parameters<MapStore["announce"]>): void {
      args[0].infoHash[13] = args[0].infoHash[13]! & 0xdf;
      super.announce(...args);
    }
  },
  "a big swarm keeps every peer through growth, role changes and removals": beforeApply((request, store) => {
    if (store.count() === 512) request.event = AnnounceEvent.stopped; // a growth that goes wrong
  }),
  "announces at the same time are applied one after the other": class extends MapStore {
    override async announce(...[request, response]: Parameters<MapStore["announce"]>): Promise<void> {
      super.announce(request, response, Step.select);
      await Promise.resolve();
      super.announce(request, response, Step.apply);
      response.incomplete++;
    }
  },
  "numwant and the room of the list cap it": beforeApply((request) => {
    request.numWant = 50;
  }),
  "the announcer is never in its own list": class extends MapStore {
    override candidates(...[torrent, family, request]: Parameters<MapStore["candidates"]>) {
      return super.candidates(torrent, family, request, "");
    }
  },
  "the only peer of a swarm gets itself": afterSelect((_, response, __, store) => {
    if (store.count() === 1) response.peers4.count = response.peers6.count = 0;
  }),
  "seeders get leechers only": class extends MapStore {
    override candidates(...[torrent, family, request, self]: Parameters<MapStore["candidates"]>) {
      const leechers = super.candidates(torrent, family, request, self);
      if (!request.isSeeder) return leechers;
      const rest = [...torrent.peers[family]].filter(([key, peer]) => peer.seeder && key !== self);
      return [...leechers, ...rest.map(([, peer]) => peer)];
    }
  },
  "leechers get seeders first, then leechers": class extends MapStore {
    override candidates(...args: Parameters<MapStore["candidates"]>) {
      return this.rotate(super.candidates(...args));
    }
  },
  "peers are taken from a random start": class extends MapStore {
    override rotate(peers: Parameters<MapStore["rotate"]>[0]) {
      return peers;
    }
  },
  "stopped and numwant 0 get no peers": class extends MapStore {
    override select(...[request, response]: Parameters<MapStore["select"]>): void {
      if (request.event === AnnounceEvent.stopped) request.event = AnnounceEvent.none;
      super.select(request, response);
    }
  },
  "the other family fills what is left": class extends MapStore {
    override fill(...[list, peers, numWant]: Parameters<MapStore["fill"]>): void {
      super.fill(list, peers, list.limit > 0 ? Math.max(numWant, 4) : numWant);
    }
  },
  "without the apply step nothing changes": class extends MapStore {
    override announce(...[request, response]: Parameters<MapStore["announce"]>): void {
      super.announce(request, response, Step.both);
    }
  },
  "without the select step the response does not change": class extends MapStore {
    override announce(...[request, response, step]: Parameters<MapStore["announce"]>): void {
      super.announce(request, response, step === Step.apply ? Step.both : step);
    }
  },
  "peer ids stand beside their peers": class extends MapStore {
    override apply(request: AnnounceRequest): void {
      const peers = this.torrents.get(toHex(request.infoHash))?.peers;
      const before = peers?.[kindOf(request)].get(endpointKey(request))?.id;
      if (before) request.peerId.set(before); // a restarted client keeps its old one
      super.apply(request);
    }
  },
  "a peer's completed counts once": afterApply((store, request) => {
    const torrent = store.torrents.get(toHex(request.infoHash));
    for (const peers of torrent ? Object.values(torrent.peers) : []) {
      for (const peer of peers.values()) peer.snatched = false;
    }
  }),
  "paused marks a partial seed": beforeApply((request) => {
    if (request.event === AnnounceEvent.paused) request.event = AnnounceEvent.none;
  }),
  "peers that no longer announce expire": class extends MapStore {
    override expire(): number {
      return 0;
    }
  },
  "a peer expires when its lifetime is over, and not a second earlier": class extends MapStore {
    constructor(given: MapStoreOptions) {
      super({ ...given, peerLifetime: given.peerLifetime - 1 });
    }
  },
  "a full store responds, and counts the peers that it refuses": class extends MapStore {
    constructor({ capacity = 0, ...given }: MapStoreOptions) {
      super({ ...given, capacity: capacity + 1 });
    }
  },
  "a torrent that is removed leaves nothing": class extends MapStore {
    override remove(infoHash: Uint8Array): void {
      const torrent = this.torrents.get(toHex(infoHash));
      torrent?.peers[4].clear();
      torrent?.peers[6].clear();
    }
  },
  "a big torrent is removed while others announce": class extends MapStore {
    override async remove(): Promise<void> {
      await setImmediate();
      this.torrents.clear();
    }
  },
  "statistics count what is stored": class extends MapStore {
    override statistics() {
      const statistics = super.statistics();
      return { ...statistics, swarms: Math.min(statistics.swarms, this.torrents.size) };
    }
  },
  "swarms are listed with their counts": class extends MapStore {
    override swarms() {
      return super.summaries().filter(({ family }) => family === 4);
    }
  },
  "web peers and peers with an address share the counts, not the lists": class extends MapStore {
    override candidates(...[torrent, kind, request, self]: Parameters<MapStore["candidates"]>) {
      const reachable = super.candidates(torrent, kind, request, self);
      return kind === 4 ? [...reachable, ...torrent.peers.web.values()] : reachable;
    }
  },
  "the kinds of a torrent come and go in any order": class extends MapStore {
    override removePeer(...[infoHash, kind, key]: Parameters<MapStore["removePeer"]>): void {
      const torrent = this.torrents.get(infoHash)!;
      if (kind === "web" && torrent.peers[6].size > 0) torrent.snatches--;
      super.removePeer(infoHash, kind, key);
    }
  },
  "a web seeder gets leechers first, then seeders": class extends MapStore {
    override candidates(...[torrent, kind, request, self]: Parameters<MapStore["candidates"]>) {
      return super.candidates(torrent, kind, request, self).filter((peer) => !peer.seeder);
    }
  },
  "a web peer never gets itself": afterSelect((_, response, __, store) => {
    response.webPeers.count = Math.min(store.count(), response.webPeers.limit);
  }),
  "a web peer is its handle and generation": beforeApply((request) => {
    request.generation = 1;
  }),
  "the peers of a worker's sockets are swept": class extends MapStore {
    override sweep(worker: number): number {
      return super.sweep(worker & 1);
    }
  },
  "records count web peers, and do not list them": withRecords(
    class extends MapRecords {
      override torrentRecord(...[name, { peers, snatches }]: Parameters<MapRecords["torrentRecord"]>) {
        return super.torrentRecord(name, { peers: { ...peers, web: new Map() }, snatches });
      }
    },
  ),
  "a scrape keeps its order and leaves hidden rows alone": class extends MapStore {
    override scrape(...[request, response]: Parameters<MapStore["scrape"]>): void {
      const shown = new ScrapeRequest(request.count);
      shown.address.copyFrom(request.address);
      for (let i = 0; i < request.count; i++) shown.add(request.infoHash(i), 0);
      super.scrape(shown, response);
    }
  },
  "records list torrents with the counts of both families": withRecords(
    class extends MapRecords {
      override torrentRecord(...[name, { peers, snatches }]: Parameters<MapRecords["torrentRecord"]>) {
        return super.torrentRecord(name, { peers: { ...peers, 6: new Map() }, snatches });
      }
    },
  ),
  "torrents are found by their infohashes": withRecords(
    class extends MapRecords {
      override find() {
        return this.torrents().torrents;
      }
    },
  ),
  "records list peers with what the store knows of them": withRecords(
    class extends MapRecords {
      override peerRecord(...[name, family, key, peer]: Parameters<MapRecords["peerRecord"]>) {
        return super.peerRecord(name, family, key, { ...peer, partial: false });
      }
    },
  ),
  "records have the peer ids": withRecords(
    class extends MapRecords {
      override replayPeer(peer: PeerRecord) {
        return super.replayPeer({ ...peer, peerId: peer.peerId ?? new Uint8Array(20) });
      }
    },
  ),
  "a walk meets all that stays while others come and go": withRecords(
    class extends MapRecords {
      override page(...[records, cursor = "0"]: Parameters<MapRecords["page"]>): RecordPage {
        // Goes on by a number, so that what has gone before it makes others be passed over.
        const page = super.page(records.slice(Number(cursor)));
        return page.next === undefined ? page : { ...page, next: `${Number(cursor) + 1000}` };
      }
    },
  ),
  "an unknown cursor is refused": withRecords(
    class extends MapRecords {
      override page(...[records, cursor = ""]: Parameters<MapRecords["page"]>): RecordPage {
        return super.page(records, cursor.startsWith("map") ? cursor : undefined);
      }
    },
  ),
  "what is exported can be replayed": withRecords(
    class extends MapRecords {
      override replay({ peers = [] }: RecordBatch): ReplayResult {
        return super.replay({ peers });
      }
    },
  ),
  "a newer announce stays when an older one is replayed": withRecords(
    class extends MapRecords {
      override replayPeer(peer: PeerRecord) {
        return super.replayPeer({ ...peer, age: 0 });
      }
    },
  ),
  "replayed peers expire in their time": withRecords(
    class extends MapRecords {
      override replayPeer(peer: PeerRecord) {
        return super.replayPeer({ ...peer, age: peer.age % this.store.options.peerLifetime });
      }
    },
  ),
  "a full store refuses replayed peers": withRecords(
    class extends MapRecords {
      override replayPeer(peer: PeerRecord) {
        const result = super.replayPeer(peer);
        return result === "refused" ? "taken" : result;
      }
    },
  ),
  "records that cannot be peers or torrents are refused": withRecords(
    class extends MapRecords {
      override replay(batch: RecordBatch): ReplayResult {
        try {
          return super.replay(batch);
        } catch {
          return { taken: 0, expired: 0, refused: 1 };
        }
      }
    },
  ),
};

describe("the suite can fail", () => {
  test("there is a broken store for every group, and for nothing else", () => {
    assert.deepEqual(Object.keys(broken).sort(), conformanceGroups.map((group) => group.name).sort());
  });

  for (const group of conformanceGroups) {
    for (const kind of kindsOf(group)) {
      test(`${group.name}: a broken store fails it on ${kind}`, async () => {
        const Broken = broken[group.name]!;
        await assert.rejects(
          runConformanceGroup(group, kind, (environment) => new Broken(options(environment))),
          (error) => !(error instanceof TypeError || error instanceof RangeError),
        );
      });
    }
  }

  /** Breaches that belong to no group: whichever group runs notices them. */
  const everywhere: Record<string, new (options: MapStoreOptions) => MapStore> = {
    "it keeps the bytes of the request": afterApply((store, request) => {
      const peers = store.torrents.get(toHex(request.infoHash))!.peers[kindOf(request)];
      peers.get(endpointKey(request))!.address = request.address.bytes.subarray(
        0,
        request.address.family === 4 ? 4 : 16,
      );
    }),
    "it writes beyond the place of a list": afterSelect((_, response) => {
      for (const list of [response.peers4, response.peers6]) list.bytes[list.at - 1] = 0;
    }),
    "it counts more peers than there is room for": afterSelect((_, response) => {
      for (const list of [response.peers4, response.peers6]) list.count = list.limit + 1;
    }),
  };
  for (const [breach, Broken] of Object.entries(everywhere)) {
    test(breach, async () => {
      const group = conformanceGroups.find(
        ({ name }) => name === "a leecher is listed to seeders and to leechers",
      )!;
      await assert.rejects(runConformanceGroup(group, 4, (environment) => new Broken(options(environment))));
    });
  }

  test("groups about records are not for a store without them", async () => {
    class Plain extends MapStore {
      override readonly records = undefined as never;
    }
    for (const group of conformanceGroups.filter(({ ofRecords }) => ofRecords)) {
      const reason = await runConformanceGroup(group, 4, (environment) => new Plain(options(environment)));
      assert.equal(reason, "the store has no records", group.name);
    }
  });

  test("a skipped group must exist", () => {
    assert.throws(
      () => storeConformance("typo", () => assert.fail(), { skip: { "no such group": "reason" } }),
      RangeError,
    );
  });
});
