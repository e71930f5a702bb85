import { defineHook, type HookDefinition, type WithDefaults } from "../../middleware/define-hook.ts";
import { boolean, integer, number, options } from "../../options/index.ts";
import type { IntervalVariationOptions } from "./interval-variation.ts";

const invalidProbability = "invalid modify_response_probability";

/** Lengthens the interval of some announces. */
export const intervalVariation: HookDefinition<
  IntervalVariationOptions,
  WithDefaults<IntervalVariationOptions, "modifyMinInterval">
> = defineHook({
  name: "interval variation",
  description:
    "Spreads announces over time: lengthens the interval of some, and always chooses the same for a peer of a torrent.",
  options: options(
    {
      modify_response_probability: number({ above: 0, maximum: 1, reason: invalidProbability }).describe(
        "Share of the peers that get a longer interval: above 0, at most 1.",
      ),
      max_increase_delta: integer(1, 86_400, { reason: "invalid max_increase_delta" }).describe(
        "Maximum seconds to add to the interval.",
      ),
      modify_min_interval: boolean()
        .default(false)
        .describe("Whether to add the same to the minimum interval."),
    },
    {
      check({ modifyResponseProbability }, refuse) {
        // Chihaya's single precision has no smaller number.
        if (Math.fround(modifyResponseProbability) === 0)
          refuse("modifyResponseProbability", `${invalidProbability}; expected 1e-45 or more`);
      },
    },
  ),
  example: { modify_response_probability: 0.2, max_increase_delta: 60, modify_min_interval: true },
  changesInterval: ({ maxIncreaseDelta }) => ({
    seconds: maxIncreaseDelta,
    adds: true,
    keys: "max_increase_delta",
  }),
  create: async (options) => (await import("./interval-variation.ts")).createIntervalVariation(options),
});
