import type { Hook } from "../../middleware/hook.ts";
import { Entropy } from "./entropy.ts";

/** The options of `interval variation`. */
export interface IntervalVariationOptions {
  /** Share of the clients with a changed interval: above 0, at most 1. */
  modifyResponseProbability: number;
  /** Maximum seconds to add: a whole number from 1. */
  maxIncreaseDelta: number;
  /** Whether to add the same to the minimum interval. */
  modifyMinInterval?: boolean;
}

/**
 * Creates the prehook `interval variation`: adds 1 to `maxIncreaseDelta` seconds to the interval of some clients, so
 * that clients that came together do not return together. The choice and the seconds depend on infohash and peer id
 * alone, by Chihaya's rule (middleware/varinterval), so they are the same each time and on each tracker.
 */
export function createIntervalVariation(options: IntervalVariationOptions): Hook {
  const probability = Math.fround(options.modifyResponseProbability); // Chihaya compares in single precision
  const { maxIncreaseDelta, modifyMinInterval } = options;
  const entropy = new Entropy();
  return {
    name: "interval variation",
    handleAnnounce(request, response) {
      entropy.seed(request.infoHash, request.peerId);
      const isSpared = entropy.bits24() / 0x1000000 >= probability;
      if (isSpared) return;
      const seconds = entropy.below(maxIncreaseDelta) + 1;
      response.interval += seconds;
      if (modifyMinInterval) response.minInterval += seconds;
    },
  };
}
