import { boolean, choice, duration, integer, list, options, text } from "../../options/index.ts";
import { defineStore, lifetimeKeys, reportingInterval, type StoreDefinition } from "../define-store.ts";
import { authorities } from "./authorities.ts";
import { type Broker, checkBroker, type RedisStoreConfig, readBroker } from "./config.ts";

/** What the servers of one store have in common. */
function commonPart({ isTls, username, password, database }: Broker): string {
  return JSON.stringify([isTls, username, password, database]);
}

/** Keeps the swarms in Redis or Valkey. */
export const redis: StoreDefinition<RedisStoreConfig> = defineStore({
  name: "redis",
  description: "in Redis or Valkey, for several trackers",
  options: options(
    {
      redis_broker: list({
        check: checkBroker,
        restart: true,
        secret: true,
        mask: (url) => url.replace(/\/\/.*@/s, "//********@"),
      })
        .default(["redis://127.0.0.1:6379/0"])
        .describe(
          "The Redis server, as `redis://user:password@host:port/db`; `rediss://` is TLS. Several are the sentinels, or some " +
            "nodes of a cluster. The password may hold any character; `%` with two hexadecimal digits is decoded.",
        )
        .as("broker"),
      redis_topology: choice(["single", "sentinel", "cluster"], { restart: true })
        .default("single")
        .describe("What `redis_broker` names: one server, sentinels, or nodes of a cluster.")
        .as("topology"),
      redis_sentinel_master: text({ restart: true })
        .default("mymaster")
        .describe("The name that the sentinels have for the primary.")
        .as("sentinelMaster"),
      redis_ca_path: authorities({ restart: true })
        .default("")
        .describe('File with the authorities to trust with `rediss://`, in PEM; "" for the usual ones.')
        .as("ca"),
      redis_connect_timeout: duration(0.001, { restart: true })
        .default("5s")
        .describe("Time for a connection to the engine.")
        .as("connectTimeout"),
      redis_read_timeout: duration(0.001)
        .default("2s")
        .describe("Time for the engine's answer. After it the engine counts as gone.")
        .as("readTimeout"),
      redis_write_timeout: duration(0)
        .default("2s")
        .describe("An announce is one exchange, for which `redis_read_timeout` holds.")
        .obsolete(),
      max_clock_skew: duration(1, { whole: true })
        .default("5s")
        .describe(
          "How far the clock of this machine may be from that of Redis. Beyond it the tracker is not ready, and announces are " +
            "as `on_failure` says, since it would remove the peers of the others, or they its own.",
        ),
      key_prefix: text({ restart: true })
        .default("chihaya:")
        .describe("What all keys in the engine begin with."),
      ...lifetimeKeys,
      peer_ids: boolean({ restart: true })
        .default(false)
        .describe(
          "Whether peer ids are stored, for clients that ask for lists with them. All trackers over one engine must agree.",
        ),
      on_failure: choice(["refuse", "serve"], { restart: true })
        .default("refuse")
        .describe(
          "While the engine is gone: `refuse` announces, or `serve` from local memory and tell the engine when it is back.",
        ),
      max_local_peers: integer(1, 10_000_000, { restart: true })
        .default(250_000)
        .describe("Most peers that each worker keeps for that time, with `serve`."),
      sample_cache: duration(0, { whole: true, restart: true })
        .default("0s")
        .describe(
          "For how long each worker lists peers of a big swarm from one answer of the engine; `0s` asks for every announce.",
        ),
      prometheus_reporting_interval: reportingInterval,
    },
    {
      check({ broker, topology, ca }, refuse, warn) {
        const [first, ...others] = broker.map(readBroker);
        if (first === undefined) {
          refuse("broker", "must name the engine, as redis://127.0.0.1:6379/0");
          return;
        }
        if (others.length > 0 && topology === "single")
          refuse("broker", 'several servers need redis_topology "sentinel" or "cluster"');
        if (others.some((other) => commonPart(other) !== commonPart(first)))
          refuse("broker", "all servers must have one user, password, database and way of TLS");
        if (topology === "cluster" && first.database !== 0) refuse("broker", "a cluster has only database 0");
        if (ca !== undefined && !first.isTls) warn("ca", "has no effect without rediss:// in redis_broker");
      },
    },
  ),
  packages: () => ["@redis/client"],
  create: async (options, deps) => (await import("./create-redis-store.ts")).createRedisStore(options, deps),
});
