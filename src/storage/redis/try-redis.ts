import { randomInt } from "node:crypto";
import { type Clock, createRandom } from "../../lib/clock.ts";
import { checkRedis } from "./check-redis.ts";
import type { RedisStoreConfig } from "./config.ts";
import { createNodeRedisPort } from "./node-redis-port.ts";
import { RedisStore } from "./redis-store.ts";

/**
 * Starts a store and stops it again: connects, and checks version, permissions and clocks. Leaves nothing in Redis.
 * @returns the doubts, or `ready`
 * @throws Error with the reason why the store cannot use Redis
 */
export async function tryRedis(config: RedisStoreConfig, clock: Clock): Promise<string> {
  const doubts: string[] = [];
  const store = new RedisStore({
    config: { ...config, onFailure: "refuse" },
    clock,
    random: createRandom(randomInt(1, 2 ** 31)),
    createPort: async (ofConfig, onError) =>
      checkRedis(await createNodeRedisPort(ofConfig, onError), (doubt) => doubts.push(doubt)),
  });
  try {
    await store.start();
    const { readiness } = store;
    if (readiness !== true) throw new Error(`${readiness}`);
    return doubts.length === 0 ? "ready" : doubts.join("; ");
  } finally {
    store.stop();
  }
}
