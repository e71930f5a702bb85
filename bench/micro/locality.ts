import { createRandom } from "../../src/bittorrent/clock.ts";
import type { AnnounceStep } from "../../src/middleware/hook.ts";
import { type Level, NetworksLevel, PrefixLevel } from "../../src/middleware/locality/level.ts";
import { Locality } from "../../src/middleware/locality/locality.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";
import { Step } from "../../src/storage/peer-store.ts";
import { Announcer } from "../support/announcer.ts";
import type { Micro, MicroCase } from "./micro.ts";

/** Addresses of rack `r` are 10.x.y.0/24: 16 racks in a room of /20, 256 in a region of /16. */
const levels: Record<string, () => Level[]> = {
  "1 level by prefix": () => [new PrefixLevel("rack", 24, 64)],
  "1 level of 1,000 named networks": () => [NetworksLevel.parse("rack", namedRacks())],
  "2 levels": () => [new PrefixLevel("rack", 24, 64), new PrefixLevel("room", 20, 56)],
  "3 levels": () => [
    new PrefixLevel("rack", 24, 64),
    new PrefixLevel("room", 20, 56),
    new PrefixLevel("region", 16, 48),
  ],
};

function namedRacks(): Record<string, string[]> {
  return Object.fromEntries(
    Array.from({ length: 1000 }, (_, rack) => [`rack ${rack}`, [`10.${rack >> 8}.${rack & 0xff}.0/24`]]),
  );
}

/**
 * The store's step of an announce for 50 peers, by a random peer of one swarm, with and without `locality`. One peer in
 * three is a seeder.
 */
export const locality: Micro = {
  title: "Announces of one swarm, with and without `locality`",
  cases: () =>
    Object.assign(
      {},
      ...(
        [
          [100, 10],
          [10_000, 200],
          [100_000, 1000],
        ] as const
      ).map(([peers, racks]) => casesOf(peers, racks)),
    ),
};

function casesOf(peers: number, racks: number): Record<string, MicroCase> {
  const label = `${peers.toLocaleString("en-US")} peers in ${racks.toLocaleString("en-US")} racks`;
  const made: Record<string, MicroCase> = { [`${label}: without`]: announceCase(peers, racks, undefined) };
  for (const [name, create] of Object.entries(levels)) {
    made[`${label}: ${name}`] = announceCase(peers, racks, create());
  }
  return made;
}

function announceCase(peers: number, racks: number, around: Level[] | undefined): MicroCase {
  const random = createRandom(1);
  const clock = { seconds: 1000, unixSeconds: 0 };
  const createStore = (maxPeers: number) =>
    new MemoryStore({
      config: { gcInterval: 180, peerLifetime: 1860, maxPeers, peerIds: false },
      clock,
      random,
    });
  const store = createStore(peers * 2);
  let step: AnnounceStep = store.announce.bind(store);
  if (around !== undefined) {
    const given = [...around, undefined].map(() => ({ inc: () => undefined }));
    const parts = { store: createStore(peers * 4), secret: Int32Array.of(1, 2), remoteQuota: 0.2, given };
    step = new Locality({ ...parts, levels: around, order: "near-first" }).around(step);
  }
  const announcer = new Announcer(50);
  const { request, response } = announcer;
  announcer.torrent(1);
  const choose = (peer: number) => {
    announcer.peer(peer);
    const rack = peer % racks;
    const host = Math.floor(peer / racks);
    const { bytes } = request.address;
    bytes[0] = 10;
    bytes[1] = rack >> 8;
    bytes[2] = rack & 0xff;
    bytes[3] = host & 0xff;
  };
  for (let peer = 0; peer < peers; peer++) {
    choose(peer);
    step(request, response, Step.apply);
  }
  return () => {
    choose(random.next() % peers);
    return step(request, response, Step.both);
  };
}
