import { type Level, NetworksLevel, PrefixLevel } from "../../src/hooks/locality/level.ts";
import { Locality } from "../../src/hooks/locality/locality.ts";
import { secretWords } from "../../src/hooks/locality/neighbourhood-swarms.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { drawKeys } from "../../src/lib/keyed-hash.ts";
import type { AnnounceStep } from "../../src/middleware/hook.ts";
import { TrackerLogic } from "../../src/middleware/logic.ts";
import { createConnectRequest } from "../../src/protocol/udp/client.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";
import { Step } from "../../src/storage/peer-store.ts";
import { UdpInProcess } from "../../test/support/udp-in-process.ts";
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
    Array.from({ length: racks }, (_, rack) => [`rack ${rack}`, [`10.${rack >> 8}.${rack & 0xff}.0/24`]]),
  );
}

const racks = 1000;
/** Sizes of the swarm: every peer is alone in its rack, or is one of 10, or of 100. */
const sizes = [100, 10_000, 100_000];
const numWant = 50;
const slots = 32;

/**
 * Announces for 50 peers by random peers of one swarm, with and without `locality`: whole announces over UDP without the
 * socket, and the step of the store alone. One peer in three is a seeder.
 */
export const locality: Micro = {
  title: "Announces of one swarm in 1,000 racks, with and without `locality`",
  cases: async () => {
    const cases: Record<string, MicroCase> = {};
    for (const [name, create] of Object.entries({ whole: wholeCase, step: stepCase })) {
      for (const peers of sizes) {
        const label = `${name}, ${peers.toLocaleString("en-US")} peers`;
        cases[`${label}: without`] = await create(peers, undefined);
        for (const [around, levelsOf] of Object.entries(levels)) {
          cases[`${label}: ${around}`] = await create(peers, levelsOf());
        }
      }
    }
    return cases;
  },
};

function createTracker(peers: number, around: Level[] | undefined) {
  const random = createRandom(1);
  const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
  const createStore = (maxPeers: number) =>
    new MemoryStore({
      config: { gcInterval: 180, peerLifetime: 1860, maxPeers, peerIds: false },
      clock,
      random,
    });
  const store = createStore(peers * 2);
  if (around === undefined) return { random, clock, store, aroundAnnounce: (step: AnnounceStep) => step };
  const given = [...around, undefined].map(() => ({ inc: () => undefined }));
  const parts = { store: createStore(peers * 4), secret: drawKeys(secretWords), remoteQuota: 0.2, given };
  const hook = new Locality({ ...parts, levels: around, order: "near-first" });
  return { random, clock, store, aroundAnnounce: (step: AnnounceStep) => hook.around(step) };
}

/** Returns the address of a peer: hosts of the racks, one after the other. */
function writeAddress(bytes: Uint8Array, peer: number): void {
  const rack = peer % racks;
  bytes[0] = 10;
  bytes[1] = rack >> 8;
  bytes[2] = rack & 0xff;
  bytes[3] = 1 + Math.floor(peer / racks);
}

async function wholeCase(peers: number, around: Level[] | undefined): Promise<MicroCase> {
  const { random, clock, store, aroundAnnounce } = createTracker(peers, around);
  const preHooks = around === undefined ? [] : [{ name: "locality", aroundAnnounce }];
  const report = (where: string, error: unknown) => {
    throw new Error(`${where} failed`, { cause: error });
  };
  const logic = new TrackerLogic(
    store,
    { interval: 1800, minInterval: 900, preHooks, postHooks: [] },
    report,
  );
  const udp = await UdpInProcess.start(slots, logic, clock);
  const { batch } = udp;
  const { view } = batch;
  const connectionIds = new BigUint64Array(peers);
  for (let peer = 0; peer < peers; peer++) {
    writeAddress(batch.address[0]!.bytes, peer);
    udp.put(0, createConnectRequest(1));
    udp.handle(1);
    connectionIds[peer] = view.getBigUint64(batch.outAt(0) + 8);
  }
  udp.connectAndAnnounce();
  const choose = (slot: number, peer: number) => {
    const at = batch.inAt(slot);
    writeAddress(batch.address[slot]!.bytes, peer);
    view.setBigUint64(at, connectionIds[peer]!);
    view.setUint32(at + 68, peer % 3); // the lower half of `left`
    view.setUint32(at + 92, numWant);
    view.setUint16(at + 96, 1024 + (peer % 60_000));
  };
  for (let peer = 0; peer < peers; peer++) {
    choose(0, peer);
    udp.handle(1);
  }
  const call = () => {
    for (let slot = 0; slot < slots; slot++) choose(slot, random.next() % peers);
    udp.handle(slots);
  };
  return { call, operations: slots };
}

async function stepCase(peers: number, around: Level[] | undefined): Promise<MicroCase> {
  const { random, store, aroundAnnounce } = createTracker(peers, around);
  const step = aroundAnnounce(store.announce.bind(store));
  const announcer = new Announcer(numWant);
  const { request, response } = announcer;
  announcer.torrent(1);
  const choose = (peer: number) => {
    announcer.peer(peer);
    writeAddress(request.address.bytes, peer);
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
