import { startRedisCluster, startRedisSentinels } from "./redis-groups.ts";
import { startRedisServer } from "./redis-server.ts";

/** The store of a tracker under test. */
export interface TestStorage {
  /** The block `storage` of its configuration; undefined for the default. */
  settings: { name: string; config: Record<string, unknown> } | undefined;
  /** Stops its Redis, if any. */
  stop(): Promise<void>;
}

/**
 * Starts the store of CHIHAYA_TEST_STORAGE for one tracker: `memory` (the default), `redis`, `cluster` or `sentinel`. Thus
 * every test of a whole tracker can run with any store.
 */
export async function startTestStorage(): Promise<TestStorage> {
  const kind = process.env.CHIHAYA_TEST_STORAGE || "memory";
  switch (kind) {
    case "memory":
      return { settings: undefined, stop: async () => undefined };
    case "redis": {
      const { url, stop } = await startRedisServer();
      return { settings: { name: "redis", config: { redis_broker: url } }, stop };
    }
    case "cluster": {
      const { broker, stop } = await startRedisCluster();
      return { settings: { name: "redis", config: { redis_broker: broker, redis_topology: kind } }, stop };
    }
    case "sentinel": {
      const { broker, stop } = await startRedisSentinels();
      const config = { redis_broker: broker, redis_topology: kind, redis_sentinel_master: "chihaya" };
      return { settings: { name: "redis", config }, stop };
    }
    default:
      throw new Error(`CHIHAYA_TEST_STORAGE=${kind} is not one of memory, redis, cluster, sentinel`);
  }
}
