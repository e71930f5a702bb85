import { z } from "zod";
import { mostPeers } from "../storage/memory/layout.ts";
import { parseBroker, type RedisStoreConfig } from "../storage/redis/config.ts";
import type { StorageConfig } from "./config.ts";
import { quote } from "./diagnostics.ts";
import { boolean, choice, duration, facts, integer, list, text } from "./values.ts";

/** Options that every store has. */
const common = {
  gc_interval: duration(1).prefault("3m").describe("Time between two searches for peers to forget."),
  peer_lifetime: duration(1, { whole: true })
    .prefault("31m")
    .describe("Time without an announce after which a peer is forgotten. Keep it above `announce_interval`."),
};

const reportingInterval = duration(0, { obsolete: true })
  .prefault("1s")
  .describe("Metrics are counted when they are asked for.");

const memory = z
  .strictObject({
    ...common,
    max_peers: integer(1, mostPeers, { restart: true })
      .prefault("16000000")
      .describe("Most peers that are stored. Memory for them is reserved, and used only as they come."),
    peer_ids: boolean({ restart: true })
      .prefault("false")
      .describe(
        "Whether peer ids are stored, for clients that ask for lists with them. 20 bytes more a peer.",
      ),
    shard_count: integer(0, 2 ** 31 - 1, { obsolete: true })
      .prefault("1024")
      .describe("The store is not divided into shards."),
    prometheus_reporting_interval: reportingInterval,
  })
  .transform((memory) => ({
    gcInterval: memory.gc_interval,
    peerLifetime: memory.peer_lifetime,
    maxPeers: memory.max_peers,
    peerIds: memory.peer_ids,
  }));

/** What is wrong with the URL of a Redis server. Never shows it: it may hold a password. */
export function brokerProblem(url: string): string | undefined {
  const broker = parseBroker(url);
  return typeof broker === "string" ? broker : undefined;
}

const redis = z
  .strictObject({
    redis_broker: list({
      check: brokerProblem,
      restart: true,
      secret: true,
      mask: (url) => url.replace(/\/\/.*@/s, "//********@"),
    })
      .prefault(["redis://127.0.0.1:6379/0"])
      .describe(
        "The Redis server, as `redis://user:password@host:port/db`; `rediss://` is TLS. Several are the sentinels, or some " +
          "nodes of a cluster. The password may hold any character; `%` with two hexadecimal digits is decoded.",
      ),
    redis_broker_file: text({ restart: true }).prefault("").describe("File to read `redis_broker` from."),
    redis_topology: choice(["single", "sentinel", "cluster"], { restart: true })
      .prefault("single")
      .describe("What `redis_broker` names: one server, sentinels, or nodes of a cluster."),
    redis_sentinel_master: text({ restart: true })
      .prefault("mymaster")
      .describe("The name that the sentinels have for the primary."),
    redis_ca_path: text({ restart: true })
      .prefault("")
      .describe('File with the authorities to trust with `rediss://`, in PEM; "" for the usual ones.'),
    redis_connect_timeout: duration(0.001, { restart: true })
      .prefault("5s")
      .describe("Time for a connection to the engine."),
    redis_read_timeout: duration(0.001)
      .prefault("2s")
      .describe("Time for the engine's answer. After it the engine counts as gone."),
    max_clock_skew: duration(1, { whole: true })
      .prefault("5s")
      .describe(
        "How far the clock of this machine may be from that of Redis. Beyond it the tracker is not ready, and announces are " +
          "as `on_failure` says, since it would remove the peers of the others, or they its own.",
      ),
    redis_write_timeout: duration(0, { obsolete: true })
      .prefault("2s")
      .describe("An announce is one exchange, for which `redis_read_timeout` holds."),
    key_prefix: text({ restart: true })
      .prefault("chihaya:")
      .describe("What all keys in the engine begin with."),
    ...common,
    peer_ids: boolean({ restart: true })
      .prefault("false")
      .describe(
        "Whether peer ids are stored, for clients that ask for lists with them. All trackers over one engine must agree.",
      ),
    on_failure: choice(["refuse", "serve"], { restart: true })
      .prefault("refuse")
      .describe(
        "While the engine is gone: `refuse` announces, or `serve` from local memory and tell the engine when it is back.",
      ),
    max_local_peers: integer(1, 10_000_000, { restart: true })
      .prefault("250000")
      .describe("Most peers that each worker keeps for that time, with `serve`."),
    sample_cache: duration(0, { whole: true, restart: true })
      .prefault("0s")
      .describe(
        "For how long each worker lists peers of a big swarm from one answer of the engine; `0s` asks for every announce.",
      ),
    prometheus_reporting_interval: reportingInterval,
  })
  .transform(
    (redis): RedisStoreConfig => ({
      broker: redis.redis_broker,
      topology: redis.redis_topology,
      sentinelMaster: redis.redis_sentinel_master,
      ca: redis.redis_ca_path === "" ? undefined : redis.redis_ca_path, // its content, once all else is known to be right
      keyPrefix: redis.key_prefix,
      connectTimeout: redis.redis_connect_timeout,
      readTimeout: redis.redis_read_timeout,
      maxClockSkew: redis.max_clock_skew,
      peerLifetime: redis.peer_lifetime,
      gcInterval: redis.gc_interval,
      peerIds: redis.peer_ids,
      sampleCache: redis.sample_cache,
      onFailure: redis.on_failure,
      maxLocalPeers: redis.max_local_peers,
    }),
  );

const kind = { kind: "memory \\| redis", json: {}, restart: true } as const;

/** What stands under `storage`: the store's name, and what it is told. */
export const storageSchema: z.ZodType<StorageConfig> = z.discriminatedUnion(
  "name",
  [
    z.strictObject({
      name: z
        .literal("memory")
        .register(facts, kind)
        .prefault("memory")
        .describe("`memory`, in this process; or `redis`, in Redis or Valkey, for several trackers."),
      config: memory.prefault({}),
    }),
    z.strictObject({ name: z.literal("redis").register(facts, kind), config: redis.prefault({}) }),
  ],
  {
    error: (issue) => {
      if (issue.code !== "invalid_union") return undefined;
      const { name } = issue.input as { name?: unknown };
      return `unknown store ${typeof name === "string" ? quote(name) : ""}; use "memory" or "redis"`;
    },
  },
);
