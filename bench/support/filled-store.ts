import { defineStore, type StoreDefinition } from "../../src/index.ts";
import { Address } from "../../src/ip/address.ts";
import type { Clock, Random } from "../../src/lib/clock.ts";
import { Population, type PopulationShape } from "../../src/load/population.ts";
import { integer, options } from "../../src/options/index.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";

interface FilledStoreOptions {
  torrents: number;
  peers: number;
  maxPeers: number;
}

/** Creates a memory store with the torrents of a load and as many peers as wanted, whose addresses no load uses. */
export function fillStore(
  shape: PopulationShape,
  maxPeers: number,
  clock: Clock,
  random: Random,
): MemoryStore {
  const config = { gcInterval: 180, peerLifetime: 7200, maxPeers, peerIds: false };
  const store = new MemoryStore({ clock, random, config });
  const population = new Population(shape);
  const infoHash = new Uint8Array(20);
  const view = new DataView(infoHash.buffer);
  const address = Address.parse("192.0.2.1");
  const flags = { seeder: false, partial: false, snatched: false, age: 0 };
  const peer = { infoHash, address, port: 6881, peerId: undefined, ...flags };
  for (let n = 0; n < shape.peers; n++) {
    population.writeInfoHash(population.torrentOf(n), view, 0);
    peer.seeder = population.isSeeder(n);
    address.words[0] = n;
    address.bytes[3] = 10;
    store.records.replay({ peers: [peer] });
  }
  return store;
}

const filled: StoreDefinition<FilledStoreOptions> = defineStore<FilledStoreOptions>({
  name: "filled",
  options: options({
    torrents: integer(1, 2 ** 31),
    peers: integer(0, 2 ** 31),
    max_peers: integer(1, 2 ** 31),
  }),
  create: ({ torrents, peers, maxPeers }, { clock, random }) =>
    fillStore({ torrents, peers }, maxPeers, clock, random),
});

// biome-ignore lint/style/noDefaultExport: the config loads the default export of a module
export default filled;
