import { randomInt } from "node:crypto";
import { createRandom } from "../lib/clock.ts";
import { type RecordBatch, replayAll } from "../storage/records.ts";
import { checkRedis } from "../storage/redis/check-redis.ts";
import type { RedisStoreConfig } from "../storage/redis/config.ts";
import { createNodeRedisPort } from "../storage/redis/node-redis-port.ts";
import { type ReadOptions, readChihaya } from "../storage/redis/read-chihaya.ts";
import { RedisStore } from "../storage/redis/redis-store.ts";
import { SystemClock } from "../tracker/system-clock.ts";

/** The result of an import, in peers. */
export interface ImportReport {
  imported: number;
  /** Peers that have not announced for the peer lifetime. */
  expired: number;
  /** Peers for which Redis had no memory. */
  refused: number;
}

/**
 * Imports the peers that Chihaya has in Redis, with the times of their announces. The import can be repeated, and trackers can
 * run meanwhile: a newer announce of a peer stays.
 * @param config  of the store that the peers go into
 * @param from  URL of Chihaya's Redis server
 * @param onSkipped  receives a sentence about each part that cannot be read and is left out
 * @throws Error if one of the two Redis servers cannot be used
 */
export async function importFromChihaya(
  config: RedisStoreConfig,
  from: string,
  onSkipped: (what: string) => void,
): Promise<ImportReport> {
  let lastError = "";
  const onError = (error: Error): void => {
    lastError = error.message;
  };
  const source = await createNodeRedisPort({ ...config, broker: [from], topology: "single" }, onError);
  const clock = new SystemClock();
  clock.start();
  const store = new RedisStore({
    config: { ...config, onFailure: "refuse" },
    clock,
    random: createRandom(randomInt(1, 2 ** 31)),
    createPort: async (ofConfig, onPortError) =>
      checkRedis(await createNodeRedisPort(ofConfig, onPortError), () => undefined),
  });
  let timeless = 0;
  const options: ReadOptions = {
    unixSeconds: () => clock.unixSeconds,
    onBadKey: (key) => onSkipped(`the key ${key} is no hash and was left out`),
    onTimeless: () => timeless++,
  };
  async function* batches(): AsyncGenerator<RecordBatch> {
    for (const node of await source.masters()) yield* readChihaya(node, options);
  }
  try {
    await source.connect().catch((cause: Error) => {
      throw new Error(`cannot read Chihaya's Redis: ${lastError || cause.message}`, { cause });
    });
    await store.start();
    const { taken, expired, refused } = await replayAll(store.records, batches());
    if (timeless > 0) onSkipped(`${timeless} peers have no time of an announce and were left out`);
    return { imported: taken, expired, refused };
  } finally {
    store.stop();
    source.close();
    clock.stop();
  }
}
