import { startRedisCluster, startRedisSentinels } from "./redis-groups.ts";
import { startRedisServer } from "./redis-server.ts";

/**
 * Limits of a store that a test does not want to lose Redis: the defaults of two and five seconds can pass while a busy machine
 * runs other processes.
 */
export const patientRedis = { redis_connect_timeout: "1m", redis_read_timeout: "1m" } as const;

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
      return { settings: { name: "redis", config: { ...patientRedis, redis_broker: url } }, stop };
    }
    case "cluster": {
      const { broker, stop } = await startRedisCluster();
      const config = { ...patientRedis, redis_broker: broker, redis_topology: kind };
      return { settings: { name: "redis", config }, stop };
    }
    case "sentinel": {
      const { broker, stop } = await startRedisSentinels();
      const own = { redis_topology: kind, redis_sentinel_master: "chihaya" };
      const config = { ...patientRedis, redis_broker: broker, ...own };
      return { settings: { name: "redis", config }, stop };
    }
    default:
      throw new Error(`CHIHAYA_TEST_STORAGE=${kind} is not one of memory, redis, cluster, sentinel`);
  }
}
