import { defineHook, type HookDefinition, type WithDefaults } from "../../middleware/define-hook.ts";
import { duration, integer, options, removed } from "../../options/index.ts";
import type { IntervalControlOptions } from "./interval-control.ts";

/** Sets the interval by the size of the swarm. */
export const intervalControl: HookDefinition<
  IntervalControlOptions,
  WithDefaults<IntervalControlOptions, "fewPeers" | "manyPeers" | "jitter">
> = defineHook({
  name: "interval control",
  description: "Sets the interval by the size of the swarm: short for small ones, long for big ones.",
  options: options(
    {
      shortest: duration(1, { whole: true }).describe(
        "Interval of a swarm with `few_peers` or fewer, unless all of them are seeders.",
      ),
      longest: duration(1, { whole: true }).describe(
        "Interval of a swarm with `many_peers` or more, unless all of them are seeders.",
      ),
      few_peers: integer(1, 1_000_000_000).default(10).describe("Largest size of a small swarm, in peers."),
      many_peers: integer(2, 1_000_000_000)
        .default(1000)
        .describe(
          "Smallest size of a big swarm, in peers; between the two sizes the interval grows with the logarithm.",
        ),
      jitter: duration(0, { whole: true })
        .default("0s")
        .describe(
          "Maximum time to add to the interval, so that peers return at different times. The added time follows from infohash and peer id, so a peer gets the same time at each announce.",
        ),
      jitter_by: removed("all of `jitter` is used for swarms of every size"),
    },
    {
      check({ shortest, longest, fewPeers, manyPeers }, refuse) {
        if (longest < shortest) refuse("longest", "must not be below shortest");
        if (manyPeers <= fewPeers) refuse("manyPeers", "must be above few_peers");
      },
    },
  ),
  example: { shortest: "15m", longest: "1h", jitter: "5m" },
  changesInterval: ({ longest, jitter }) => ({ seconds: longest + jitter, keys: "longest and jitter" }),
  create: async (options) => (await import("./interval-control.ts")).createIntervalControl(options),
});
