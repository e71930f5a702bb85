import { RateLimitedLog } from "../../observability/rate-limited.ts";
import { registerRefusedPeers } from "../../observability/storage-metrics.ts";
import type { StoreDeps } from "../define-store.ts";
import { checkRedis } from "./check-redis.ts";
import { type RedisStoreConfig, withoutSecrets } from "./config.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import { type RedisStats, RedisStore } from "./redis-store.ts";

/** Seconds: from Redis on the same machine to an overloaded Redis. */
const roundTripBuckets = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
const batchBuckets = [1, 2, 4, 8, 16, 32, 64, 128];

/** Creates a thread's store over the shared Redis, with metrics and log lines about outages. */
export function createRedisStore(config: RedisStoreConfig, deps: StoreDeps): RedisStore {
  const { clock, random, metrics, logger, isFirst, tracker } = deps;
  const redis = config.broker.map(withoutSecrets).join(", ");
  const outages = metrics.counter(
    "chihaya_redis_outages_total",
    "Times that a worker found Redis unavailable",
  );
  const roundTrips = metrics.histogram(
    "chihaya_redis_round_trip_seconds",
    "Time from sending a batch to Redis until its reply",
    roundTripBuckets,
  );
  const batches = metrics.histogram(
    "chihaya_redis_batch_records",
    "Announces and scraped torrents in one batch to Redis",
    batchBuckets,
  );
  const meanwhile =
    config.onFailure === "serve"
      ? "serving from local memory until it returns"
      : "announces are refused until it returns";
  const badKeys = new RateLimitedLog(logger, clock, { lines: 1, interval: 60 });
  const store = new RedisStore({
    config: { ...config, tags: deps.isPrivate ?? false },
    clock,
    random,
    ...(tracker !== undefined && { tracker }),
    onLinkError: (err) =>
      logger.warn({ redis, err }, "the link to WebRTC peers of other trackers has failed"),
    createPort: async (ofConfig, onError) =>
      checkRedis(await createNodeRedisPort(ofConfig, onError), (message) => {
        if (isFirst) logger.warn({ redis }, message); // the other workers would log the same
      }),
    onChange: (reason) => {
      if (reason === "stopped") return;
      if (reason !== undefined) outages.inc();
      // Each worker logs this, because a worker without clients does not notice an outage.
      if (reason === undefined) logger.warn({ redis }, "Redis is available again");
      else logger.warn({ redis, reason }, `Redis is unavailable; ${meanwhile}`);
    },
    onBadKey: (key, problem) =>
      badKeys.warn(
        "bad key",
        { redis, key, problem },
        "deleted a key without a readable torrent; the next announces restore its peers",
      ),
    onBatch: (records, milliseconds) => {
      batches.observe(records);
      roundTrips.observe(milliseconds / 1000);
    },
  });
  const read = (what: keyof RedisStats) => () => store.stats[what];
  metrics.gauge("chihaya_redis_connected_workers", "Workers that can use Redis", () =>
    store.readiness === true ? 1 : 0,
  );
  metrics.gauge(
    "chihaya_redis_waiting_records",
    "Announces and scraped torrents that wait for Redis",
    read("waiting"),
  );
  metrics.gauge(
    "chihaya_redis_backlog_announces",
    "Announces to deliver when Redis is available again",
    read("backlog"),
  );
  metrics.counterFrom(
    "chihaya_redis_unanswered_records_total",
    "Announces and scraped torrents refused or served locally because Redis gave no response",
    read("unanswered"),
  );
  metrics.counterFrom(
    "chihaya_redis_bad_keys_total",
    "Deleted keys without a readable torrent",
    read("badKeys"),
  );
  if (!isFirst) registerRefusedPeers(metrics, read("refused")); // the first worker counts the whole store
  return store;
}
