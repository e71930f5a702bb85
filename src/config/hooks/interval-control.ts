import { z } from "zod";
import type { IntervalControlOptions } from "../../hooks/interval-control/interval-control.ts";
import { choice, duration, integer } from "../values.ts";
import { type BuiltInHook, describeHook } from "./built-in.ts";

const options = z
  .strictObject({
    shortest: duration(1, { whole: true }).describe("Interval of a swarm with `few_peers` or fewer."),
    longest: duration(1, { whole: true }).describe("Interval of a swarm with `many_peers` or more."),
    few_peers: integer(1, 1_000_000_000).prefault("10").describe("Peers of a swarm that is small."),
    many_peers: integer(2, 1_000_000_000)
      .prefault("1000")
      .describe("Peers of a swarm that is big; between the two the interval grows with the logarithm."),
    jitter: duration(0, { whole: true })
      .prefault("0s")
      .describe("Most time that is added, always the same for the same peer and torrent."),
    jitter_by: choice(["uniform", "swarm"])
      .prefault("uniform")
      .describe("Whether all of `jitter` is used, or a second for each peer of the swarm, up to `jitter`."),
  })
  .check(({ value, issues }) => {
    const refuse = (key: string, message: string) =>
      issues.push({ code: "custom", message, input: value, path: [key] });
    if (value.longest < value.shortest) refuse("longest", "must not be below shortest");
    if (value.many_peers <= value.few_peers) refuse("many_peers", "must be above few_peers");
  })
  .transform(
    ({ shortest, longest, few_peers, many_peers, jitter, jitter_by }): IntervalControlOptions => ({
      ...{ shortest, longest, fewPeers: few_peers, manyPeers: many_peers },
      ...{ jitter, jitterBy: jitter_by },
    }),
  );

export const intervalControl: BuiltInHook<"interval control", IntervalControlOptions> = describeHook(
  "interval control",
  {
    description: "Sets the interval by the size of the swarm: short for small ones, long for big ones.",
    example: { shortest: "15m", longest: "1h", jitter: "5m" },
  },
  options,
);
