import { z } from "zod";
import type { IntervalVariationOptions } from "../../hooks/interval-variation/interval-variation.ts";
import { boolean, integer, number } from "../values.ts";
import { type BuiltInHook, describeHook } from "./built-in.ts";

const options = z
  .strictObject({
    modify_response_probability: number(
      { exclusiveMinimum: 0, maximum: 1 },
      "invalid modify_response_probability; expected a number above 0 and at most 1",
      (value) => value > 0 && value <= 1,
    ).describe("Share of the announces whose interval is lengthened: above 0, at most 1."),
    max_increase_delta: integer(1, 86_400, { refusal: "invalid max_increase_delta" }).describe(
      "Most seconds that are added to the interval.",
    ),
    modify_min_interval: boolean()
      .prefault("false")
      .describe("Whether the minimum interval grows by the same."),
  })
  .transform((options) => ({
    modifyResponseProbability: options.modify_response_probability,
    maxIncreaseDelta: options.max_increase_delta,
    modifyMinInterval: options.modify_min_interval,
  }));

export const intervalVariation: BuiltInHook<"interval variation", IntervalVariationOptions> = describeHook(
  "interval variation",
  {
    description:
      "Spreads announces over time: lengthens the interval of some, always the same for the same peer and torrent.",
    example: {
      modify_response_probability: 0.2,
      max_increase_delta: 60,
      modify_min_interval: true,
    },
  },
  options,
);
