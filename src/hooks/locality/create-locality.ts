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
 * One level: whose addresses share their first bits (`ipv4` and `ipv6`; a family that is missing is all one
 * neighbourhood), or are in networks of the same name, autonomous system or country. Only one kind of these.
 */
export interface LevelOptions {
  /** Names it in metrics; its number unless given. */
  name?: string | undefined;
  /** Bits that neighbours share. */
  ipv4?: number | undefined;
  ipv6?: number | undefined;
  /** Networks of each neighbourhood, in CIDR notation. */
  networks?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Path of an MMDB file. */
  asn?: string | undefined;
  country?: string | undefined;
}

/** What `locality` is told. */
export interface LocalityOptions {
  /** From near to far, at least one. */
  levels: readonly LevelOptions[];
  /** Share of each list that is kept for peers from beyond a level, and of that again at the next: 0 to below 1. */
  remoteQuota: number;
  order: LocalityOrder;
  /** Peers that fit into the neighbourhoods of all levels together. */
  maxPeers: number;
}

/**
 * Creates the prehook `locality`: neighbours first in the answers of the store.
 * @param lifetime  that of peers in the tracker's own store
 * @throws RangeError for networks that are none
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
      metrics.counter("chihaya_locality_peers_total", "Peers that were listed, by the level that gave them", {
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

/** @returns how to stop watching */
function watchStore(store: PeerStore, metrics: Metrics): () => void {
  const read = () => store.statistics() as StoreStatistics; // a further store answers at once
  const help = "Peers in the neighbourhoods of all levels together";
  const peers = metrics.gauge("chihaya_locality_stored_peers", help, () => read().seeders + read().leechers);
  const refusedHelp = "Times that a peer did not fit into its neighbourhood";
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
