import { z } from "zod";
import type { RateLimitOptions } from "../../hooks/rate-limit/rate-limit.ts";
import { integer, list, number } from "../values.ts";
import { type BuiltInHook, describeHook } from "./built-in.ts";
import { checkNetwork } from "./ip-approval.ts";

const options: z.ZodType<RateLimitOptions> = z
  .strictObject({
    rate: number(
      { exclusiveMinimum: 0 },
      "expected a number above 0",
      (value) => value > 0 && value < Number.POSITIVE_INFINITY,
    ).describe("Requests a second that an address may keep up."),
    burst: integer(1, 1_000_000_000).describe(
      "Requests that it may make at once after a pause; not below `rate`.",
    ),
    addresses: integer(8, 100_000_000)
      .prefault("100000")
      .describe("Addresses that are told apart, at 12 to 24 bytes each."),
    exempt: list({ check: checkNetwork }).prefault([]).describe("Networks that are not limited, as CIDR."),
  })
  .check(({ value, issues }) => {
    if (value.burst >= value.rate) return;
    issues.push({ code: "custom", message: "must not be below rate", input: value, path: ["burst"] });
  });

export const rateLimit: BuiltInHook<"rate limit", RateLimitOptions> = describeHook(
  "rate limit",
  {
    description:
      "Refuses announces and scrapes of an address that makes too many, with `rate limit exceeded`. An IPv6 network of 64 bits is one address.",
    example: { rate: 20, burst: 1000, exempt: ["192.0.2.0/24"] },
  },
  options,
);
