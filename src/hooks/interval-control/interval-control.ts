import type { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import type { Hook } from "../../middleware/hook.ts";
import { Step } from "../../storage/peer-store.ts";
import { Entropy } from "../interval-variation/entropy.ts";

/** The options of `interval control`. */
export interface IntervalControlOptions {
  /** Seconds: the interval of a swarm with `fewPeers` or fewer. */
  shortest: number;
  /** Seconds: the interval of a swarm with `manyPeers` or more; at least `shortest`. */
  longest: number;
  /** Peers, at least 1. */
  fewPeers: number;
  /** Peers, above `fewPeers`. */
  manyPeers: number;
  /** Maximum seconds to add, to spread the announces of a swarm; 0 adds none. */
  jitter: number;
}

/**
 * Creates the prehook `interval control`: sets the interval by the size of the swarm, between `shortest` and `longest`.
 *
 * Between `fewPeers` and `manyPeers` the interval grows with the logarithm of the size. A swarm without downloads keeps
 * its interval, within the bounds, because none of its peers waits for others. Then the hook adds up to `jitter`
 * seconds, which depend on infohash and peer id alone, as in `interval variation`. The minimum interval never exceeds
 * the interval. The size is the store's count, so the hook ignores an announce that another hook keeps from the store.
 */
export function createIntervalControl(options: IntervalControlOptions): Hook {
  const { shortest, longest, fewPeers, manyPeers, jitter } = options;
  const perLog = (longest - shortest) / Math.log(manyPeers / fewPeers);
  const entropy = new Entropy();

  function spread(request: AnnounceRequest): number {
    if (jitter < 1) return 0;
    entropy.seed(request.infoHash, request.peerId);
    return entropy.below(Math.floor(jitter) + 1);
  }

  function control(request: AnnounceRequest, response: AnnounceResponse): void {
    const peers = response.complete + response.incomplete;
    let interval = response.interval;
    if (response.incomplete > 0) interval = shortest + perLog * Math.log(Math.max(peers, 1) / fewPeers);
    interval = Math.round(Math.min(longest, Math.max(shortest, interval)));
    response.interval = interval + spread(request);
    if (response.minInterval > response.interval) response.minInterval = response.interval;
  }

  return {
    name: "interval control",
    aroundAnnounce: (next) => (request, response, step) => {
      const waiting = next(request, response, step);
      if ((step & Step.select) === 0) return waiting;
      if (waiting === undefined) return control(request, response);
      return waiting.then(() => control(request, response));
    },
  };
}
