import { RateLimitedLog } from "../../observability/rate-limited.ts";
import { registerRefusedPeers } from "../../observability/storage-metrics.ts";
import type { StoreDeps } from "../define-store.ts";
import { checkEngine } from "./check-engine.ts";
import { type RedisStoreConfig, withoutSecrets } from "./config.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import { type RedisStats, RedisStore } from "./redis-store.ts";

/** Seconds: from the same machine to an engine in trouble. */
const roundTripBuckets = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
const batchBuckets = [1, 2, 4, 8, 16, 32, 64, 128];

/** Makes a thread's own store over the engine that all share, with metrics and a log of its comings and goings. */
export function createRedisStore(config: RedisStoreConfig, deps: StoreDeps): RedisStore {
  const { clock, random, metrics, logger, isFirst } = deps;
  const engine = config.broker.map(withoutSecrets).join(", ");
  const outages = metrics.counter("chihaya_redis_outages_total", "Times that a worker found the engine gone");
  const roundTrips = metrics.histogram(
    "chihaya_redis_round_trip_seconds",
    "Time from a batch that is sent to the engine to its answer",
    roundTripBuckets,
  );
  const batches = metrics.histogram(
    "chihaya_redis_batch_records",
    "Announces and scraped torrents that went to the engine in one batch",
    batchBuckets,
  );
  const meanwhile =
    config.onFailure === "serve" ? "serving from local memory until it is back" : "refusing until it is back";
  const badKeys = new RateLimitedLog(logger, clock, { lines: 1, interval: 60 });
  const store = new RedisStore({
    config,
    clock,
    random,
    createPort: async (ofConfig, onError) =>
      checkEngine(await createNodeRedisPort(ofConfig, onError), (message) => {
        if (isFirst) logger.warn({ engine }, message); // all would say the same
      }),
    onChange: (reason) => {
      if (reason === "stopped") return;
      if (reason !== undefined) outages.inc();
      // Each worker says it: one whose clients are silent does not find out.
      if (reason === undefined) logger.warn({ engine }, "the storage engine is back");
      else logger.warn({ engine, reason }, `the storage engine is gone; ${meanwhile}`);
    },
    onBadKey: (key, problem) =>
      badKeys.warn(
        "bad key",
        { engine, key, problem },
        "deleted a key that held no readable torrent; its peers announce again",
      ),
    onBatch: (records, milliseconds) => {
      batches.observe(records);
      roundTrips.observe(milliseconds / 1000);
    },
  });
  const read = (what: keyof RedisStats) => () => store.standing[what];
  metrics.gauge("chihaya_redis_connected_workers", "Workers that reach the engine", () =>
    store.readiness === true ? 1 : 0,
  );
  metrics.gauge(
    "chihaya_redis_waiting_records",
    "Announces and scraped torrents that wait for the engine",
    read("waiting"),
  );
  metrics.gauge(
    "chihaya_redis_backlog_announces",
    "Announces that the engine is told when it is back",
    read("backlog"),
  );
  metrics.counterFrom(
    "chihaya_redis_unanswered_records_total",
    "Announces and scraped torrents that were refused or served locally because the engine did not answer",
    read("unanswered"),
  );
  metrics.counterFrom(
    "chihaya_redis_bad_keys_total",
    "Keys that held no readable torrent, and were deleted",
    read("badKeys"),
  );
  if (config.sampleCache) {
    metrics.counterFrom(
      "chihaya_redis_sample_hits_total",
      "Announces that were given peers of a sample of a big swarm, not of an answer of their own",
      read("cacheHits"),
    );
  }
  if (!isFirst) registerRefusedPeers(metrics, read("refused")); // the first counts all that is stored
  return store;
}
