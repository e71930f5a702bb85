import { shareKeys } from "../../lib/keyed-hash.ts";
import type { HookDeps } from "../../middleware/define-hook.ts";
import type { Hook } from "../../middleware/hook.ts";
import type { SecondaryStoreOptions } from "../../middleware/shared-state.ts";
import type { Metrics } from "../../observability/metrics.ts";
import type { PeerStore, StoreStatistics } from "../../storage/peer-store.ts";
import { DatabaseLevel } from "./database-level.ts";
import { type Level, NetworksLevel, PrefixLevel } from "./level.ts";
import { Locality, type LocalityOrder } from "./locality.ts";
import { secretWords } from "./neighbourhood-swarms.ts";

/**
 * One level. Neighbours share the first bits of their addresses (`ipv4` and `ipv6`; a missing family is one
 * neighbourhood), or are in networks of the same name, autonomous system or country. A level has exactly one of these
 * kinds.
 */
export interface LevelOptions {
  /** The name of the level in metrics; by default its number. */
  name?: string | undefined;
  /** Number of leading bits that neighbours share. */
  ipv4?: number | undefined;
  ipv6?: number | undefined;
  /** Networks of each neighbourhood, in CIDR notation. */
  networks?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Path of an MMDB file. */
  asn?: string | undefined;
  country?: string | undefined;
}

/** The options of `locality`. */
export interface LocalityOptions {
  /** From near to far, at least one. */
  levels: readonly LevelOptions[];
  /**
   * Share of each list that is reserved for peers from beyond a level, and of the rest at the next level: 0 to below 1.
   */
  remoteQuota: number;
  order: LocalityOrder;
  /** Maximum number of peers in the neighbourhoods of all levels together. */
  maxPeers: number;
}

/**
 * Creates the prehook `locality`: puts neighbours first in the store's responses.
 * @param lifetime  the peer lifetime of the tracker's own store
 * @throws RangeError for a text that is not a network
 */
export async function createLocality(
  { levels, remoteQuota, order, maxPeers }: LocalityOptions,
  lifetime: Pick<SecondaryStoreOptions, "peerLifetime" | "gcInterval">,
  { metrics, shared, logger }: Pick<HookDeps, "metrics" | "shared" | "logger">,
): Promise<Hook> {
  const store = await shared.store("neighbourhoods", { ...lifetime, maxPeers });
  const made = levels.map((options, number) => createLevel(options, number, { shared, logger }));
  const databases = made.filter((level) => level instanceof DatabaseLevel);
  const locality = new Locality({
    levels: made,
    store,
    secret: shareKeys(new Int32Array(await shared.buffer("secret", 4 * secretWords))),
    remoteQuota,
    order,
    given: [...made.map(({ name }) => name), "beyond"].map((level) =>
      metrics.counter("chihaya_locality_peers_total", "Listed peers, by the level that they come from", {
        level,
      }),
    ),
  });
  let unwatch: (() => void) | undefined;
  return {
    name: "locality",
    aroundAnnounce: (next) => locality.around(next),
    start: async () => {
      try {
        for (const database of databases) await database.start();
      } catch (error) {
        for (const database of databases) database.stop();
        throw error;
      }
      await store.start();
      if (shared.isFirst) unwatch = watchStore(store, metrics);
    },
    stop: () => {
      unwatch?.();
      for (const database of databases) database.stop();
      return store.stop();
    },
  };
}

function createLevel(
  options: LevelOptions,
  number: number,
  deps: Pick<HookDeps, "shared" | "logger">,
): Level {
  const { name = `${number + 1}`, ipv4 = 0, ipv6 = 0, networks, asn, country } = options;
  if (networks !== undefined) return NetworksLevel.parse(name, networks);
  if (asn !== undefined) return new DatabaseLevel(name, number, { by: "asn", file: asn }, deps);
  if (country !== undefined) return new DatabaseLevel(name, number, { by: "country", file: country }, deps);
  return new PrefixLevel(name, ipv4, ipv6);
}

/** Registers metrics of the store. @returns a function that ends them */
function watchStore(store: PeerStore, metrics: Metrics): () => void {
  const read = () => store.statistics() as StoreStatistics; // a secondary store responds at once
  const help = "Peers in the neighbourhoods of all levels together";
  const peers = metrics.gauge("chihaya_locality_stored_peers", help, () => read().seeders + read().leechers);
  const refusedHelp = "Peers that did not fit into their neighbourhood";
  const refused = metrics.counterFrom(
    "chihaya_locality_refused_peers_total",
    refusedHelp,
    () => read().refused,
  );
  return () => {
    peers();
    refused();
  };
}
