import { boolean, choice, duration, integer, list, options, removed, text } from "../../options/index.ts";
import { defineStore, lifetimeKeys, reportingInterval, type StoreDefinition } from "../define-store.ts";
import { authorities } from "./authorities.ts";
import { type Broker, checkBroker, type RedisStoreConfig, readBroker, withoutSecrets } from "./config.ts";

/** Returns the parts that all servers of one store must share. */
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
          "The Redis server, as `redis://user:password@host:port/db`; `rediss://` is TLS. Several URLs name the sentinels, or some " +
            "nodes of a cluster. The password may hold any character; `%` with two hexadecimal digits is decoded.",
        )
        .as("broker"),
      redis_topology: choice(["single", "sentinel", "cluster"], { restart: true })
        .default("single")
        .describe("The kind of servers in `redis_broker`: one server, sentinels, or nodes of a cluster.")
        .as("topology"),
      redis_sentinel_master: text({ restart: true })
        .default("mymaster")
        .describe("The sentinels' name for the primary.")
        .as("sentinelMaster"),
      redis_ca_path: authorities({ restart: true })
        .default("")
        .describe('File with the authorities to trust with `rediss://`, in PEM; "" for the default ones.')
        .as("ca"),
      redis_connect_timeout: duration(0.001, { restart: true })
        .default("5s")
        .describe("Time limit of a connection attempt to Redis.")
        .as("connectTimeout"),
      redis_read_timeout: duration(0.001)
        .default("2s")
        .describe("How long to wait for a response from Redis. After that Redis counts as unavailable.")
        .as("readTimeout"),
      redis_write_timeout: duration(0)
        .default("2s")
        .describe("An announce is one exchange, limited by `redis_read_timeout`.")
        .obsolete(),
      max_clock_skew: duration(1, { whole: true })
        .default("5s")
        .describe(
          "How far the clock of this machine may be from that of Redis. With a larger difference the tracker is not ready, and `on_failure` " +
            "decides about announces, because trackers with different clocks remove each other's peers.",
        ),
      key_prefix: text({ restart: true }).default("chihaya:").describe("The prefix of all keys in Redis."),
      ...lifetimeKeys,
      peer_ids: boolean({ restart: true })
        .default(false)
        .describe(
          "Whether to store peer ids, for clients that ask for lists with peer ids. All trackers over one Redis must agree.",
        ),
      on_failure: choice(["refuse", "serve"], { restart: true })
        .default("refuse")
        .describe(
          "While Redis is unavailable: `refuse` announces, or `serve` from local memory and deliver them to Redis later.",
        ),
      max_local_peers: integer(1, 10_000_000, { restart: true })
        .default(250_000)
        .describe("Maximum number of peers that each worker keeps meanwhile, with `serve`."),
      sample_cache: removed("Redis selects the peers of every announce"),
      prometheus_reporting_interval: reportingInterval,
    },
    {
      check({ broker, topology, ca }, refuse, warn) {
        const [first, ...others] = broker.map(readBroker);
        if (first === undefined) {
          refuse("broker", "must name a Redis server, such as redis://127.0.0.1:6379/0");
          return;
        }
        if (others.length > 0 && topology === "single")
          refuse("broker", 'several servers need redis_topology "sentinel" or "cluster"');
        if (others.some((other) => commonPart(other) !== commonPart(first)))
          refuse("broker", "all servers must have the same user, password, database and TLS setting");
        if (topology === "cluster" && first.database !== 0) refuse("broker", "a cluster has only database 0");
        if (ca !== undefined && !first.isTls) warn("ca", "has no effect without rediss:// in redis_broker");
      },
    },
  ),
  packages: () => ["@redis/client"],
  probes: (options, { clock }) => [
    {
      name: options.broker.map(withoutSecrets).join(", "),
      run: async () => (await import("./try-redis.ts")).tryRedis(options, clock),
    },
  ],
  create: async (options, deps) => (await import("./create-redis-store.ts")).createRedisStore(options, deps),
});
